"""The cheapest way to tonight's model: refresh random effects alone, replay the last structure, or search; and why."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from glmix_automl.dataset import Dataset
from glmix_automl.errors import GlmixError
from glmix_automl.layout import DESCRIPTION, MODEL, SCHEMA, Folder
from glmix_automl.nightly.record import Night
from glmix_automl.nightly.settings import ChoiceRule
from glmix_automl.nightly.tonight import STUDY
from glmix_automl.schema import Schema
from glmix_automl.search.transfer import drift
from glmix_automl.serving.export import ModelDescription
from glmix_automl.serving.holdout import Holdout
from glmix_automl.serving.model import Model
from glmix_automl.tracking.registry import Registry

REFRESHED = "random_effect"  # the family that a refresh trains
GROWN_ANEW = "trees"  # is not locked: it splits ids of terms, and new terms have others
MEASURED = "glmix.candidate.auc"  # tag of a version: its AUC when it was promoted


@dataclass(frozen=True)
class Earlier:
    """What earlier nights left.

    Attributes:
        model: folder of the last night's exported model, or None.
        nights_since_search: nights since the last search, 1 in the night after it.
        registry: of the champion, or None while nothing was registered.
    """

    model: Folder | None
    nights_since_search: int
    registry: Registry | None


@dataclass(frozen=True)
class SearchChoice:
    """How tonight's model is made.

    Attributes:
        way: `search` races strategies; `replay` trains the last night's structure again from its weights; `refresh` its
            random effects alone, all else locked.
        reason: in one line.
        numbers: drift, the champion's AUC today and when it was promoted, as far as known.
        plan: folder of the model whose structure is taken; None for a search.
        locked: families of members that stay as they are.
    """

    way: Literal["search", "replay", "refresh"]
    reason: str
    numbers: dict[str, Any]
    plan: str | None = None
    locked: Sequence[str] = ()


def look_back(home: Folder, nights: Sequence[Night]) -> Earlier:
    """What the nights before this one left, the last first."""
    searched = [night for night in nights if night.is_over("search")]
    models = [home.within(f"{night.key}/{STUDY}/{MODEL}") for night in searched]
    model = next((folder for folder in models if folder.exists(DESCRIPTION)), None)
    ways = [night.found("search")["way"] for night in searched]
    since = 1 + (ways.index("search") if "search" in ways else len(ways))
    promoted = next((night.found("promote") for night in nights if night.found("promote")), None)
    return Earlier(model, since, None if promoted is None else Registry(promoted["uri"], promoted["name"]))


def choose(rule: ChoiceRule, dataset: Dataset, earlier: Earlier) -> SearchChoice:
    """Applies the rule; the first reason to do more wins."""
    if earlier.model is None:
        return SearchChoice("search", "no earlier night left a model", {})
    description = ModelDescription.model_validate_json(earlier.model.read(DESCRIPTION))
    if not description.origin.get("plan"):
        return SearchChoice("search", "the last night's model has no plan that could be replayed", {})
    numbers: dict[str, Any] = {"nights_since_search": earlier.nights_since_search}
    if earlier.nights_since_search >= rule.search_every:
        return SearchChoice("search", f"the last search was {earlier.nights_since_search} nights ago", numbers)
    moved = drift(Schema.model_validate_json(earlier.model.read(SCHEMA)), dataset.schema)
    numbers["drift"] = moved
    if moved > rule.drift:
        return SearchChoice("search", f"features drifted by {moved:.3f}, more than {rule.drift:g}", numbers)
    numbers |= _champion(dataset, earlier.registry)
    fall = numbers.get("auc_promoted", 0.0) - numbers.get("auc_today", 0.0)
    if "auc_today" in numbers and fall > rule.auc_drop:
        return SearchChoice("search", f"the champion's AUC fell by {fall:.4f}, more than {rule.auc_drop:g}", numbers)
    told = f"drift {moved:.3f}" + (f", the champion's AUC fell by {fall:.4f}" if "auc_today" in numbers else "")
    families = {member["family"] for member in description.origin["plan"]["members"]}
    others = tuple(sorted(families - {REFRESHED, GROWN_ANEW}))
    if REFRESHED in families and moved <= rule.refresh_drift and fall <= rule.refresh_auc_drop:
        reason = f"{told}: random effects are refreshed, {', '.join(others) or 'nothing'} locked"
        return SearchChoice("refresh", reason, numbers, earlier.model.uri, others)
    reason = f"{told}: the structure found last is trained again from its weights"
    return SearchChoice("replay", reason, numbers, earlier.model.uri)


def _champion(dataset: Dataset, registry: Registry | None) -> dict[str, float]:
    """The champion's AUC on today's hold-out rows and at its promotion; nothing where either cannot be had."""
    if registry is None:
        return {}
    try:
        version = registry.champion()
        if version is None or MEASURED not in version.tags:
            return {}
        with tempfile.TemporaryDirectory() as place:
            today = Holdout.read(dataset).measure(Model(registry.download(version, Path(place)))).auc
    except GlmixError:  # no registry, no raw rows: the other reasons decide
        return {}
    return {"auc_today": today, "auc_promoted": float(version.tags[MEASURED])}
