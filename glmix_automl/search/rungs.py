"""Budgets that grow by a factor from rung to rung, and who climbs: nobody is dropped for a difference that is noise."""

import math
from bisect import insort
from collections.abc import Iterable, Mapping
from typing import Literal

import pydantic

from glmix_automl.search.auc_noise import AucNoise
from glmix_automl.search.entry import BUDGET_DIGITS, SpaceWork, draft, point
from glmix_automl.space import UnitPoint
from glmix_automl.trial import Result, Trial, Value


class RungOptions(SpaceWork):
    """A ladder of budgets, up to the entry's own `epochs` and `fraction`."""

    fidelity: Literal["epochs", "fraction"] = "epochs"
    """What grows: passes (a promotion continues from its checkpoint) or the share of entities (it starts over)."""
    reduction: int = pydantic.Field(default=3, ge=2)
    """Factor from one rung's budget to the next, and of the share that climbs."""
    rungs: int = pydantic.Field(default=4, ge=2, le=12)
    """How many budgets there are; the lowest is the full one divided by `reduction ** (rungs - 1)`."""
    noise: AucNoise = pydantic.Field(default=AucNoise(), validation_alias=pydantic.AliasChoices("noise", "doubt"))
    """When a difference counts."""

    @property
    def budgets(self) -> tuple[float, ...]:
        """From the lowest rung to the full budget, in epochs or as fractions."""
        full = self.epochs if self.fidelity == "epochs" else self.fraction
        return tuple(
            round(full / self.reduction ** (self.rungs - 1 - rung), BUDGET_DIGITS) for rung in range(self.rungs)
        )


def climbers(results: Iterable[Result], places: int, noise: AucNoise) -> list[int]:
    """Numbers of the scored results that climb, best first: `places` of them, and who is not clearly below the last."""
    ranked = sorted((r for r in results if r.state.scored), key=lambda r: (-float(r.quality or 0.0), r.number))
    if not places or not ranked:
        return []
    last = ranked[min(places, len(ranked)) - 1]
    return [r.number for position, r in enumerate(ranked) if position < places or not noise.clearly_below(r, last)]


class Standing:
    """Who is how good on one rung, kept in order: the next to climb is found without sorting everybody again."""

    def __init__(self, noise: AucNoise) -> None:
        self._noise = noise
        self._ranked: list[tuple[float, int]] = []  # minus the AUC and the number, of all scored
        self._waiting: list[tuple[float, int]] = []  # of those that did not climb
        self._results: dict[int, Result] = {}
        self._variances = (math.inf, 0.0)  # the least and the largest
        self.told = 0

    def add(self, result: Result) -> None:
        """Takes in a result; one that was not scored only counts."""
        self.told += 1
        if not result.state.scored:
            return
        place = (-float(result.quality or 0.0), result.number)
        insort(self._ranked, place)
        insort(self._waiting, place)
        self._results[result.number] = result
        least, largest = self._variances
        self._variances = min(least, result.quality_variance), max(largest, result.quality_variance)

    def take(self, number: int) -> None:
        """One that climbed in an earlier session."""
        self._waiting = [place for place in self._waiting if place[1] != number]

    def climb(self, places: int) -> int | None:
        """The first of `climbers` that has not climbed yet, which it then has; None if there is none."""
        if not places or not self._ranked:
            return None
        final = self._ranked[min(places, len(self._ranked)) - 1]
        last = self._results[final[1]]
        # A margin is the wider, the further apart two variances are, so it is widest at an end of them.
        margin = max(self._noise.margin(end, last.quality_variance) for end in self._variances)
        for position, (minus, number) in enumerate(self._waiting):
            if (minus, number) > final and minus - final[0] > margin:
                return None
            if (minus, number) <= final or not self._noise.clearly_below(self._results[number], last):
                del self._waiting[position]
                return number
        return None


class Ascent:
    """The trials of a ladder: which point, on which rung, what came of it."""

    def __init__(self, options: RungOptions, seed: int) -> None:
        self.options, self._seed = options, seed
        self.points: list[UnitPoint] = []  # by trial number
        self.rungs: list[int] = []  # by trial number
        self.lower: list[int | None] = []  # the trial that this one promotes, by trial number
        self.results: dict[int, Result] = {}
        self._chosen: list[Mapping[str, Value]] = []  # by trial number
        self._news: dict[int, Result] = {}

    def tell(self, result: Result) -> None:
        """Keeps a result until the next ask takes note of it."""
        self._news[result.number] = result

    def take_note(self) -> list[Result]:
        """Takes in what was told, in the order of numbers, so that the order of telling leaves no trace; gives it."""
        news = [self._news[number] for number in sorted(self._news)]
        self.results.update((result.number, result) for result in news)
        self._news = {}
        return news

    @property
    def pending(self) -> list[int]:
        """Trials that were asked and not told."""
        return [number for number in range(len(self.points)) if number not in self.results]

    def begin(self, at: UnitPoint, rung: int, tags: Mapping[str, str] | None = None) -> Trial:
        """A new point on a rung."""
        return self._draft(self.options.space.from_unit(at[None])[0], rung, None, tags)

    def promote(self, number: int, rung: int, tags: Mapping[str, str] | None = None) -> Trial:
        """The point of a finished trial on a higher rung."""
        return self._draft(self._chosen[number], rung, number, tags)

    def _draft(self, what: Mapping[str, Value], rung: int, lower: int | None, tags: Mapping[str, str] | None) -> Trial:
        options, number = self.options, len(self.points)
        budget, continues = options.budgets[rung], options.fidelity == "epochs"
        trial = draft(
            options,
            self._seed,
            number,
            what,
            epochs=budget if continues else options.epochs,
            fraction=options.fraction if continues else budget,
            parent=lower if continues else None,
            tags={"rung": str(rung), **(tags or {})} | ({} if lower is None else {"promotes": str(lower)}),
        )
        self.remember(trial)
        return trial

    def remember(self, trial: Trial) -> None:
        """Takes in a trial of `begin` or `promote`, just made or of an earlier session."""
        lower = trial.tags.get("promotes")
        self.lower.append(None if lower is None else int(lower))
        self.points.append(point(self.options, trial) if lower is None else self.points[int(lower)])
        self.rungs.append(int(trial.tags["rung"]))
        self._chosen.append(self.options.locate(trial))
