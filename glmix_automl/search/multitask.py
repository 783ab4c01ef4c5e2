"""Multitask search: cheap trials inform the full ones, by one Gaussian process over (parameters, budget).

After Swersky et al. (2013) and Klein et al. (2017): the budget is one more dimension of the process, so it learns from
the results themselves how far a small budget speaks for the full one. What is tried next, a new point at any budget or
the promotion of an old one, is what is expected to gain most at the full budget per worker-second: a full trial by
expected improvement, a smaller one by the improvement that its answer is expected to reveal (the knowledge gradient of
one point, Frazier et al. 2009; cost-aware as in Poloczek et al. 2017).

Where small budgets mislead, full trials alone foretell each other better, left out one at a time. As long as they do,
it is plain Bayesian search: full trials only, chosen by a process of full trials.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pydantic

from glmix_automl.search.bayes import INCUMBENTS
from glmix_automl.search.entry import SeenPoints
from glmix_automl.search.objectives import clip_tail, standardise
from glmix_automl.search.random_search import design
from glmix_automl.search.rungs import Ascent, RungOptions
from glmix_automl.search.surrogates.acquisition import expected_improvement, log_expected_improvement
from glmix_automl.search.surrogates.calibration import fit_lines
from glmix_automl.search.surrogates.candidates import CandidateSampler
from glmix_automl.search.surrogates.centred_prior import CentredPrior
from glmix_automl.search.surrogates.encoding import Encoding
from glmix_automl.search.surrogates.gaussian_process import WIDE, GaussianPosterior, GaussianProcess, weight
from glmix_automl.search.surrogates.seconds import expected_seconds
from glmix_automl.search.surrogates.surrogate import Floats64
from glmix_automl.seeds import generator
from glmix_automl.space import UnitPoint
from glmix_automl.trial import Result, Trial

FEWEST_FULL = 4
"""Fewest full trials that are asked whether the smaller ones mislead; never fewer than one more than parameters."""
PROMOTABLE = 60
"""Most finished points, the best ones, that are looked at for a promotion."""


class MultitaskOptions(RungOptions):
    """How many trials, and how it begins."""

    trials: int = pydantic.Field(default=300, ge=1)
    """Trials on all rungs together."""
    start: int | None = pydantic.Field(default=None, ge=2)
    """Points of the start on the lowest rung, the middle and points drawn inwards; by default twice the parameters,
    at least 6 and at most 20."""
    candidates: int = pydantic.Field(default=300, ge=10)
    """New points compared per call on every rung; where only the full one counts, as many times more as rungs."""


class _Learnt(NamedTuple):
    """What a choice is made from: numbers of the finished trials, their values, the discrepancy by rung.

    `misled` says that full trials foretell each other better without the smaller ones.
    """

    numbers: list[int]
    values: Floats64
    discrepancy: Floats64
    misled: bool


class _Option(NamedTuple):
    """What could be tried: a point, and the finished trial it would continue, if any."""

    point: UnitPoint
    lower: int | None


class Multitask:
    """Chooses points and budgets together; ends after `trials`, or when a finite space is used up."""

    def __init__(self, options: MultitaskOptions, seed: int) -> None:
        self._options, self._seed = options, seed
        self._ascent = Ascent(options, seed)
        centred = CentredPrior(options.space)
        start = options.start or min(max(2 * len(options.space.names), 6), 20)
        self._design = design(options.space, min(start, options.trials), "sobol", generator(seed, "start"), centred)
        self._candidates = CandidateSampler(options.space, options.candidates, centred)
        self._full_candidates = CandidateSampler(options.space, options.candidates * options.rungs, centred)
        self._seen = SeenPoints()
        self._continued: set[int] = set()
        self._process = GaussianProcess(WIDE)
        self._full_process = GaussianProcess()
        self._encoding = Encoding(options.space, absent=0.5)

    def tell(self, result: Result) -> None:
        """Learns how a trial ended; one that failed counts as the worst of its rung so far."""
        self._ascent.tell(result)

    def ask(self, n: int) -> list[Trial]:
        """The `n` trials with the largest expected gain per worker-second, each with the ones before it as pending."""
        self._ascent.take_note()
        wanted = min(n, self._options.trials - len(self._ascent.points))
        trials: list[Trial] = []
        while len(trials) < wanted and len(self._ascent.points) < len(self._design):
            trials.append(self._begin(self._design[len(self._ascent.points)], 0))
        if len(trials) == wanted:
            return trials
        if not self._compares:
            return trials + self._blind(wanted - len(trials))
        return trials + self._choose(wanted - len(trials))

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        """See `Strategy`: learns what it had learnt then, and takes what was chosen."""
        self._ascent.take_note()
        begun = len(self._ascent.points)
        wanted, listed = min(n, self._options.trials - begun), max(len(self._design) - begun, 0)
        for trial in trials[:listed]:
            self._remember(trial)
        if listed < wanted and self._compares:
            self._learn(generator(self._seed, "choose", len(self._ascent.points)))
        for trial in trials[listed:]:
            self._remember(trial)

    def _remember(self, trial: Trial) -> None:
        self._ascent.remember(trial)
        self._keep(trial)

    def _keep(self, trial: Trial) -> Trial:
        lower = self._ascent.lower[trial.number]
        if lower is None:
            self._seen.add(self._ascent.points[trial.number][None])
        else:
            self._continued.add(lower)
        return trial

    @property
    def _compares(self) -> bool:
        return sum(result.state.scored for result in self._ascent.results.values()) >= 2

    def _begin(self, at: UnitPoint, rung: int) -> Trial:
        return self._keep(self._ascent.begin(at, rung))

    def _blind(self, n: int) -> list[Trial]:
        """New points on the lowest rung, while there is nothing to compare."""
        rng = generator(self._seed, "blind", len(self._ascent.points))
        return [self._begin(at, 0) for at in self._candidates.draw(np.empty((0, 0)), self._seen, rng)[:n]]

    def _learn(self, rng: np.random.Generator) -> _Learnt:
        """Fits the processes to all that was told."""
        ascent = self._ascent
        numbers = sorted(ascent.results)
        values, discrepancy = self._values(numbers)
        rungs = [ascent.rungs[number] for number in numbers]
        self._process.fit(self._encoded(numbers), values, weight(discrepancy)[rungs], rng)
        return _Learnt(numbers, values, discrepancy, self._misled(numbers, values, rng))

    def _misled(self, numbers: list[int], values: Floats64, rng: np.random.Generator) -> bool:
        """Whether full trials, of which there must be some, are foretold better by each other than by all trials."""
        rows = [row for row, number in enumerate(numbers) if self._is_full(number)]
        if len(rows) < max(len(self._options.space.names) + 1, FEWEST_FULL):
            return False
        full, unit = standardise(values[rows]), float(np.std(clip_tail(values[rows]))) or 1.0
        encoded = self._encoding(self._points([numbers[row] for row in rows]))
        self._full_process.fit(encoded, full, np.ones(len(rows)), rng)
        return bool(np.mean(self._full_process.left_out() - math.log(unit)) > np.mean(self._process.left_out()[rows]))

    def _is_full(self, number: int) -> bool:
        return self._ascent.rungs[number] == self._options.rungs - 1

    def _choose(self, n: int) -> list[Trial]:
        ascent, top = self._ascent, self._options.rungs - 1
        rng = generator(self._seed, "choose", len(ascent.points))
        numbers, values, discrepancy, misled = self._learn(rng)
        options = self._open(numbers, values, misled, rng)
        if not options:
            return []
        cost = self._cost(numbers, options)
        full = values[[self._is_full(number) for number in numbers]]
        if misled:
            return self._choose_full(n, options, cost[top], full)
        points = np.array([option.point for option in options])
        pending = ascent.pending
        rows = [self._with_rung(points, np.full(len(points), rung)) for rung in range(top + 1)]
        posterior = self._process.posterior(
            np.empty((0, rows[0].shape[1])), None, np.vstack([*rows, self._encoded(pending)])
        )
        for position, number in enumerate(pending):
            posterior.imagine(len(points) * (top + 1) + position, discrepancy[ascent.rungs[number]])
        best_full = float(full.max()) if len(full) else float(np.median(values))
        trials: list[Trial] = []
        while len(trials) < n:
            worth = self._gain(posterior, discrepancy, len(points), best_full) / cost
            rung, position = divmod(int(np.argmax(worth)), len(points))
            if not np.isfinite(cost[rung, position]):
                break
            trials.append(self._take(options[position], rung))
            cost[:, position] = np.inf
            posterior.imagine(rung * len(points) + position, discrepancy[rung])
        return trials

    def _choose_full(self, n: int, options: list[_Option], cost: Floats64, values: Floats64) -> list[Trial]:
        """As `_choose`, by full trials alone, of these values; `cost` is of each option at the full budget."""
        top, pending = self._options.rungs - 1, [number for number in self._ascent.pending if self._is_full(number)]
        candidates = self._encoding(np.array([option.point for option in options]))
        posterior = self._full_process.posterior(self._encoding(self._points(pending)), None, candidates)
        best, trials = float(standardise(values).max()), list[Trial]()
        for _ in range(min(n, len(options))):
            worth = log_expected_improvement(*posterior.moments(), best, 0.0) - np.log(cost)
            position = int(np.argmax(worth))
            trials.append(self._take(options[position], top))
            cost[position] = np.inf
            posterior.imagine(position)
        return trials

    def _take(self, option: _Option, rung: int) -> Trial:
        if option.lower is None:
            return self._begin(option.point, rung)
        return self._keep(self._ascent.promote(option.lower, rung))

    def _open(self, numbers: list[int], values: Floats64, misled: bool, rng: np.random.Generator) -> list[_Option]:
        """New points, and the best finished ones below the top that nothing continues yet.

        All of those where smaller budgets mislead: what looks worst there may be the best.
        """
        ascent, order = self._ascent, np.argsort(-values, kind="stable")
        known = [i for i in order if self._is_full(numbers[i])] if misled else order
        best = np.array([ascent.points[numbers[i]] for i in known[:INCUMBENTS]])
        sampler = self._full_candidates if misled else self._candidates
        fresh = [_Option(point, None) for point in sampler.draw(best, self._seen, rng)]
        if len(fresh) > self._options.candidates and not misled:
            kept = rng.choice(len(fresh), self._options.candidates, replace=False)
            fresh = [fresh[i] for i in sorted(kept)]
        finished = [
            _Option(ascent.points[number], number)
            for number in (numbers[i] for i in order)
            if number not in self._continued and not self._is_full(number) and ascent.results[number].state.scored
        ]
        return fresh + (finished if misled else finished[:PROMOTABLE])

    def _gain(self, posterior: GaussianPosterior, discrepancy: Floats64, points: int, best_full: float) -> Floats64:
        """Expected gain at the full budget of trying each point on each rung, [rungs, points]."""
        top = self._options.rungs - 1
        mean, deviation = posterior.moments()
        whole = np.arange(points) + top * points
        known = max(best_full, float(mean[whole].max()))
        gain = np.empty((top + 1, points))
        gain[top] = expected_improvement(mean[whole], deviation[whole], best_full, 0.0)
        for rung in range(top):
            part = np.arange(points) + rung * points
            shared = posterior.covariance(part, whole)
            revealed = np.abs(shared) / np.sqrt(deviation[part] ** 2 + self._process.noise + discrepancy[rung])
            gain[rung] = expected_improvement(mean[whole], np.maximum(revealed, 1e-9), known, 0.0)
        return np.maximum(gain, 0.0) + 1e-300

    def _values(self, numbers: list[int]) -> tuple[Floats64, Floats64]:
        """What each AUC says of the full one, scaled [numbers]; the discrepancy per rung, a variance [rungs]."""
        ascent = self._ascent
        rungs = np.array([ascent.rungs[number] for number in numbers])
        aucs = np.array([float(r.quality) if (r := ascent.results[n]).quality is not None else np.nan for n in numbers])
        lines = fit_lines([ascent.points[number].tobytes() for number in numbers], rungs, aucs, self._options.rungs)
        full = np.array([lines[rung].full(auc) for rung, auc in zip(rungs, aucs, strict=True)])
        full = np.where(np.isnan(full), np.nanmin(full), full)
        values, unit = standardise(full), float(np.std(clip_tail(full))) or 1.0
        return values, np.array([each.variance for each in lines]) / unit**2

    def _encoded(self, numbers: list[int]) -> Floats64:
        """Encoded points of trials with their rungs, [numbers, columns]."""
        rungs = np.array([self._ascent.rungs[number] for number in numbers], float)
        return self._with_rung(self._points(numbers), rungs)

    def _points(self, numbers: list[int]) -> UnitPoint:
        """Points of trials, [numbers, parameters]."""
        points = np.array([self._ascent.points[number] for number in numbers])
        return points.reshape(len(numbers), len(self._options.space.names))

    def _with_rung(self, points: UnitPoint, rungs: "np.ndarray") -> Floats64:
        encoded = self._encoding(points)
        # Until results tell, the lowest budget says half of the full one: they are one usual length scale apart.
        apart = WIDE.usual(encoded.shape[1] + 1)
        return np.column_stack([encoded, rungs / (self._options.rungs - 1) * apart])

    def _cost(self, numbers: list[int], options: list[_Option]) -> Floats64:
        """Expected worker-seconds of each point on each rung, infinite where it was already, [rungs, points]."""
        budgets = np.array(self._options.budgets)
        rates, rows = [], []
        for number in numbers:
            result = self._ascent.results[number]
            if result.costs.worker_seconds > 0 and result.state.scored:
                rates.append(result.costs.worker_seconds / self._work(number))
                rows.append(number)
        points = self._encoding(np.array([option.point for option in options]))
        speed = np.ones(len(options))
        if rows:
            known = self._encoding(self._points(rows))
            speed = expected_seconds(known, np.array(rates), points)
        cost = budgets[:, None] * speed[None]
        for position, option in enumerate(options):
            if option.lower is not None:
                rung = self._ascent.rungs[option.lower]
                if self._options.fidelity == "epochs":
                    cost[:, position] -= budgets[rung] * speed[position]
                cost[: rung + 1, position] = np.inf
        return cost

    def _work(self, number: int) -> float:
        """Budget that a trial itself went through, without what it continued."""
        budgets, ascent = self._options.budgets, self._ascent
        lower = ascent.lower[number]
        begun = budgets[ascent.rungs[lower]] if lower is not None and self._options.fidelity == "epochs" else 0.0
        return budgets[ascent.rungs[number]] - begun
