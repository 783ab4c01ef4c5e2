"""What an earlier random effect knows of the coefficients of another: found by entity, feature and term."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.models.design import Coefficients, Floats
from glmix_automl.models.effect_columns import EffectColumns
from glmix_automl.models.random_effect import STATES, RandomEffect
from glmix_automl.schema import Numeric


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Earlier means and variances of coefficients; a variance of NaN where nothing is known, the mean then 0.

    Attributes:
        coefficients: whose they are.
        mean, variance: float32 [coefficients].
        strength: float32 [coefficients], the precision toward 0 that they were fitted with.
    """

    coefficients: Coefficients
    mean: Floats
    variance: Floats
    strength: Floats

    def prior(self, precision: Floats, forgetting: float) -> tuple[Floats, Floats]:
        """Precision and mean of a prior that has the effect's own pull toward 0 and, less what is forgotten, what
        earlier rows told (a power prior, Ibrahim and Chen 2000): float32 [coefficients] each.

        Args:
            precision: of the pull toward 0, float32 [coefficients].
            forgetting: share of the information of earlier rows that does not count any more.
        """
        kept = np.float64(1 - forgetting)
        there = np.isfinite(self.variance)
        posterior = np.where(there, 1 / np.where(there, self.variance, 1).astype(np.float64), 0)
        told = kept * np.maximum(posterior - np.where(there, self.strength, 0), 0)
        total = precision + told
        return total.astype(np.float32), (kept * posterior * self.mean / total).astype(np.float32)


def recall(coordinate: RandomEffect, earlier: RandomEffect, ids: pa.Array) -> tuple[pa.Array, Knowledge]:
    """What an earlier effect of the same entities knows, in the columns of a coordinate.

    Args:
        coordinate: whose columns.
        earlier: of another dataset perhaps, and with other features.
        ids: of the entities there are now.

    Returns:
        Ids of all entities, those that only the earlier one knows at the end, and their earlier coefficients.
    """
    place = pc.index_in(earlier.ids, value_set=ids)
    fresh = place.is_null().to_numpy(zero_copy_only=False)
    owner = place.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    owner[fresh] = len(ids) + np.arange(fresh.sum())
    united = pa.concat_arrays([ids.cast(pa.string()), earlier.ids.filter(pa.array(fresh))])
    column, scale, shift = _columns(earlier.effect, coordinate.effect)
    old = earlier.coefficients
    entity, now = owner[old.entity], column[old.columns]
    mean = earlier.mean * scale[old.columns]
    variance = earlier.variance * scale[old.columns] ** 2
    strength = earlier.strength[earlier.effect.group[old.columns]] / np.maximum(scale[old.columns], 1e-12) ** 2
    moved = np.bincount(entity, earlier.mean * shift[old.columns], len(united))  # of the intercepts
    spread = np.bincount(entity, earlier.variance * shift[old.columns] ** 2, len(united))
    at_zero = now == 0
    mean = np.where(at_zero, mean + moved[entity], mean)
    variance = np.where(at_zero, variance + spread[entity], variance)
    there = np.flatnonzero(now >= 0)
    order = there[np.lexsort((now[there], entity[there]))]
    starts = np.concatenate([[0], np.cumsum(np.bincount(entity[order], minlength=len(united)))]).astype(np.int64)
    values = (array[order].astype(np.float32) for array in (mean, variance, strength))
    return united, Knowledge(Coefficients(starts, now[order].astype(np.int32)), *values)


def carry_over(coordinate: RandomEffect, earlier: RandomEffect) -> None:
    """Gives a coordinate everything that an earlier effect of the same entities knows in its columns, and no more."""
    ids, known = recall(coordinate, earlier, pa.array([], pa.string()))
    group = coordinate.effect.group[known.coefficients.columns]
    count = np.bincount(group, minlength=len(coordinate.strength))
    mean = np.bincount(group, known.strength, len(coordinate.strength)) / np.maximum(count, 1)
    strength = np.where(count > 0, mean, 1.0).astype(np.float32)
    state = np.full(len(ids), STATES.index("carried over"), np.int8)
    coordinate.take(ids, known.coefficients, known.mean, known.variance, earlier.rows, state, strength)


def join(active: Coefficients, known: Knowledge) -> tuple[Coefficients, Knowledge]:
    """The columns that an entity's rows or an earlier model have, and what is known of them.

    Args:
        active: columns of the entities there are now.
        known: of these and those at the end that only the earlier model has.
    """
    width = 1 + max(int(active.columns.max(initial=0)), int(known.coefficients.columns.max(initial=0)))
    ours = active.entity * width + active.columns
    theirs = known.coefficients.entity * width + known.coefficients.columns
    keys = np.union1d(ours, theirs)
    entities = len(known.coefficients)
    starts = np.searchsorted(keys, np.arange(entities + 1) * width)
    mean = np.zeros(len(keys), np.float32)
    variance, strength = np.full(len(keys), np.nan, np.float32), np.zeros(len(keys), np.float32)
    at = np.searchsorted(keys, theirs)
    mean[at], variance[at], strength[at] = known.mean, known.variance, known.strength
    joined = Coefficients(starts.astype(np.int64), (keys % width).astype(np.int32))
    return joined, Knowledge(joined, mean, variance, strength)


def _columns(old: EffectColumns, new: EffectColumns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each old column: which it is now, int64, -1 for none; and `scale`, `shift`, float64, with
    `old column = scale * new column + shift`.
    """
    places = {key: place for place, key in enumerate(_keys(new))}
    found = np.array([places.get(key, -1) for key in _keys(old)], np.int64)
    scale, shift = np.ones(len(found)), np.zeros(len(found))
    now = {(f.name, f.transform): f for f in new.features if isinstance(f, Numeric)}
    for place, feature in enumerate(old.features):
        if isinstance(feature, Numeric) and (feature.name, feature.transform) in now:
            after = now[feature.name, feature.transform]
            scale[old.first[place]] = after.scale / feature.scale
            shift[old.first[place]] = (after.center - feature.center) / feature.scale
    return found, scale, shift


def _keys(effect: EffectColumns) -> list[tuple[object, ...]]:
    """What each column stands for; a place without a name by its number."""
    keys: list[tuple[object, ...]] = [("intercept",)]
    for feature in effect.features:
        if isinstance(feature, Numeric):
            keys.append((feature.name, feature.transform))
            continue
        vocabulary = effect.schema.vocabularies[feature.vocabulary]
        named = vocabulary.terms or tuple(map(str, range(1, vocabulary.size)))
        keys += [(feature.name, "term", term) for term in ("", *named)]
    return keys
