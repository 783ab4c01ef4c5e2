"""Weights follow features and terms to a dataset whose columns and vocabularies are others."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from glmix_automl.dataset import Block
from glmix_automl.errors import TrialError
from glmix_automl.models import FAMILIES
from glmix_automl.models.differentiable import Differentiable
from glmix_automl.models.embedding import SMALL_TABLE
from glmix_automl.models.rows import from_block
from glmix_automl.models.trees import Trees
from glmix_automl.models.weight_transfer import transfer, transfer_trees
from glmix_automl.schema import Categorical, Numeric, Schema, Vocabulary

FIXED = {"embedding_width": 4, "bag_width": 3}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("logistic", {"l2": 0.7}),
    ("logistic", {"solver": "lbfgs", "bins": 3}),
    ("subnetwork", {"depth": 2, "width": 8, **FIXED}),
    ("subnetwork", {"depth": 0, **FIXED}),
    ("subnetwork", {"depth": 1, "width": 4, "terms": 2, **FIXED}),
    ("subnetwork", {"depth": 1, "width": 4, "inputs": "numerics"}),
    ("subnetwork", {"depth": 1, "width": 4, "inputs": "terms", **FIXED}),
    ("cross", {"depth": 2, "rank": 3, **FIXED}),
    ("factorisation", {"embedding_width": 4}),
]
every_case = pytest.mark.parametrize(
    ("family", "parameters"), CASES, ids=[f"{f}-{k}" for k, (f, _) in enumerate(CASES)]
)
Small = tuple[Schema, Block]


def built(family: str, parameters: dict[str, Any], schema: Schema, seed: int) -> Differentiable:
    """A coordinate whose every weight is drawn, biases too."""
    coordinate = FAMILIES[family].build(schema, parameters, seed)
    assert isinstance(coordinate, Differentiable)
    rng = np.random.default_rng(seed)
    coordinate.restore({k: rng.normal(size=a.shape).astype(np.float32) for k, a in coordinate.arrays.items()}, "drawn")
    return coordinate


def tonight(schema: Schema, units: bool = True) -> Schema:
    """The next night: features in another order and one more, terms in another order, some gone and some new, one
    vocabulary now among the large ones; with `units`, other means and deviations.
    """
    vocabularies = {}
    for name, vocabulary in schema.vocabularies.items():
        first, second, third, gone, *others = vocabulary.terms or ()
        new = [f"{name}_new_{k}" for k in range(SMALL_TABLE if name == "w0" else 3)]
        vocabularies[name] = Vocabulary(terms=(second, first, *new, *others[::-1], third))
        assert gone not in (vocabularies[name].terms or ())
    numerics = [
        f.model_copy(update={"center": 0.3 + k, "scale": 2.0 - k / 2}) if units else f
        for k, f in enumerate(schema.numerics)
    ]
    extra = Numeric(name="extra", source="extra", center=5.0, scale=3.0)
    features = (*schema.bags[::-1], extra, *numerics[::-1], *schema.categoricals[::-1])
    return schema.model_copy(update={"features": features, "vocabularies": vocabularies})


def seen_tonight(block: Block, old: Schema, new: Schema) -> Block:
    """The same rows as the new schema has them; 0 in the new numeric."""

    def moved(vocabulary: str, ids: np.ndarray) -> np.ndarray:
        there = {term: k for k, term in enumerate(new.vocabularies[vocabulary].terms or (), 1)}
        places = np.array([0, *(there.get(term, -1) for term in old.vocabularies[vocabulary].terms or ())])
        return places[ids].astype(np.int32)

    now = {f.name: f for f in new.numerics}
    columns = {
        f.name: (block.numerics[:, k] - now[f.name].center) / now[f.name].scale for k, f in enumerate(old.numerics)
    }
    columns["extra"] = np.zeros(len(block))
    ids = {f.name: moved(f.vocabulary, block.categoricals[:, k]) for k, f in enumerate(old.categoricals)}
    bags = {
        f.name: dataclasses.replace(b, ids=moved(f.vocabulary, b.ids))
        for f, b in zip(old.bags, block.bags, strict=True)
    }
    return dataclasses.replace(
        block,
        numerics=np.stack([columns[f.name] for f in new.numerics], axis=1).astype(np.float32),
        categoricals=np.stack([ids[f.name] for f in new.categoricals], axis=1),
        bags=tuple(bags[f.name] for f in new.bags),
    )


def kept(block: Block) -> np.ndarray:
    """Rows without a term that is gone: int [rows]."""
    whole = (block.categoricals >= 0).all(axis=1)
    for bag in block.bags:
        whole &= np.array([bool((bag.ids[slice(*ends)] >= 0).all()) for ends in itertools.pairwise(bag.splits)])
    return np.flatnonzero(whole)


@every_case
def test_the_score_of_a_row_stays_what_it_was(family: str, parameters: dict[str, Any], small: Small) -> None:
    schema, block = small
    # A product of numerics depends on where their zeros are, so there the units must be those of the night before.
    new = tonight(schema, units=family in ("logistic", "subnetwork"))
    earlier, coordinate = built(family, parameters, schema, 1), built(family, parameters, new, 2)
    expected = earlier.score(from_block(block))
    transfer(coordinate, earlier)
    moved = seen_tonight(block, schema, new)
    rows = kept(moved)
    assert len(rows) > 100
    found = coordinate.score(from_block(moved, rows))
    if "bins" in parameters:  # the new numeric bends as it was drawn, at one value
        found = found + np.mean(expected[rows] - found)
    np.testing.assert_allclose(found, expected[rows], atol=2e-4)


@every_case
def test_the_same_dataset_takes_on_every_bit(family: str, parameters: dict[str, Any], small: Small) -> None:
    earlier, coordinate = built(family, parameters, small[0], 1), built(family, parameters, small[0], 2)
    before = earlier.arrays
    transfer(coordinate, earlier)
    for name, array in coordinate.arrays.items():
        np.testing.assert_array_equal(array, before[name])
    keys = [part.key for part in coordinate.parts]
    assert len(keys) == len(set(keys))


def rows_by_term(coordinate: Differentiable, vocabulary: str) -> dict[str, np.ndarray]:
    (part,) = (p for p in coordinate.parts if p.key == ("embedding", "4", vocabulary))
    table = coordinate.arrays[part.weight][part.start : part.start + part.size]
    assert part.terms is not None
    return dict(zip(["", *part.terms], table, strict=True))


def test_rows_follow_their_terms_and_new_terms_keep_a_fresh_draw(small: Small) -> None:
    schema, new = small[0], tonight(small[0])
    parameters = {"depth": 1, "width": 4, "embedding_width": 4, "bag_width": 4}
    earlier = built("subnetwork", parameters, schema, 1)
    coordinate = FAMILIES["subnetwork"].build(new, parameters, 2)
    fresh = {v: rows_by_term(coordinate, v) for v in new.vocabularies}
    transfer(coordinate, earlier)
    for vocabulary in new.vocabularies:
        before, now = rows_by_term(earlier, vocabulary), rows_by_term(coordinate, vocabulary)
        assert len(now.keys() & before.keys()) == len(before) - 1
        assert now.keys() - before.keys()
        for term, row in now.items():
            np.testing.assert_array_equal(row, before[term] if term in before else fresh[vocabulary][term])


def test_terms_told_apart_are_those_of_both_nights(small: Small) -> None:
    schema, new = small[0], tonight(small[0])
    parameters = {"depth": 1, "width": 4, "terms": 4, "embedding_width": 4, "bag_width": 4}
    earlier = built("subnetwork", parameters, schema, 1)
    coordinate = FAMILIES["subnetwork"].build(new, parameters, 2)
    fresh = rows_by_term(coordinate, "c0")
    transfer(coordinate, earlier)
    before, now = rows_by_term(earlier, "c0"), rows_by_term(coordinate, "c0")
    assert list(now) == ["", "c0_2", "c0_1", "c0_new_0", "c0_new_1"]
    for term in ("", "c0_1", "c0_2"):
        np.testing.assert_array_equal(now[term], before[term])
    for term in ("c0_new_0", "c0_new_1"):
        np.testing.assert_array_equal(now[term], fresh[term])


def test_hashed_vocabularies_and_other_transforms_are_taken_only_if_they_mean_the_same(small: Small) -> None:
    schema = small[0].model_copy(
        update={"vocabularies": {**small[0].vocabularies, "c0": Vocabulary(buckets=7), "c1": Vocabulary(buckets=7)}}
    )
    other = Categorical(name="c2", source="c2", vocabulary="c2")
    changed = [f.model_copy(update={"transform": "log"}) if f.name == "n1" else f for f in schema.features]
    new = schema.model_copy(
        update={
            "features": (*changed, other),
            "vocabularies": {**schema.vocabularies, "c1": Vocabulary(buckets=8), "c2": Vocabulary(buckets=7)},
        }
    )
    earlier, coordinate = built("logistic", {}, schema, 1), FAMILIES["logistic"].build(new, {}, 2)
    transfer(coordinate, earlier)
    before, now = earlier.arrays, coordinate.arrays
    np.testing.assert_array_equal(now["linear"], [before["linear"][0], 0, *before["linear"][2:]])
    np.testing.assert_array_equal(now["table"][:8], before["table"][:8])  # c0: as many buckets
    assert not now["table"][8 : 8 + 9].any()  # c1: one more
    assert not now["table"][8 + 9 : 8 + 9 + 8].any()  # c2: not there before
    np.testing.assert_array_equal(now["table"][-26:], before["table"][-26:])


def test_what_has_another_shape_begins_anew(small: Small) -> None:
    earlier = built("subnetwork", {"depth": 1, "width": 8, **FIXED}, small[0], 1)
    coordinate = FAMILIES["subnetwork"].build(small[0], {"depth": 1, "width": 6, **FIXED}, 2)
    fresh = coordinate.arrays
    transfer(coordinate, earlier)
    for name, array in coordinate.arrays.items():
        expected = earlier.arrays[name] if name in ("embedding_3", "embedding_4", "bias_1") else fresh[name]
        np.testing.assert_array_equal(array, expected)


def planted(schema: Schema, column: list[int], threshold: list[float]) -> Trees:
    """Trees of one split each, whose leaves differ."""
    trees = FAMILIES["trees"].build(schema, {}, 0)
    assert isinstance(trees, Trees)
    count = len(column)
    splits = {"splits": [1] * count, "column": column, "threshold": threshold}
    leaves = {"left": [-1] * count, "right": [-2] * count, "leaf": 1.7 ** np.arange(2 * count), "bias": [0.3]}
    trees.plant({name: np.asarray(value) for name, value in {**splits, **leaves}.items()})
    return trees


def test_trees_keep_their_scores_in_other_units_or_are_refused(small: Small) -> None:
    schema, block = small
    new = tonight(schema)
    in_bag = 3 + 2 + 5  # the fifth term of the first bag, which is there tonight
    earlier = planted(schema, [0, 1, 2, 0, in_bag], [0.1, -0.4, 0.7, 1.2, 0.5])
    moved, coordinate = seen_tonight(block, schema, new), planted(new, [0], [0.0])
    transfer_trees(coordinate, earlier)
    rows = kept(moved)
    expected = earlier.score(from_block(block))
    assert len(np.unique(expected)) > 8
    np.testing.assert_allclose(coordinate.score(from_block(moved, rows)), expected[rows], rtol=1e-6)
    with pytest.raises(TrialError, match="cannot be locked: c0 is not what it was"):
        transfer_trees(planted(new, [0], [0.0]), planted(schema, [3], [1.5]))
    same = planted(schema, [0], [0.0])
    transfer_trees(same, planted(schema, [3, 1], [1.5, 0.2]))
    assert (
        same.score(from_block(block)).tobytes()
        == planted(schema, [3, 1], [1.5, 0.2]).score(from_block(block)).tobytes()
    )
