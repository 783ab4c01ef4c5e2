"""What tuning is measured on: recorded tables and functions, each with a space, a cost and a 144-point grid."""

import csv
import itertools
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from glmix_automl.seeds import generator
from glmix_automl.space import Space
from glmix_automl.trial import Costs, Result, State, Trial, Value

TABLES = Path(__file__).parent / "tables"
SPARSE = {
    "depth": [0, 1, 3],
    "width": [0, 2],
    "embedding_width": [0, 1],
    "learning_rate": [0, 2, 3, 5],
    "table_learning_rate": [0, 1, 2],
}
"""The levels of `record_table.py`, counted from 0, that make the 144-point grid."""
EPOCHS = 27.0
"""Full budget; tables and functions answer at 1, 3, 9 and 27."""


@dataclass(frozen=True)
class Problem:
    """A search to measure.

    Attributes:
        name: shown in the output.
        space: what may be tried.
        value: AUC (or what stands for it) of parameters at a budget of 1 to 27 epochs; larger is better.
        seconds: worker-seconds of parameters at full budget.
        grid: resolution that makes the 144-point grid.
        best: the largest value there is.
        near: how close to the best counts as reaching it.
        variance: DeLong's, of a full trial.
        epochs: what each trial of the run reached, by number: a promotion costs only the rest.
    """

    name: str
    space: Space
    value: Callable[[Mapping[str, Value], float], float]
    seconds: Callable[[Mapping[str, Value]], float]
    best: float
    near: float
    grid: dict[str, int] = field(default_factory=dict)
    grid_points: tuple[dict[str, Value], ...] = ()
    variance: float = 0.0
    epochs: dict[int, float] = field(default_factory=dict)

    def carry_out(self, trial: Trial) -> tuple[Result, float]:
        """The result of a trial and how long it takes: in proportion to its epochs."""
        begun = self.epochs[trial.parent] if trial.parent is not None else 0.0
        self.epochs[trial.number] = trial.epochs
        seconds = self.seconds(trial.parameters) * (trial.epochs - begun) / EPOCHS
        auc = self.value(trial.parameters, trial.epochs)
        metrics = {"auc_variance": self.variance}
        return Result(trial.number, State.FINISHED, auc, 0.0, metrics, costs=Costs(worker_seconds=seconds)), seconds


def _floats(count: int, low: float = 0.0, high: float = 1.0) -> dict[str, Any]:
    return {f"x{i}": {"type": "float", "low": low, "high": high} for i in range(count)}


def _uneven(parameters: Mapping[str, Value]) -> float:
    """Seconds of a trial of a function: log-normal with deviation 0.5, the same for the same parameters."""
    return float(np.exp(0.5 * generator(0, "seconds", repr(sorted(parameters.items()))).normal()) * 60)


def _with_epochs(full: Callable[[Mapping[str, Value]], float], depth: float) -> Callable[..., float]:
    """A learning curve below the full value: what is missing halves with each doubling, by a factor of its own."""

    def value(parameters: Mapping[str, Value], epochs: float) -> float:
        own = 0.5 + generator(0, "curve", repr(sorted(parameters.items()))).random()
        return full(parameters) - depth * own * (1 / epochs - 1 / EPOCHS)

    return value


def branin() -> Problem:
    """Branin, two parameters, three optima at -0.397887."""

    def full(p: Mapping[str, Value]) -> float:
        x, y = 15 * float(p["x0"]) - 5, 15 * float(p["x1"])  # type: ignore[arg-type]
        b, c, t = 5.1 / (4 * math.pi**2), 5 / math.pi, 1 / (8 * math.pi)
        return -((y - b * x**2 + c * x - 6) ** 2 + 10 * (1 - t) * math.cos(x) + 10)

    space = Space.model_validate(_floats(2))
    return Problem("branin", space, _with_epochs(full, 1.0), _uneven, -0.397887, 0.05, dict.fromkeys(space.names, 12))


def hartmann6() -> Problem:
    """Hartmann, six parameters, optimum 3.32237."""
    alpha = np.array([1.0, 1.2, 3.0, 3.2])
    a = np.array(
        [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    )
    centre = 1e-4 * np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    )

    def full(p: Mapping[str, Value]) -> float:
        x = np.array([float(p[f"x{i}"]) for i in range(6)])  # type: ignore[arg-type]
        return float(alpha @ np.exp(-(a * (x - centre) ** 2).sum(1)))

    space = Space.model_validate(_floats(6))
    grid = dict(zip(space.names, [3, 3, 2, 2, 2, 2], strict=True))
    return Problem("hartmann6", space, _with_epochs(full, 0.5), _uneven, 3.32237, 0.25, grid)


def mixed() -> Problem:
    """Learning rate, l2, batch, choice of optimiser and a depth with widths that exist only where there is depth."""
    space = Space.model_validate(
        {
            "learning_rate": {"type": "float", "low": 1e-5, "high": 1, "scale": "log"},
            "l2": {"type": "float", "low": 1e-8, "high": 1, "scale": "log"},
            "batch": {"type": "int", "low": 16, "high": 1024, "scale": "power_of_two"},
            "optimiser": {"choice": ["sgd", "adagrad", "adam"]},
            "depth": {"type": "int", "low": 0, "high": 3},
            "width": {"type": "int", "low": 8, "high": 512, "scale": "power_of_two", "when": {"depth": {"low": 1}}},
            "dropout": {"type": "float", "low": 0, "high": 0.8, "when": {"depth": {"low": 1}}},
        }
    )

    def full(p: Mapping[str, Any]) -> float:
        rate = math.log10(p["learning_rate"]) + 0.3 * math.log2(p["batch"] / 128) * 0.301
        ideal = {"sgd": -0.7, "adagrad": -1.5, "adam": -2.8}[p["optimiser"]] - 0.15 * p["depth"]
        gap = min((rate - ideal) ** 2 * 0.012, 0.15)
        gap += (
            0.002 * (math.log10(p["l2"]) + 4.5) ** 2 / 4 + {"sgd": 0.012, "adagrad": 0.004, "adam": 0.0}[p["optimiser"]]
        )
        capacity = p["depth"] * math.log2(p["width"]) if p["depth"] else 0.0
        gap += 0.03 * (1 - math.exp(-(((capacity - 13) / 9) ** 2)))
        if p["depth"]:
            gap += 0.02 * (p["dropout"] - 0.02 * capacity) ** 2
        return 0.78 - gap

    def seconds(p: Mapping[str, Any]) -> float:
        return 20 + (p["depth"] * p["width"] / 8 if p["depth"] else 0) + 400 / p["batch"]

    grid = {"learning_rate": 6, "l2": 2, "batch": 1, "optimiser": 3, "depth": 2, "width": 3, "dropout": 1}
    return Problem("mixed", space, _with_epochs(full, 0.02), seconds, 0.78, 0.001, grid)


def table(path: Path, sparse: Mapping[str, list[int]]) -> Problem:
    """A recorded table: every combination of its levels, as whole numbers that count the levels.

    Args:
        path: CSV as `record_table.py` writes it; its four budgets stand for 1, 3, 9 and 27 epochs.
        sparse: the levels, counted from 0, that make the 144-point grid.
    """
    with path.open(newline="") as file:
        rows = [{name: float(text) for name, text in row.items()} for row in csv.DictReader(file)]
    budgets = [name for name in rows[0] if name.startswith("auc_") and name != "auc_variance"]
    names = list(rows[0])[: list(rows[0]).index(budgets[0])]
    levels = {name: sorted({row[name] for row in rows}) for name in names}
    found = {tuple(levels[name].index(row[name]) for name in names): row for row in rows}
    if len(found) < math.prod(map(len, levels.values())):
        sys.exit(f"{path} is not complete; record_table.py continues it")
    space = Space.model_validate({name: {"type": "int", "low": 0, "high": len(levels[name]) - 1} for name in names})

    def row(p: Mapping[str, Value]) -> dict[str, float]:
        return found[tuple(int(p[name]) for name in names)]  # type: ignore[arg-type]

    def value(p: Mapping[str, Value], epochs: float) -> float:
        return row(p)[budgets[min(round(math.log(max(epochs, 1), 3)), len(budgets) - 1)]]

    best = max(rows, key=lambda each: each[budgets[-1]])
    points = tuple(dict(zip(names, each, strict=True)) for each in itertools.product(*(sparse[name] for name in names)))
    return Problem(
        path.stem, space, value, lambda p: row(p)["seconds"], best[budgets[-1]], 0.0003,
        grid_points=points, variance=best["auc_variance"],
    )  # fmt: skip


def problems() -> dict[str, Problem]:
    """Every problem there is, by name."""
    found = [branin(), hartmann6(), mixed()]
    found += [table(path, SPARSE) for path in sorted(TABLES.glob("*.csv"))]
    return {problem.name: problem for problem in found}
