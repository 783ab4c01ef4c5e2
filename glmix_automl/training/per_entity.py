"""Training of a random effect: rows brought together by entity, strengths estimated, every entity solved exactly."""

import dataclasses
import math
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from glmix_automl.dataset.block import Block
from glmix_automl.errors import TrialError
from glmix_automl.models.checkpoint import load_coordinate
from glmix_automl.models.design import Coefficients, Design, Floats, Grouping
from glmix_automl.models.effect_columns import PAIR
from glmix_automl.models.random_effect import STATES, RandomEffect
from glmix_automl.training.effect_problem import EffectProblem, draw_sample, group_rows, join
from glmix_automl.training.effect_rows import EffectRows, count_shares, gather_rows, share_of
from glmix_automl.training.held_out import leave_one_out
from glmix_automl.training.newton import RowTargets, Solution, solve, split_evenly
from glmix_automl.training.newton_steps import NEWTON_STEPS
from glmix_automl.training.prior import carry_over, recall
from glmix_automl.training.prior import join as join_known
from glmix_automl.training.source import Source, each_block
from glmix_automl.training.strength import estimate_precision
from glmix_automl.training.trainer import Budget, Fit, Moment, Setting, Start, Trainer, Watch
from glmix_automl.training.warm_start import load_checkpoint

GROUPINGS_KEPT = 6  # groupings, and designs, of the last effects: a sweep over coordinates comes back to them

NO_ROWS = Design.dense(np.zeros((0, 0), np.float32))  # in place of columns that are not needed any more

T = TypeVar("T")


class PerEntity(Trainer[RandomEffect]):
    """Newton's method for each entity (`training.newton`). Its rows need no order; they are brought together once.

    Ranks hold all rows and share out the entities by what they cost, so they say nothing to each other while solving.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._kept: OrderedDict[tuple[Any, ...], tuple[Any, Any]] = OrderedDict()

    def begin(self, coordinate: RandomEffect, start: Start) -> tuple[RandomEffect, float]:
        """See `Trainer`: what an earlier effect of the same entities knew is where solving begins, or a prior."""
        trial = start.trial
        earlier: Any = None
        if trial.checkpoint is not None:
            earlier = load_checkpoint(trial)
        elif trial.parent is not None:
            earlier = load_coordinate(start.parent, coordinate.schema)
        if earlier is not None and (earlier.family, earlier.entities) == (coordinate.family, coordinate.entities):
            coordinate.earlier = earlier
        return coordinate, 0.0

    def adopt(self, coordinate: RandomEffect, start: Start) -> RandomEffect:
        """See `Trainer`; every entity is carried over."""
        self.begin(coordinate, start)
        if coordinate.earlier is None:
            theirs, ours = (PAIR.join(each.entities) for each in (load_checkpoint(start.trial), coordinate))
            raise TrialError(f"{start.trial.checkpoint}: holds effects of {theirs}, not of {ours}")
        carry_over(coordinate, coordinate.earlier)
        return coordinate

    def train(self, coordinate: RandomEffect, source: Source, budget: Budget, watch: Watch) -> Fit:
        """See `Trainer`; goes to the optimum whatever the budget."""
        started = time.perf_counter()
        solved, left_out, strength = [], [], None
        for rows, earlier in _parts(coordinate, source):
            part = self._problem(coordinate, rows, earlier, source.seed)
            strength, precision, own = self._solve(coordinate, part, source.seed, strength)
            seen = part.grouping.order
            left_out.append((rows.rows[seen], self._without_each(part, precision, own)[seen]))
            solved.append((dataclasses.replace(part, design=NO_ROWS), own))
            del rows, part
        assert strength is not None
        problem, found = join(solved)
        _take(coordinate, problem, found, strength)
        fit = Fit(steps=int(found.steps.sum()), rows=int(found.steps @ problem.grouping.rows), epochs=1.0)
        fit.metrics = _measures(coordinate, problem, found, strength, source.rows)
        places, scores = (np.concatenate(each) for each in zip(*left_out, strict=True))
        fit.left_out = places, scores
        fit.train_seconds = time.perf_counter() - started
        fit.best = source.validate(coordinate)
        fit.eval_seconds = time.perf_counter() - started - fit.train_seconds
        watch(Moment(fit.epochs, fit.steps, fit.best))
        return fit

    def _problem(
        self, coordinate: RandomEffect, rows: Block | EffectRows, earlier: RandomEffect | None, seed: int
    ) -> EffectProblem:
        chosen, effect = coordinate.parameters, coordinate.effect
        bounds = chosen.min_rows, chosen.max_rows, seed
        if isinstance(rows, EffectRows):  # nothing is kept where memory is short
            codes, ids, grouping, share = group_rows(rows.codes, rows.ids, rows.rows, *bounds)
            design = rows.design
        else:
            codes, ids, grouping, share = self._keep(
                ("rows", effect.parts, *bounds), rows, lambda: group_rows(*effect.entities(rows), rows.rows, *bounds)
            )
            design = self._keep(("design", effect.intercept, effect.features), rows, lambda: effect.design(rows))
        weight = rows.weight if share is None else rows.weight * share
        targets = RowTargets(rows.label, weight, rows.offset)
        active = Coefficients.active(design, grouping)
        if earlier is None:
            return EffectProblem(codes, ids, grouping, design, targets, active, None)
        ids, known = recall(coordinate, earlier, ids)
        idle = np.full(len(ids) - len(grouping), grouping.starts[-1])
        grouping = Grouping(grouping.order, np.append(grouping.starts, idle))
        return EffectProblem(codes, ids, grouping, design, targets, *join_known(active, known))

    def _solve(
        self, coordinate: RandomEffect, problem: EffectProblem, seed: int, strength: np.ndarray | None
    ) -> tuple[np.ndarray, Floats, Solution]:
        """The strengths of all groups, estimated unless given; the precision of every coefficient, and every entity's
        solution.
        """
        chosen, effect, known = coordinate.parameters, coordinate.effect, problem.known
        given = np.array([chosen.intercept_l2, *[chosen.l2] * len(effect.features)], object)
        given = np.where(given == "auto", math.nan, given).astype(np.float64).clip(1e-6)
        given = given if strength is None else strength
        start = None
        if coordinate.earlier is not None and coordinate.earlier.effect.terms == effect.terms:
            start = coordinate.earlier.strength.astype(np.float64)
        sample = draw_sample(problem, seed)
        begin = None if known is None else known.mean[sample.places]

        def fit(precision: Floats) -> tuple[Floats, Floats]:
            nonlocal begin
            found = self._run(problem, sample.grouping, sample.coefficients, precision, None, begin)
            begin = found.mean
            return found.mean, found.variance

        strength = estimate_precision(fit, effect.group[sample.coefficients.columns], given, start)
        precision = strength[effect.group[problem.coefficients.columns]].astype(np.float32)
        prior = None
        if known is not None:
            begin = known.mean
            precision, prior = known.prior(precision, chosen.forgetting)
        elif len(sample.places) < len(precision):
            begin = None  # else what the last pass found is near
        found = self._run(problem, problem.grouping, problem.coefficients, precision, prior, begin)
        return strength, precision, found

    def _without_each(self, problem: EffectProblem, precision: Floats, found: Solution) -> Floats:
        """What each row scores by its entity's model without it, float32 [rows]."""
        first, last = self._share(problem.grouping, problem.coefficients)
        args = problem.design, problem.grouping, problem.targets, problem.coefficients, precision, found.mean
        own = leave_one_out(*args, self._threads, first, last)
        collective = self.setting.collective
        return own if collective.size == 1 else collective.allreduce(own).astype(np.float32)

    def _run(
        self,
        problem: EffectProblem,
        grouping: Grouping,
        coefficients: Coefficients,
        precision: Floats,
        prior: Floats | None,
        begin: Floats | None,
    ) -> Solution:
        """Solves this rank's entities, and gathers those of all."""
        collective = self.setting.collective
        first, last = self._share(grouping, coefficients)
        args = problem.design, grouping, problem.targets, coefficients, precision, prior, begin, self._threads
        found = solve(*args, first=first, last=last)
        if collective.size == 1:
            return found
        own = slice(coefficients.starts[first], coefficients.starts[last])
        parts = found.mean[own], found.variance[own], found.steps[first:last]
        return Solution(*(collective.allgather(np.ascontiguousarray(part)) for part in parts))

    @property
    def _threads(self) -> int:
        return self.setting.threads or len(os.sched_getaffinity(0))

    def _share(self, grouping: Grouping, coefficients: Coefficients) -> tuple[int, int]:
        """The entities of this rank, from the first to before the last."""
        collective = self.setting.collective
        edges = split_evenly(grouping.rows, np.diff(coefficients.starts), collective.size)
        edges += [len(grouping)] * (collective.size + 1 - len(edges))
        return edges[collective.rank], edges[collective.rank + 1]

    def _keep(self, key: tuple[Any, ...], rows: Block, make: Callable[[], T]) -> T:
        """What was made of the same rows before, or is made now; offsets may differ."""
        if key not in self._kept or self._kept[key][0] is not rows.rows:
            self._kept[key] = rows.rows, make()
            while len(self._kept) > GROUPINGS_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        made: T = self._kept[key][1]
        return made


def _parts(coordinate: RandomEffect, source: Source) -> Iterator[tuple[Block | EffectRows, RandomEffect | None]]:
    """The rows to solve one after the other, and what is known of their entities: all at once, or those of a share of
    the entities where not even the effect's own columns fit in memory. Strengths are those of the first share.
    """
    effect, earlier = coordinate.effect, coordinate.earlier
    if source.blocks.count == 1:
        yield source.whole(), earlier
        return
    shares = count_shares(effect, next(each_block(source.blocks)), source.rows)
    for share in range(shares):
        known = None if earlier is None else earlier.only(share_of(earlier.ids, shares) == share)
        yield gather_rows(effect, each_block(source.blocks), share, shares), known


def _take(coordinate: RandomEffect, problem: EffectProblem, found: Solution, strength: np.ndarray) -> None:
    """Gives the coordinate the entities that have a model."""
    sizes, rows = np.diff(problem.coefficients.starts), problem.grouping.rows
    kept = np.flatnonzero(sizes)
    state = np.where(rows == 0, STATES.index("carried over"), np.where(found.steps >= NEWTON_STEPS, 1, 0))
    starts = np.concatenate([[0], np.cumsum(sizes[kept])])
    coefficients = Coefficients(starts, problem.coefficients.columns)
    variance, mean = found.variance, found.mean
    if problem.known is not None:  # those without rows stay as they were
        idle = (rows == 0)[problem.coefficients.entity]
        mean = np.where(idle, problem.known.mean, mean)
        variance = np.where(idle, problem.known.variance, variance)
    ids, state = problem.ids.take(pa.array(kept)), state[kept].astype(np.int8)
    coordinate.take(ids, coefficients, mean, variance, rows[kept], state, strength.astype(np.float32))


def _measures(
    coordinate: RandomEffect, problem: EffectProblem, found: Solution, strength: np.ndarray, rows: int
) -> dict[str, float]:
    """How many entities ended how, by rows of theirs; what decides the coefficients; how far labels tell anything."""
    sizes, effect = coordinate.rows, coordinate.effect
    precision = strength[effect.group[coordinate.coefficients.columns]]
    freedom = float(np.clip(1 - precision * coordinate.variance, 0, 1).sum())
    seen = np.bincount(problem.codes[problem.codes >= 0], minlength=len(problem.ids))
    measured = {
        "entities": float((sizes > 0).sum()),
        "entities_below": float(((seen > 0) & (problem.grouping.rows == 0)).sum()),
        "entities_not_converged": float((coordinate.state == 1).sum()),
        "entities_carried": float((coordinate.state == 2).sum()),
        "effective_degrees": freedom,
        "complexity": 100 * math.sqrt(freedom / max(rows, 1)),
        "constant_entities": _constant(problem),
    }
    for low, high in ((1, 10), (10, 100), (100, None)):
        inside = (sizes >= low) & (sizes < (high or math.inf))
        name = f"entities_{low}_to_{high - 1}_rows" if high else f"entities_from_{low}_rows"
        if inside.any():
            measured[name] = float(inside.sum())
            measured[f"{name}_not_converged"] = float((inside & (coordinate.state == 1)).sum())
    used = [*([0] if effect.intercept else []), *range(1, len(strength))]
    return measured | {f"deviation_{effect.terms[k]}": float(strength[k] ** -0.5) for k in used}


def _constant(problem: EffectProblem) -> float:
    """Share of the entities with several rows all of whose labels are the same."""
    codes, label = problem.codes, problem.targets.label
    own = codes >= 0
    count = np.bincount(codes[own], minlength=len(problem.ids))
    positive = np.bincount(codes[own], label[own], len(problem.ids))
    several = count > 1
    return float(((positive == 0) | (positive == count))[several].mean()) if several.any() else 0.0
