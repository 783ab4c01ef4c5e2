"""Grids that end too early: where the best point of a race's grid lies at an end of a numeric parameter."""

from collections.abc import Mapping

from glmix_automl.reporting.leaderboard import entry_model
from glmix_automl.study.history import History
from glmix_automl.study.settings import EntrySettings

LEAST_VALUES = 3  # of a parameter, for an end to be one


def find_edges(race: Mapping[str, EntrySettings], history: History) -> tuple[str, ...]:
    """A sentence for each real-valued parameter of a grid whose best value is its lowest or its highest."""
    found = []
    for name in (name for name, entry in race.items() if entry.strategy == "grid"):
        best = entry_model(history, name)
        tried = [trial.parameters for trial, _ in history.scored(name)]
        for parameter, value in best[0].parameters.items() if best is not None else ():
            values = {known for p in tried if isinstance(known := p.get(parameter), float)}
            ends = {"lowest": min(values, default=None), "highest": max(values, default=None)}
            which = next((end for end, other in ends.items() if value == other), None)
            if len(values) >= LEAST_VALUES and which is not None:
                found.append(f"{name}: the best {parameter}, {value:g}, is the {which} of its grid; extend it")
    return tuple(found)
