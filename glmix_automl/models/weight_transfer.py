"""A coordinate takes on what one of an earlier dataset has learned: weights follow features and terms by name."""

import numpy as np

from glmix_automl.errors import TrialError
from glmix_automl.models.differentiable import Differentiable
from glmix_automl.models.trees import Trees
from glmix_automl.schema import Bag, Categorical, Schema


def transfer(coordinate: Differentiable, earlier: Differentiable) -> None:
    """Takes on what an earlier coordinate has learned; what it does not know keeps its fresh draw.

    A weight whose shape depends on the dataset is taken part by part: rows of an embedding or of a wide table by term,
    rows of a first kernel by input. Any other is taken as it is where name and shape agree. Where a score is linear in
    the numerics, the earlier weights are expressed in this dataset's means and deviations first.

    Args:
        coordinate: with fresh weights.
        earlier: of the same family, its parameters perhaps others; its weights are changed.
    """
    earlier.rescale(*_units(earlier.schema, coordinate.schema))
    theirs, known = earlier.arrays, {part.key: part for part in earlier.parts}
    ours = {name: array.copy() for name, array in coordinate.arrays.items()}
    divided = {part.weight for part in coordinate.parts}
    for name in ours.keys() & theirs.keys() - divided:
        if ours[name].shape == theirs[name].shape:
            ours[name] = theirs[name]
    for part in coordinate.parts:
        found = known.get(part.key)
        if found is None:
            continue
        target = np.moveaxis(ours[part.weight], part.axis, 0)
        source = np.moveaxis(theirs[found.weight], found.axis, 0)
        if target.shape[1:] == source.shape[1:]:
            here, there = part.shared(found)
            target[here] = source[there]
    coordinate.restore(ours, "weight transfer")


def _units(old: Schema, new: Schema) -> tuple[np.ndarray, np.ndarray]:
    """`scale` and `shift`, float32 [numerics of old], with `old column = scale * new column + shift`.

    A column that is gone, or has another transform now, keeps its own.
    """
    now = {(f.name, f.transform): f for f in new.numerics}
    pairs = [(f, now.get((f.name, f.transform), f)) for f in old.numerics]
    scale = [after.scale / before.scale for before, after in pairs]
    shift = [(after.center - before.center) / before.scale for before, after in pairs]
    return np.array(scale, np.float32), np.array(shift, np.float32)


def transfer_trees(coordinate: Trees, earlier: Trees) -> None:
    """Takes on earlier trees, their thresholds expressed in this dataset's means and deviations.

    Raises:
        TrialError: they split a feature that is gone or transformed otherwise, or ids of a vocabulary that has other
            terms now: a split of ids is by how frequent terms are, which names do not tell.
    """
    old, new, arrays = earlier.schema, coordinate.schema, earlier.arrays
    scale, shift = (values.astype(np.float64) for values in _units(old, new))
    place, now = _tree_columns(old), {key: column for column, key in enumerate(_tree_columns(new))}
    column, threshold = arrays["column"].copy(), arrays["threshold"].astype(np.float64)
    for split, number in enumerate(arrays["column"]):
        key = place[number]
        if key not in now:
            raise TrialError(f"family trees: cannot be locked: {key[0]} is not what it was when they were grown")
        column[split] = now[key]
        if number < len(scale):
            threshold[split] = (threshold[split] - shift[number]) / scale[number]
    coordinate.plant(arrays | {"column": column, "threshold": threshold.astype(np.float32)})


def _tree_columns(schema: Schema) -> list[tuple[object, ...]]:
    """What each column of trees stands for; equal where a split of it means the same."""
    keys: list[tuple[object, ...]] = [(f.name, f.transform) for f in schema.numerics]
    features: tuple[Categorical | Bag, ...] = (*schema.categoricals, *schema.bags)
    for feature in features:
        vocabulary = schema.vocabularies[feature.vocabulary]
        if isinstance(feature, Categorical):
            keys.append((feature.name, vocabulary.terms or vocabulary.size))
        else:
            named = vocabulary.terms or tuple(map(str, range(1, vocabulary.size)))
            keys += [(feature.name, "term", term) for term in ("", *named)]
    return keys
