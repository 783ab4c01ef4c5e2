"""Coordinates of some of a dataset's features."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from glmix_automl.dataset import BagColumn, Block
from glmix_automl.errors import TrialError
from glmix_automl.models import FAMILIES
from glmix_automl.models.rows import from_block, in_form
from glmix_automl.models.selection import FeatureSelection, chosen
from glmix_automl.schema import Schema
from glmix_automl.seeds import generator
from glmix_automl.space import Choice, Space
from glmix_automl.training.boosting import boost
from glmix_automl.training.trainer import Budget
from tests.models.test_families import trained

Small = tuple[Schema, Block]


@pytest.mark.parametrize(
    ("features", "names"),
    [
        ("*", "n0 n1 n2 c0 c1 b0 w0"),
        ("n0 c*", "n0 c0 c1"),
        ("-n*", "c0 c1 b0 w0"),
        ("* -n1 -past_*", "n0 n2 c0 c1 b0 w0"),  # a pattern may leave out what a dataset does not have
        ("n? b0 -n2", "n0 n1 b0"),
    ],
)
def test_features_are_named_or_left_out(features: str, names: str, small: Small) -> None:
    assert chosen(small[0], features, "logistic") == set(names.split())


def test_a_search_may_choose_between_them(small: Small) -> None:
    space = Space.of(features=Choice(choice=("*", "-n*")))
    drawn = {str(point["features"]) for point in space.sample(generator(0, "draw"), 20)}
    assert drawn == {"*", "-n*"}
    widths = {text: FAMILIES["logistic"].build(small[0], {"features": text}, 0).size for text in drawn}
    assert widths["*"] == widths["-n*"] + 3


@pytest.mark.parametrize(("features", "said"), [("x*", "none named 'x"), ("-n9", "none named 'n9'"), ("-*", "leaves")])
def test_nonsense_is_refused(features: str, said: str, small: Small) -> None:
    with pytest.raises(TrialError, match=said):
        FAMILIES["logistic"].build(small[0], {"features": features}, 0)


def without(schema: Schema, block: Block, features: str) -> Small:
    """A dataset that has no other features in the first place."""
    seen = FeatureSelection.of(schema, features, "test")
    numerics, categoricals = (
        array if places is None else array[:, list(places)]
        for array, places in ((block.numerics, seen.numerics), (block.categoricals, seen.categoricals))
    )
    bags = block.bags if seen.bags is None else tuple(block.bags[place] for place in seen.bags)
    return seen.schema, dataclasses.replace(block, numerics=numerics, categoricals=categoricals, bags=bags)


@pytest.mark.parametrize("features", ["n1 c1 w0", "-n1 -c0", "n*"])
@pytest.mark.parametrize("family", ["logistic", "subnetwork", "cross", "factorisation"])
def test_a_coordinate_is_that_of_a_dataset_without_the_others(family: str, features: str, small: Small) -> None:
    schema, block = without(*small, features)
    narrow = trained(family, {}, schema)
    wide = trained(family, {"features": features}, small[0])
    expected = narrow.score(from_block(block))
    assert wide.score(from_block(small[1])).tobytes() == expected.tobytes()
    assert len(np.unique(expected)) > 10


def test_trees_and_effects_do_not_see_what_is_left_out(small: Small) -> None:
    schema, block = small
    other = dataclasses.replace(
        block,
        numerics=np.where(np.arange(3) == 1, 7.0, block.numerics).astype(np.float32),
        bags=(BagColumn(block.bags[0].splits, np.zeros_like(block.bags[0].ids)), block.bags[1]),
    )
    trees: Any = FAMILIES["trees"].build(schema, {"features": "-n1 -b0", "trees": 20, "leaf_rows": 5}, 0)
    boost(trees, from_block(block), from_block(block), Budget(1.0), lambda moment: False, seed=3)
    assert trees.columns == 2 + 2 + 13  # numerics, categoricals, one bag
    assert trees.score(from_block(other)).tobytes() == trees.score(from_block(block)).tobytes()
    assert len(np.unique(trees.score(from_block(block)))) > 10
    effect: Any = FAMILIES["random_effect"].build(schema, {"entity": "c0", "features": "-n1 -b*"}, 0)
    assert effect.effect.terms == ("intercept", "n0", "n2", "w0")  # c1 is of the side of c0
    designs = (effect.effect.design(in_form(rows, effect.form)) for rows in (block, other))
    assert len({design.numerics.tobytes() + design.ids.tobytes() for design in designs}) == 1
