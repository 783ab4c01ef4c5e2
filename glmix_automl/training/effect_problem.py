"""What is solved for a random effect: its rows by entity, its coefficients, and what is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from glmix_automl.models.design import Codes, Coefficients, Design, Floats, Grouping
from glmix_automl.seeds import generator
from glmix_automl.training.newton import RowTargets, Solution
from glmix_automl.training.prior import Knowledge

SAMPLED = 20_000  # entities that strengths are estimated on, at most


@dataclass(frozen=True, eq=False)
class EffectProblem:
    """Everything that is solved: as `newton.solve` takes it, and what earlier effects know of the coefficients."""

    codes: Codes
    ids: pa.Array
    grouping: Grouping
    design: Design
    targets: RowTargets
    coefficients: Coefficients
    known: Knowledge | None


@dataclass(frozen=True, eq=False)
class EntitySample:
    """Some entities: their coefficients, and where these are among all."""

    grouping: Grouping
    coefficients: Coefficients
    places: np.ndarray


def group_rows(
    codes: Codes, ids: pa.Array, places: np.ndarray, least: int, most: int, seed: int
) -> tuple[Codes, pa.Array, Grouping, Floats | None]:
    """Rows by entity within the bounds, and what each row weighs more for those left out of its entity, if any are.

    Which rows of a large entity are taken is drawn row by row, by its place in the split, before they are brought
    together.
    """
    counts = np.bincount(codes[codes >= 0], minlength=len(ids))
    kept = np.where(counts[codes] >= least, codes, -1) if len(ids) else codes
    share = None
    if counts.max(initial=0) > most:
        odds = np.minimum(most / np.maximum(counts, 1), 1.0)[codes]
        kept = np.where(generator(seed, "max_rows").random(int(places.max()) + 1)[places] < odds, kept, -1)
        taken = np.bincount(kept[kept >= 0], minlength=len(ids))
        share = (counts / np.maximum(taken, 1)).astype(np.float32)[codes]
    return codes, ids, Grouping.of(kept.astype(np.int32), len(ids)), share


def draw_sample(problem: EffectProblem, seed: int) -> EntitySample:
    """All entities, or as many as strengths are estimated on."""
    grouping, coefficients = problem.grouping, problem.coefficients
    present = np.flatnonzero(grouping.rows)
    if len(present) <= SAMPLED and problem.known is None:
        return EntitySample(grouping, coefficients, np.arange(len(coefficients.columns)))
    chosen = np.zeros(len(grouping), bool)
    chosen[generator(seed, "strength").permutation(present)[:SAMPLED]] = True
    owner = np.repeat(chosen, grouping.rows)
    starts = np.concatenate([[0], np.cumsum(np.where(chosen, grouping.rows, 0))])
    places = np.flatnonzero(chosen[coefficients.entity])
    sizes = np.where(chosen, np.diff(coefficients.starts), 0)
    own = Coefficients(np.concatenate([[0], np.cumsum(sizes)]), coefficients.columns[places])
    return EntitySample(Grouping(grouping.order[owner], starts), own, places)


def join(solved: Sequence[tuple[EffectProblem, Solution]]) -> tuple[EffectProblem, Solution]:
    """Problems of different entities as one that has been solved; its rows have no columns any more."""
    if len(solved) == 1:
        return solved[0]
    problems, found = zip(*solved, strict=True)
    first = np.cumsum([0, *(len(problem.ids) for problem in problems)])[:-1]
    codes = [np.where(p.codes < 0, -1, p.codes + begin) for p, begin in zip(problems, first, strict=True)]
    grouping = Grouping(np.zeros(0, np.int64), _ends([p.grouping.rows for p in problems]))
    starts = _ends([np.diff(p.coefficients.starts) for p in problems])
    coefficients = Coefficients(starts, np.concatenate([p.coefficients.columns for p in problems]))
    targets = (np.concatenate([getattr(p.targets, n) for p in problems]) for n in ("label", "weight", "offset"))
    known = [p.known for p in problems if p.known is not None]
    values = (np.concatenate([getattr(k, n) for k in known]) for n in ("mean", "variance", "strength") if known)
    whole = replace(
        problems[0],
        codes=np.concatenate(codes).astype(np.int32),
        ids=pa.concat_arrays([p.ids for p in problems]),
        grouping=grouping,
        targets=RowTargets(*targets),
        coefficients=coefficients,
        known=Knowledge(coefficients, *values) if known else None,
    )
    return whole, Solution(*(np.concatenate([getattr(f, n) for f in found]) for n in ("mean", "variance", "steps")))


def _ends(counts: Sequence[np.ndarray]) -> np.ndarray:
    """Where each begins, and the last ends: int64 [count + 1]."""
    return np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
