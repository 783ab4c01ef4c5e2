"""What a search is where nobody says: the race, its limits and the arms of growth, from the dataset's schema and rows.

Written out into the settings of a new study, so that one that goes on is the race that it began as.
"""

import logging
from dataclasses import dataclass
from typing import Any

from glmix_automl.dataset import Dataset
from glmix_automl.metrics import Measure
from glmix_automl.schema import Schema
from glmix_automl.search.growth.arms import Turn
from glmix_automl.search.growth.default_arms import (
    LINEAR,
    LINEAR_ENTRY,
    NETWORK,
    PAIRS_ENTRY,
    PAIRWISE,
    TREES_ENTRY,
    make_default_arms,
    size_linear,
    size_trees,
)
from glmix_automl.study.settings import EntryBudget, EntrySettings, Limits, SearchSettings

SECONDS = 600.0  # of the default race on HOME_ROWS, by the clock
HOME_ROWS = 100_000
SHORTEST, LONGEST = 120.0, 3600.0
GROWTH_SHARE, TUNING_SHARE = 0.6, 0.25  # of the worker-seconds; the rest is for the baselines and for starting
LINEAR_SHARE, TREES_SHARE = 0.25, 0.35  # of the seconds, at most: the rest of the race is to have heard of them
TREES_OF_GROWTH, LINEAR_OF_GROWTH = 0.3, 0.15  # of the worker-seconds of growth alone: what it begins with
TUNING_ROWS = 200_000  # that a trial of tuning trains on, in all its epochs
TUNING_TRIALS = 24

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RacePlan:
    """The default race of a dataset.

    Attributes:
        race, limits: of the settings.
        left_out: what the size of the data made it leave out, a line each.
    """

    race: dict[str, EntrySettings]
    limits: Limits
    left_out: tuple[str, ...] = ()


def fill_in(settings: SearchSettings, dataset: Dataset, begun: SearchSettings | None) -> SearchSettings:
    """The settings with the default race where there is none, and arms wherever growth has no generator.

    Args:
        settings: as configured.
        dataset: of the study.
        begun: settings of a study that is to go on: what was filled in when it began stays.
    """
    if not settings.race and begun is not None:
        limits = begun.limits if settings.limits == Limits() else settings.limits
        own: dict[str, Any] = {"race": begun.race, "baseline": begun.baseline, "limits": limits}
        return settings.model_copy(update=own | ({"refit": begun.refit} if settings.refit is None else {}))
    if not settings.race:
        plan = make_default_race(settings, dataset.schema, dataset.rows("train"))
        for line in plan.left_out:
            log.info("default race: %s", line)
        refit = "time_left" if settings.refit is None else settings.refit
        own = {"race": plan.race, "limits": plan.limits, "left_out": plan.left_out, "refit": refit}
        return settings.model_copy(update=own)
    earlier = {} if begun is None else begun.race
    within = Measure(settings.measure).needs_members
    blocks = needs_blocks(settings)
    linear, race = None, dict[str, EntrySettings]()
    for name, entry in settings.race.items():
        race[name] = _with_arms(entry, dataset, earlier.get(name), within, blocks, linear)
        linear = linear or _linear_by(name, entry)
    return settings.model_copy(update={"race": race})


def _linear_by(name: str, entry: EntrySettings) -> Turn | None:
    """The linear model that growth begins with, if an entry before it trains just that one."""
    if entry.strategy != "fixed" or entry.options != {"family": "logistic", "parameters": LINEAR}:
        return None
    return size_linear(0).model_copy(update={"trained_by": name})


def _with_arms(
    entry: EntrySettings,
    dataset: Dataset,
    begun: EntrySettings | None,
    within_members: bool,
    in_blocks: bool,
    linear: Turn | None,
) -> EntrySettings:
    if entry.strategy != "adanet" or "generator" in entry.options:
        return entry
    if begun is not None:
        known: dict[str, Any] = {key: begun.options[key] for key in ("generator", "weighting") if key in begun.options}
        return entry.model_copy(update={**known, **entry.options})
    rows = dataset.rows("train")
    arms = make_arms_within(entry.budget.worker_seconds, dataset.schema, rows, within_members, in_blocks, linear)
    return entry.model_copy(update={"weighting": "positive", **entry.options, "generator": arms})


def make_arms_within(
    limit: float | None,
    schema: Schema | None,
    rows: int,
    within_members: bool = False,
    in_blocks: bool = False,
    linear: Turn | None = None,
) -> dict[str, Any]:
    """Arms of growth that has so many worker-seconds, all its own but for the linear model of another entry; as
    `make_default_arms` gives them.
    """
    tree_seconds = None if limit is None else TREES_OF_GROWTH * limit
    linear = linear or size_linear(rows, None if limit is None else LINEAR_OF_GROWTH * limit)
    return make_default_arms(schema, rows, limit, within_members, tree_seconds, in_blocks, linear, in_race=False)


def make_default_race(settings: SearchSettings, schema: Schema | None, rows: int) -> RacePlan:
    """Logistic regression, trees, tuning of networks, growth, and all of these weighed together.

    Its time grows with the rows. Growth plans its networks by how long the first takes; a trial of tuning sees as many
    rows as leave time for others.

    Args:
        settings: workers and limits.
        schema: of the dataset; None for a race that goes with any.
        rows: of train.
    """
    given = settings.limits.seconds
    seconds = given or min(max(SECONDS * rows / HOME_ROWS, SHORTEST), LONGEST)
    worker_seconds = seconds * settings.workers.slots * settings.workers.ranks
    growth = GROWTH_SHARE * worker_seconds
    fraction = min(1.0, round(TUNING_ROWS / max(rows, 1), 3))
    linear, trees = size_linear(rows, LINEAR_SHARE * seconds), size_trees(rows, seconds=TREES_SHARE * seconds)
    within = Measure(settings.measure).needs_members
    blocks = needs_blocks(settings)
    arms = make_default_arms(schema, rows, growth, within, TREES_SHARE * seconds, blocks, linear)
    boosted: dict[str, Any] = {"family": "trees", "parameters": trees.parameters, "fraction": trees.fraction}
    paired: dict[str, Any] = {**boosted, "parameters": {**trees.parameters, **PAIRWISE}}
    race = {
        LINEAR_ENTRY: _entry("fixed", family="logistic", parameters=LINEAR, fraction=linear.fraction),
        TREES_ENTRY: _entry("fixed", **boosted),
        **({PAIRS_ENTRY: _entry("fixed", **paired)} if within else {}),
        "bayes": _entry("bayes", TUNING_SHARE * worker_seconds, **_tuning(schema, fraction)),
        "adanet": _entry("adanet", growth, weighting="positive", generator=arms),
        "all": _entry("all"),
    }
    if blocks:
        race = {name: entry for name, entry in race.items() if name not in (TREES_ENTRY, PAIRS_ENTRY)}
    left_out = []
    if linear.fraction < 1:
        left_out.append(f"logistic regression sees {linear.fraction:.1%} of the {rows:,} training rows")
    if fraction < 1:
        left_out.append(f"each trial of tuning sees {fraction:.1%} of the {rows:,} training rows")
    if trees.fraction < 1:
        left_out.append(f"trees see {trees.fraction:.1%} of them")
    if blocks:
        left_out.append("trees, which need all rows in the memory of one process")
    return RacePlan(race, settings.limits.model_copy(update={"seconds": seconds}), tuple(left_out))


def needs_blocks(settings: SearchSettings) -> bool:
    """Whether no process of a search has all training rows in memory."""
    return settings.workers.ranks > 1 or settings.workers.memory_mb is not None


def _tuning(schema: Schema | None, fraction: float) -> dict[str, Any]:
    space: dict[str, Any] = {
        "depth": {"type": "int", "low": 1, "high": 4},
        "width": {"type": "int", "low": 16, "high": 256, "scale": "power_of_two"},
        "learning_rate": {"type": "float", "low": 0.0003, "high": 0.01, "scale": "log"},
        "dropout": {"type": "float", "low": 0.0, "high": 0.5},
    }
    if schema is None or schema.categoricals or schema.bags:
        space["terms"] = {"choice": [0, 50, 100, 1000]}
        space["table_learning_rate"] = {"type": "float", "low": 0.03, "high": 0.3, "scale": "log"}
    fixed = {name: value for name, value in NETWORK.items() if name not in space}
    work = {"family": "subnetwork", "parameters": fixed, "fraction": fraction, "epochs": 3}
    return {**work, "trials": TUNING_TRIALS, "space": space}


def _entry(strategy: str, worker_seconds: float | None = None, **options: Any) -> EntrySettings:
    budget = EntryBudget(worker_seconds=worker_seconds and round(worker_seconds, 1))
    return EntrySettings.model_validate({"strategy": strategy, "budget": budget, **options})
