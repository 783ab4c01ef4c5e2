"""Budgets that grow by a factor from rung to rung, and who climbs: nobody is dropped for a difference that is noise."""

from collections.abc import Iterable, Mapping
from typing import Literal

import pydantic

from glmix_automl.search.doubt import Doubt
from glmix_automl.search.entry import BUDGET_DIGITS, SpaceWork, draft
from glmix_automl.space import Unit
from glmix_automl.trial import Result, Trial


class RungOptions(SpaceWork):
    """A ladder of budgets, up to the entry's own `epochs` and `fraction`."""

    fidelity: Literal["epochs", "fraction"] = "epochs"
    """What grows: passes (a promotion continues from its checkpoint) or the share of entities (it starts over)."""
    reduction: int = pydantic.Field(default=3, ge=2)
    """Factor from one rung's budget to the next, and of the share that climbs."""
    rungs: int = pydantic.Field(default=4, ge=2, le=12)
    """How many budgets there are; the lowest is the full one divided by `reduction ** (rungs - 1)`."""
    doubt: Doubt = Doubt()
    """When a difference counts."""

    @property
    def budgets(self) -> tuple[float, ...]:
        """From the lowest rung to the full budget, in epochs or as fractions."""
        full = self.epochs if self.fidelity == "epochs" else self.fraction
        return tuple(
            round(full / self.reduction ** (self.rungs - 1 - rung), BUDGET_DIGITS) for rung in range(self.rungs)
        )


def climbers(results: Iterable[Result], places: int, doubt: Doubt) -> list[int]:
    """Numbers of the scored results that climb, best first: `places` of them, and who is not clearly below the last."""
    ranked = sorted((r for r in results if r.state.scored), key=lambda r: (-float(r.auc or 0.0), r.number))
    if not places or not ranked:
        return []
    last = ranked[min(places, len(ranked)) - 1]
    return [r.number for position, r in enumerate(ranked) if position < places or not doubt.clearly_below(r, last)]


class Ascent:
    """The trials of a ladder: which point, on which rung, what came of it."""

    def __init__(self, options: RungOptions, seed: int) -> None:
        self.options, self._seed = options, seed
        self.points: list[Unit] = []  # by trial number
        self.rungs: list[int] = []  # by trial number
        self.lower: list[int | None] = []  # the trial that this one promotes, by trial number
        self.results: dict[int, Result] = {}
        self._news: dict[int, Result] = {}

    def tell(self, result: Result) -> None:
        """Keeps a result until the next ask takes note of it."""
        self._news[result.number] = result

    def take_note(self) -> None:
        """Takes in what was told, in the order of numbers, so that the order of telling leaves no trace."""
        for number in sorted(self._news):
            self.results[number] = self._news[number]
        self._news = {}

    @property
    def pending(self) -> list[int]:
        """Trials that were asked and not told."""
        return [number for number in range(len(self.points)) if number not in self.results]

    def begin(self, point: Unit, rung: int, tags: Mapping[str, str] | None = None) -> Trial:
        """A new point on a rung."""
        return self._draft(point, rung, None, tags)

    def promote(self, number: int, rung: int, tags: Mapping[str, str] | None = None) -> Trial:
        """The point of a finished trial on a higher rung."""
        return self._draft(self.points[number], rung, number, tags)

    def _draft(self, point: Unit, rung: int, lower: int | None, tags: Mapping[str, str] | None) -> Trial:
        options, number = self.options, len(self.points)
        self.points.append(point)
        self.rungs.append(rung)
        self.lower.append(lower)
        budget, continues = options.budgets[rung], options.fidelity == "epochs"
        return draft(
            options,
            self._seed,
            number,
            options.space.from_unit(point[None])[0],
            epochs=budget if continues else options.epochs,
            fraction=options.fraction if continues else budget,
            parent=lower if continues else None,
            tags={"rung": str(rung), **(tags or {})} | ({} if lower is None else {"promotes": str(lower)}),
        )
