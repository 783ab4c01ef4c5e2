"""A search looked through before anything starts: every entry of its race, and what its trials would be.

Without dataset, Spark or workers. A wrong parameter would otherwise pass the check of the race and fail trial by trial.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from glmix_automl import models
from glmix_automl.config import parse, pick
from glmix_automl.ensemble import MIXTURE
from glmix_automl.errors import ConfigError, TrialError
from glmix_automl.search import STRATEGIES
from glmix_automl.search.entry import SpaceWork
from glmix_automl.space import Choice
from glmix_automl.study.defaults import make_default_race
from glmix_automl.study.earlier import read_plans
from glmix_automl.study.session import race
from glmix_automl.study.settings import EntrySettings, SearchSettings

TRIALS_ASKED = 64
"""Trials of each entry that are looked at: all of a fixed list or a small grid, the first of others."""

_Tried = tuple[str, Mapping[str, Any]]


def check(settings: SearchSettings) -> tuple[str, ...]:
    """Checks strategies, their options, and families and parameters of their trials; gives the entries' names.

    Raises:
        ConfigError: everything that is wrong, a line each.
    """
    problems: dict[str, None] = {}
    try:
        settings.tracking.check()
    except ConfigError as error:
        problems[str(error)] = None
    settings = (
        settings if settings.race else settings.model_copy(update={"race": make_default_race(settings, None, 0).race})
    )
    for name, entry in settings.race.items():
        without = entry.model_copy(update={"prior": []}) if "prior" in entry.options else entry  # read with the dataset
        alone = settings.model_copy(update={"race": {name: without}, "baseline": None})
        try:
            found = list(_combinations(name, read_plans(alone, None)))
        except ConfigError as error:
            problems |= dict.fromkeys(str(error).splitlines())
            continue
        told = (line for family, parameters in found for line in _problems(family, parameters))
        problems |= dict.fromkeys(f"race.{name}: {problem}" for problem in told)
    if problems:
        raise ConfigError("\n".join(problems))
    return tuple(settings.race)


def _combinations(name: str, settings: SearchSettings) -> Iterator[_Tried]:
    """Families and parameters of an entry's first trials, at the ends of its space and at every value of a choice."""
    (entry,) = race(settings).values()
    for trial in entry.strategy.ask(TRIALS_ASKED):
        yield trial.family, trial.parameters
    yield from _ends(name, settings.race[name])


def _ends(name: str, entry: EntrySettings) -> Iterator[_Tried]:
    options = parse(entry.options, pick(STRATEGIES, entry.strategy, "no strategy").options, f"race.{name}")
    if not isinstance(options, SpaceWork):
        return
    space = options.space
    levels = [int(p.levels) if isinstance(p, Choice) else 1 for p in space.parameters.values()]
    at = np.minimum(np.arange(max(levels, default=1))[:, None], np.array(levels) - 1)  # each of its last value on
    units = np.concatenate([np.outer([0.0, 1.0], np.ones(len(levels))), (at + 0.5) / levels])
    for point in space.from_unit(units):
        yield options.settle(point)


def _problems(family: str, parameters: Mapping[str, Any]) -> list[str]:
    """What is wrong with a trial."""
    if family == MIXTURE:
        return []
    try:
        models.check_parameters(family, parameters)
    except TrialError as error:
        return str(error).splitlines()
    return []
