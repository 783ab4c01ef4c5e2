"""What a new study takes from earlier ones: the plan of a replay, and observations as priors of a search.

An earlier study, model or file is read once, when a new study is made; what it told is kept in the settings, so that a
study that goes on knows the same, whatever became of the earlier one.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glmix_automl.config import load, parse
from glmix_automl.dataset import Dataset
from glmix_automl.errors import ConfigError, GlmixError
from glmix_automl.layout import COORDINATE, DESCRIPTION, SCHEMA, WEIGHTS, Folder
from glmix_automl.search import STRATEGIES
from glmix_automl.search.entry import SpaceWork
from glmix_automl.search.growth.plan import Plan, plan_replay
from glmix_automl.search.replay import ReplayOptions
from glmix_automl.search.transfer import Prior, drift, observations
from glmix_automl.study.folder import StudyFolder, StudyRecord
from glmix_automl.study.settings import EntrySettings, SearchSettings

UNKNOWN_DRIFT = 0.25  # of a dataset that is no longer there: the border of much

log = logging.getLogger(__name__)


def read_plans(settings: SearchSettings, begun: SearchSettings | None) -> SearchSettings:
    """The settings with the plan that every replay names, and the weights it begins from looked for.

    Args:
        settings: as configured.
        begun: settings of a study that is to go on: the plan it read when it began stays its plan.

    Raises:
        ConfigError: there is no such folder or file, it holds no structure or several, or weights to begin from are
            not there.
    """
    race = {name: _take_plan(name, entry, begun) for name, entry in settings.race.items()}
    return settings.model_copy(update={"race": race})


def _take_plan(name: str, entry: EntrySettings, begun: SearchSettings | None) -> EntrySettings:
    if entry.strategy not in STRATEGIES or STRATEGIES[entry.strategy].options is not ReplayOptions:
        return entry
    options = parse(entry.options, ReplayOptions, f"race.{name}")
    before = begun.race.get(name) if begun is not None else None
    if isinstance(options.plan, str):
        known = None if before is None else before.options.get("plan")
        if _tells(known, options.plan):
            return entry.model_copy(update={"plan": known})
        found = _read_plan(f"race.{name}.plan", options.plan, options.entry)
        log.info("plan from=%s members=%s", options.plan, len(found.members))
        entry = entry.model_copy(update={"plan": found.model_dump(mode="json")})
    if options.warm_start and before is None:
        _look(f"race.{name}.warm_start", parse(entry.options, ReplayOptions, f"race.{name}").load())
    return entry


def _tells(known: Any, given: str) -> bool:
    """Whether a plan that a study began with is the one of that name: a dictionary, or the name of a file where it was
    begun by a version that did not keep what files hold.
    """
    if not isinstance(known, dict):
        return bool(known == given)
    return known.get("source") == given or known.get("origin") == _spell_out(given)


def _spell_out(folder: str) -> str:
    return folder if "://" in folder else str(Path(folder).absolute())


def _read_plan(where: str, source: str, entry: str | None) -> Plan:
    """The plan of a study or model, its weights in that folder; or the one in a file, its weights where that says."""
    folder = _spell_out(source)
    try:
        if Path(source).is_file():
            held = load(source, Plan)  # JSON is YAML
            origin = None if held.origin is None else _spell_out(held.origin)
            return held.model_copy(update={"origin": origin, "source": source})
        if StudyFolder(folder).begun:
            found = _of_study(where, StudyFolder(folder), entry)
        elif Folder(folder).exists(DESCRIPTION):
            found = _of_model(where, Folder(folder))
        else:
            raise ConfigError(
                f"{where}: {folder}: there is no study or exported model here, nor a file; name the folder of an "
                "earlier study or of its model, or a file that holds a plan"
            )
    except ConfigError:
        raise
    except GlmixError as error:
        raise ConfigError(f"{where}: {error}") from error
    return found.model_copy(update={"origin": folder, "source": source})


def _of_study(where: str, folder: StudyFolder, entry: str | None) -> Plan:
    history, race = folder.history(), folder.record.settings.race
    if entry is not None and entry not in race:
        raise ConfigError(f"{where}: study {folder.uri}: has no entry {entry!r}; there are {', '.join(race)}")
    found: dict[str, Plan] = {}
    for name in race if entry is None else (entry,):
        try:
            found[name] = plan_replay(history.trials, history.results, name)
        except ValueError:
            continue
    if not found:
        whose = "no entry of its race" if entry is None else f"its entry {entry!r}"
        raise ConfigError(f"{where}: study {folder.uri}: {whose} has found an ensemble by growth or replay")
    if len(found) > 1:
        raise ConfigError(
            f"{where}: study {folder.uri}: several entries found an ensemble; say which with `entry`: "
            f"{', '.join(found)}"
        )
    return next(iter(found.values()))


def _of_model(where: str, folder: Folder) -> Plan:
    try:
        described = json.loads(folder.read(DESCRIPTION)).get("origin", {}).get("plan")
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{where}: {folder.path(DESCRIPTION)}: is not a model's description: {error}") from error
    if described is None:
        raise ConfigError(f"{where}: {folder.path(DESCRIPTION)}: holds no plan: the model was not found by growth")
    return parse(described, Plan, f"{where}: {folder.path(DESCRIPTION)}")


def _look(where: str, found: Plan) -> None:
    """Sees that the weights are there before there are workers.

    Raises:
        ConfigError: which file is not.
    """
    origin = Folder(found.origin or "")
    folders = [member.checkpoint for member in found.members if member.checkpoint is not None]
    for name in (SCHEMA, *(f"{folder}/{file}" for folder in folders for file in (WEIGHTS, COORDINATE))):
        if not origin.exists(name):
            raise ConfigError(
                f"{where}: {origin.path(name)} is not there, which members would begin from; restore it, name another "
                "study or model as the plan, or leave warm_start out"
            )


def read_priors(settings: SearchSettings, dataset: Dataset, begun: SearchSettings | None) -> SearchSettings:
    """The settings with the observations of every study that an entry names as a prior, and the drift since.

    Args:
        settings: as configured.
        dataset: of the new study.
        begun: settings of a study that is to go on: what it read when it began stays what it knows.

    Raises:
        ConfigError: a prior is no study, or has no trial in the entry's space.
    """
    race = {name: _take_priors(name, entry, dataset, begun) for name, entry in settings.race.items()}
    return settings.model_copy(update={"race": race})


def _take_priors(name: str, entry: EntrySettings, dataset: Dataset, begun: SearchSettings | None) -> EntrySettings:
    given = entry.options.get("prior")
    if not isinstance(given, list | tuple) or entry.strategy not in STRATEGIES:
        return entry  # nothing, or what the strategy's own check refuses
    before = begun.race.get(name) if begun is not None else None
    if before is not None and _studies(before.options.get("prior")) == _studies(given):
        return entry.model_copy(update={"prior": before.options["prior"]})
    work = parse(entry.options, STRATEGIES[entry.strategy].options, f"race.{name}")
    priors: Sequence[Prior] = getattr(work, "prior", ())
    if not isinstance(work, SpaceWork):
        return entry
    read = [_read_prior(name, work, prior, dataset) for prior in priors]
    return entry.model_copy(update={"prior": [prior.model_dump(mode="json") for prior in read]})


def _studies(priors: Any) -> list[str]:
    return [str(prior.get("study", "")) for prior in priors or () if isinstance(prior, dict)]


def _read_prior(name: str, work: SpaceWork, prior: Prior, dataset: Dataset) -> Prior:
    if prior.observations or not prior.study:
        return prior
    where = f"race.{name}.prior: study {prior.study}"
    folder = StudyFolder(prior.study)
    try:
        record, history = folder.record, folder.history()
    except GlmixError as error:
        raise ConfigError(f"{where}: {error}") from error
    found = observations(work, history.trials.values(), history.results.values())
    if not found:
        raise ConfigError(f"{where}: none of its {len(history.results)} trials lies in this entry's space")
    moved = _drift(record, dataset) if prior.drift is None else prior.drift
    log.info("prior study=%s observations=%s drift=%.3f", prior.study, len(found), moved)
    return prior.model_copy(update={"study": folder.uri, "observations": found, "drift": moved})


def _drift(record: StudyRecord, dataset: Dataset) -> float:
    if record.digest == dataset.digest:
        return 0.0
    try:
        return drift(Dataset.open(record.settings.dataset).schema, dataset.schema)
    except GlmixError as error:
        log.warning("drift unknown dataset=%s taken_as=%s reason=%s", record.settings.dataset, UNKNOWN_DRIFT, error)
        return UNKNOWN_DRIFT
