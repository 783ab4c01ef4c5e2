"""A study's winner meets the champion: registered, compared on the same raw rows, and crowned if the rule says so.

Every step may be repeated: a version is made once per study and trial, a decision is made anew from the same rows, and
the alias is moved last, in one call.
"""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from glmix_automl.errors import DataError, StudyError
from glmix_automl.layout import DESCRIPTION, MODEL, PROMOTIONS
from glmix_automl.serving.champion import Decision, PromotionRule, decide
from glmix_automl.serving.holdout import Holdout, Measures
from glmix_automl.serving.model import Model
from glmix_automl.study.folder import StudyFolder
from glmix_automl.tracking.registry import Registry, Version
from glmix_automl.tracking.tracker import logged


def promote(
    folder: StudyFolder, name: str | None = None, rule: PromotionRule | None = None, force: bool = False
) -> dict[str, Any]:
    """Registers the winner of a study and moves the alias `champion` to it if it is better.

    Args:
        folder: of a study that has ended and was logged to MLflow.
        name: of the registered model; the dataset's unless given.
        rule: what better means.
        force: moves the alias whatever the comparison says.

    Returns:
        The decision with every number, `name`, `version` and `champion_before`; also a line of `promotion.json`.

    Raises:
        StudyError: the study has no model or was not logged; the registry is away: nothing was half-done, try again.
        DataError: the dataset keeps no raw hold-out rows, or is another one by now; the champion needs a column that
            they have no more, and it is not forced.
    """
    uri, run, origin = _logged_run(folder)
    record = folder.record
    dataset = folder.open_dataset()
    holdout = Holdout.read(dataset)
    registry = Registry(uri, registered_name(name or record.dataset_name))
    version = registry.register(run, MODEL, record.id, int(origin["trial"]))
    before = registry.champion()
    last = None if before is None else before.number
    if before is not None and before.number == version.number:
        last = before.before  # a champion that is promoted again goes back to whom it followed
        known = holdout.measure(Model(folder.files.within(MODEL))).numbers()
        decision = Decision("promoted", "it is the champion already", known, known)
    else:
        rule = rule or PromotionRule()
        rule = rule.model_copy(update={"measure": rule.measure or record.settings.measure})
        decision = _decide(folder, registry, before, holdout, rule, force)
    if force and decision.action == "kept":
        decision = Decision(
            "promoted", f"forced, though {decision.reason}", decision.candidate, decision.champion, decision.comparison
        )
    found = decision.numbers() | {
        "name": registry.name,
        "version": version.number,
        "champion_before": last,
        "dataset": record.dataset_name,
        "digest": dataset.digest,
        "uri": uri,
    }
    tags = {f"glmix.{key}": "" if value is None else str(value) for key, value in found.items()}
    registry.describe(version, tags, _text(found))
    if decision.action == "promoted":
        registry.crown(version)
    _note(folder, found)
    return found


def registered_name(name: str) -> str:
    """A name that MLflow's registry takes: no slashes, colons or blanks at its ends."""
    return re.sub(r"[/:\\]+", "-", name).strip() or "model"


def _logged_run(folder: StudyFolder) -> tuple[str, str, dict[str, Any]]:
    """Where the study was logged, its run, and where its exported model comes from."""
    if not folder.files.exists(f"{MODEL}/{DESCRIPTION}"):
        raise StudyError(f"{folder.uri}: has no exported model; write it with: glmix-automl report {folder.uri}")
    origin = json.loads(folder.files.read(f"{MODEL}/{DESCRIPTION}"))["origin"]
    if not folder.record.settings.tracking.enabled:
        raise StudyError(
            f"{folder.uri}: was not logged to MLflow, where champions are registered; set tracking.enabled: true, "
            f"then: glmix-automl report {folder.uri}"
        )
    cursor = logged(folder)
    if cursor is None or not cursor.parent:
        raise StudyError(f"{folder.uri}: has no run in MLflow yet; log it with: glmix-automl report {folder.uri}")
    return cursor.uri, cursor.parent, origin


def _decide(
    folder: StudyFolder, registry: Registry, before: Version | None, holdout: Holdout, rule: PromotionRule, force: bool
) -> Decision:
    champion: Measures | None = None
    candidate = holdout.measure(Model(folder.files.within(MODEL)))
    if before is not None:
        try:
            with tempfile.TemporaryDirectory() as place:
                champion = holdout.measure(Model(registry.download(before, Path(place))))
        except DataError as error:
            lost = f"the champion, version {before.number}, cannot be scored on these rows: {error}"
            if not force:
                raise DataError(f"{lost}; let the recipe bring what it needs, or promote with --force") from error
            return Decision("kept", lost, candidate.numbers(), {})
    return decide(rule, holdout, candidate, champion)


def _text(found: dict[str, Any]) -> str:
    """The decision for whoever looks at the version in the registry."""
    lines = [f"**{found['action']}**: {found['reason']}", ""]
    lines += ["| measure | this | champion before |", "|---|---|---|"]
    for key in sorted(key for key in found if key.startswith("candidate.")):
        name = key.removeprefix("candidate.")
        other = found.get(f"champion.{name}")
        lines.append(f"| {name} | {found[key]:.5g} | {'' if other is None else format(other, '.5g')} |")
    return "\n".join(lines)


def _note(folder: StudyFolder, found: dict[str, Any]) -> None:
    """Adds a line to `promotion.json`."""
    old = folder.files.read(PROMOTIONS).decode() if folder.files.exists(PROMOTIONS) else ""
    line = json.dumps(found)
    folder.files.write(PROMOTIONS, f"{old}{line}\n")
