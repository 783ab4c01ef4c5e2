"""Laws of every family of coordinates."""

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from glmix_automl.dataset import Block
from glmix_automl.errors import DataError, TrialError
from glmix_automl.layout import COORDINATE, WEIGHTS, Folder
from glmix_automl.models import FAMILIES, check_parameters, embedding
from glmix_automl.models.checkpoint import load_coordinate, save_coordinate
from glmix_automl.models.coordinate import Coordinate, Form
from glmix_automl.models.differentiable import Differentiable
from glmix_automl.models.embedding import SMALL_TABLE, Embedding
from glmix_automl.models.network import drop_out
from glmix_automl.models.rows import from_block, in_form, taker
from glmix_automl.models.trees import Trees
from glmix_automl.schema import Categorical, Schema, Vocabulary
from tests.models.stump import STUMP

CASES: list[tuple[str, dict[str, Any]]] = [
    ("logistic", {"l2": 0.7}),
    ("logistic", {"solver": "lbfgs", "bins": 3}),
    (
        "subnetwork",
        {"depth": 2, "width": 8, "activation": "tanh", "embedding_width": 4, "bag_width": 0, "weight_decay": 0.01},
    ),
    ("subnetwork", {"depth": 0, "embedding_width": 3, "bag_width": 3}),
    ("cross", {"depth": 2, "rank": 3, "embedding_width": 4, "bag_width": 2}),
    ("subnetwork", {"depth": 1, "width": 4, "terms": 2}),
    ("subnetwork", {"depth": 1, "width": 4, "activation": "tanh", "pooling": "sqrt"}),
    ("subnetwork", {"depth": 1, "width": 4, "activation": "tanh", "pooling": "sum"}),
    ("subnetwork", {"depth": 1, "width": 4, "activation": "tanh", "embedding_width": 4, "bag_width": 8}),
    ("subnetwork", {"depth": 1, "width": 4, "activation": "tanh", "embedding_width": 3, "bag_width": 4}),
    ("factorisation", {"embedding_width": 4}),
    ("factorisation", {"embedding_width": 4, "pairs": "sides"}),
    *((family, {"inputs": "numerics"}) for family in ("subnetwork", "cross")),
    ("logistic", {"features": "n* c0 -n1"}),
    ("subnetwork", {"depth": 1, "width": 4, "activation": "tanh", "features": "-c1 -b0"}),
    ("trees", {"leaves": 4}),
    ("stump", {"smoothing": 2.0}),
]
every_case = pytest.mark.parametrize(
    ("family", "parameters"), CASES, ids=[f"{f}-{k}" for k, (f, _) in enumerate(CASES)]
)
stepped = [case for case in CASES if "batch_size" in {**FAMILIES, "stump": STUMP}[case[0]].parameters.model_fields]
every_stepped_case = pytest.mark.parametrize(
    ("family", "parameters"), stepped, ids=[f"{f}-{k}" for k, (f, _) in enumerate(stepped)]
)
Small = tuple[Schema, Block]


@pytest.fixture(autouse=True)
def stump(monkeypatch: pytest.MonkeyPatch) -> None:
    """A family of the tests, held to the laws like any other."""
    monkeypatch.setitem(FAMILIES, "stump", STUMP)


def trained(family: str, parameters: dict[str, Any], schema: Schema) -> Coordinate:
    """A coordinate with something in it to save and to score."""
    coordinate = FAMILIES[family].build(schema, parameters, seed=3)
    if isinstance(coordinate, Trees):
        one_of_each = {"splits": [3, 0, 1], "column": [0, 3, 20, 1], "threshold": [0.1, 4.5, 0.5, -0.2]}
        ends = {"left": [1, -1, -3, -1], "right": [2, -2, -4, -2], "leaf": [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]}
        coordinate.plant({**one_of_each, **ends, "bias": [0.05]})
    else:
        rng = np.random.default_rng(0)
        moved = {name: array + rng.normal(0, 0.1, array.shape) for name, array in coordinate.arrays.items()}
        coordinate.restore({name: array.astype(np.float32) for name, array in moved.items()}, "here")
    return coordinate


def loss_and_gradients(coordinate: Differentiable, block: Block) -> tuple[float, list[Any]]:
    rows = coordinate.prepare(from_block(block))
    hyper = {
        name: tf.constant(value, tf.float32) for name, value in coordinate.hyper(float(block.weight.sum())).items()
    }
    gradients = coordinate.gradients(rows, tf.constant(float(len(block))), hyper, tf.constant([1, 2]))
    losses = tf.nn.sigmoid_cross_entropy_with_logits(rows.label, coordinate.logits(rows) + rows.offset)
    return float(tf.reduce_sum(losses * rows.weight) / len(block)), gradients


@every_stepped_case
def test_gradients_are_those_of_the_loss(family: str, parameters: dict[str, Any], small: Small) -> None:
    schema, block = small
    plain = {k: v for k, v in parameters.items() if k not in ("l2", "weight_decay")}
    coordinate = FAMILIES[family].build(schema, plain, seed=3)
    _, gradients = loss_and_gradients(coordinate, block)
    rng = np.random.default_rng(0)
    for weight, gradient in zip([*coordinate.dense, *coordinate.tables], gradients, strict=True):
        dense = tf.convert_to_tensor(gradient).numpy() if not isinstance(gradient, tf.IndexedSlices) else None
        if dense is None:
            assert len(np.unique(gradient.indices)) == len(gradient.indices)  # what updates them would race
            dense = tf.math.unsorted_segment_sum(gradient.values, gradient.indices, weight.shape[0]).numpy()
        before, direction = weight.numpy(), rng.normal(size=weight.shape).astype(np.float32)
        step = 1e-2 / max(1.0, float(np.abs(direction).max()))
        around = []
        for sign in (1, -1):
            weight.assign(before + sign * step * direction)
            around.append(loss_and_gradients(coordinate, block)[0])
        weight.assign(before)
        measured = (around[0] - around[1]) / (2 * step)
        # Float32 losses of size 1 give slopes to about 1e-5.
        assert measured == pytest.approx(float(np.sum(dense * direction)), rel=0.02, abs=3e-4), weight.name


@every_case
def test_a_saved_coordinate_scores_the_same_bits(
    family: str, parameters: dict[str, Any], small: Small, tmp_path: Any
) -> None:
    schema, block = small
    coordinate = trained(family, parameters, schema)
    folder = Folder(str(tmp_path))
    save_coordinate(folder, coordinate)
    rows = in_form(block, coordinate.form)
    assert load_coordinate(folder, schema).score(rows).tobytes() == coordinate.score(rows).tobytes()


@every_case
def test_equal_seeds_give_equal_coordinates(family: str, parameters: dict[str, Any], small: Small) -> None:
    first, second, other = (FAMILIES[family].build(small[0], parameters, seed) for seed in (3, 3, 4))
    rows = in_form(small[1], first.form)
    assert np.array_equal(first.score(rows), second.score(rows))
    assert family in ("logistic", "trees", "stump") or not np.array_equal(first.score(rows), other.score(rows))
    if isinstance(other, Differentiable):
        other.reset(other.parameters, 3)
    assert np.array_equal(first.score(rows), other.score(rows))


def test_networks_of_a_mixture_score_without_warnings(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    schema, block = small
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    try:
        for seed in range(7):
            FAMILIES["subnetwork"].build(schema, {"depth": 1, "width": 4}, seed).score(from_block(block))
    finally:
        logger.removeHandler(caplog.handler)
    assert not [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@every_case
def test_scores_do_not_depend_on_the_rows_beside(family: str, parameters: dict[str, Any], small: Small) -> None:
    coordinate = trained(family, parameters, small[0])
    rows, is_tensors = in_form(small[1], coordinate.form), coordinate.form is Form.TENSORS
    few = taker(rows)(tf.constant([100], tf.int64), 50) if is_tensors else small[1].slice(100, 150)
    part = coordinate.score(few)
    assert coordinate.score(rows)[100:150] == pytest.approx(part, abs=1e-6)
    order = np.random.default_rng(0).permutation(len(small[1]))
    assert coordinate.score(in_form(small[1].take(order), coordinate.form)) == pytest.approx(
        coordinate.score(rows)[order], abs=1e-6
    )
    assert coordinate.score(rows).dtype == np.float32


@pytest.mark.parametrize("family", sorted({family for family, _ in CASES}))
def test_bad_parameters_are_refused_by_name(family: str) -> None:
    with pytest.raises(TrialError, match=r"family .*: unknown parameter 'lerning_rate'; did you mean 'learning_rate'"):
        check_parameters(family, {"lerning_rate": 1})
    with pytest.raises(TrialError, match=r"unknown parameter 'x'; it takes .*learning_rate"):
        check_parameters(family, {"x": 1})
    with pytest.raises(TrialError, match=r"learning_rate: .*greater than or equal to 0\.0+1, got -1"):
        check_parameters(family, {"learning_rate": -1})
    for value in (float("nan"), float("inf"), True, "0.1", None):
        with pytest.raises(TrialError, match="learning_rate: "):
            check_parameters(family, {"learning_rate": value})
    assert FAMILIES[family].complexity(check_parameters(family, {})) >= 1


@pytest.mark.parametrize("family", sorted({family for family, _ in stepped}))
def test_bad_parameters_of_the_loop_are_refused_by_name(family: str) -> None:
    with pytest.raises(TrialError, match=r"batch_size: .*integer, got 1\.5"):
        check_parameters(family, {"batch_size": 1.5})
    with pytest.raises(TrialError, match=r"schedule: .*'constant', 'cosine' or 'linear', got 'step'"):
        check_parameters(family, {"schedule": "step"})
    assert check_parameters(family, {"batch_size": 64.0, "warmup": 0}) == check_parameters(family, {"batch_size": 64})


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(TrialError, match="unknown family 'forest'; there are logistic"):
        check_parameters("forest", {})
    with pytest.raises(TrialError, match="unknown family 'subnet'; did you mean 'subnetwork'"):
        check_parameters("subnet", {})


def test_a_race_can_be_checked_without_tensorflow() -> None:
    code = "import sys; from glmix_automl.models import FAMILIES, check_parameters"
    code += "; [check_parameters(f, {}) for f in FAMILIES]; print('tensorflow' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_a_damaged_or_foreign_checkpoint_is_refused(small: Small, tmp_path: Any) -> None:
    folder = Folder(str(tmp_path))
    save_coordinate(folder, FAMILIES["subnetwork"].build(small[0], {"width": 4}, 0))
    text = folder.read(COORDINATE)
    folder.write(COORDINATE, text.replace(b'"width": 4', b'"width": 5'))
    with pytest.raises(DataError, match=r"weights\.npz: weight 'kernel_0' should have shape .*5"):
        load_coordinate(folder, small[0])
    folder.write(COORDINATE, text.replace(b'"version": 1', b'"version": 9'))
    with pytest.raises(DataError, match="version 9"):
        load_coordinate(folder, small[0])
    folder.write(COORDINATE, text)
    folder.write(WEIGHTS, folder.read(WEIGHTS)[:50])
    with pytest.raises(DataError, match="cannot be read as arrays"):
        load_coordinate(folder, small[0])


def test_products_across_sides_know_the_sides_of_large_and_small_vocabularies() -> None:
    sides = {"a": ("member", SMALL_TABLE + 9), "b": ("item", 5), "c": ("member", 3), "d": ("item", SMALL_TABLE + 2)}
    schema = Schema(
        name="sides",
        recipe="interactions",
        features=tuple(Categorical(name=n, source=n, vocabulary=n, side=side) for n, (side, _) in sides.items()),
        entities=(),
        vocabularies={n: Vocabulary(buckets=size - 1) for n, (_, size) in sides.items()},
    )
    coordinate = FAMILIES["factorisation"].build(schema, {"pairs": "sides", "embedding_width": 2}, 0)
    coordinate.dense[1].assign(coordinate.dense[1] * 0)  # no linear part
    ids, one = np.array([[SMALL_TABLE + 8, 4, 2, SMALL_TABLE + 1], [0, 1, 0, 7]], np.int32), np.ones(2, np.float32)
    block = Block(np.zeros((2, 0), np.float32), ids, (), one, one, one * 0, np.arange(2))
    small, large = (table.numpy() for table in coordinate.tables)
    rows = {
        "a": large[ids[:, 0]],
        "b": small[ids[:, 1]],
        "c": small[5 + ids[:, 2]],
        "d": large[SMALL_TABLE + 9 + ids[:, 3]],
    }
    expected = ((rows["a"] + rows["c"]) * (rows["b"] + rows["d"])).sum(axis=1)
    np.testing.assert_allclose(coordinate.score(from_block(block)), expected, rtol=1e-5)


def test_rare_terms_are_as_if_unseen(small: Small) -> None:
    schema, block = small
    coordinate = FAMILIES["subnetwork"].build(schema, {"depth": 1, "width": 4, "terms": 2}, 1)
    seen = [coordinate.prepare(from_block(block)) for block in (block, _without_rare(block, 2))]
    assert max(int(bag.ids.max()) for bag in block.bags) > 2 < block.categoricals.max()
    for one, other in zip(tf.nest.flatten(seen[0]), tf.nest.flatten(seen[1]), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    every = FAMILIES["subnetwork"].build(schema, {"depth": 1, "width": 4}, 1)
    assert coordinate.size < every.size


@pytest.mark.parametrize(("pooling", "power"), [("mean", 1.0), ("sqrt", 0.5), ("sum", 0.0)])
def test_bags_are_pooled_as_told(pooling: str, power: float, small: Small) -> None:
    schema, block = small
    built = Embedding(schema, 4, 4, pooling)
    built.reset(np.random.default_rng(0))
    rows = built.prepare(from_block(block))
    found = tf.split(built.features(rows)[:, -8:], 2, axis=1)  # two bags of width 4 come last
    for bag, prepared, place, blocks in zip(block.bags, rows.bags, built.bags, found, strict=True):
        table, row = built.tables[place.table].numpy(), int(np.argmax(np.diff(bag.splits)))
        first, last = bag.splits[row], bag.splits[row + 1]
        values = np.ones(last - first) if bag.values is None else bag.values[first:last]
        total = (table[prepared.ids.numpy()[first:last]] * values[:, None]).sum(axis=0)
        assert last - first > 1
        np.testing.assert_allclose(blocks[row], total / np.abs(values).sum() ** power, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("decay", [None, 0.3])
@pytest.mark.parametrize("bags", [1, 2])  # the second is weighted
def test_gradients_of_whole_tables_are_the_sums_of_the_slices_of_large_ones(
    bags: int, decay: float | None, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [f for f in small[0].features if f not in small[0].bags[bags:]]
    schema = small[0].model_copy(update={"features": tuple(kept)})
    rows = from_block(dataclasses.replace(small[1], bags=small[1].bags[:bags]).take(np.arange(3)))
    found = []
    for limit in (SMALL_TABLE, 0):
        monkeypatch.setattr(embedding, "SMALL_TABLE", limit)
        monkeypatch.setattr(embedding, "MIDDLE", limit)
        built = Embedding(schema, 4, 4)
        built.reset(np.random.default_rng(0))
        prepared = built.prepare(rows)
        slopes = tf.cos(built.features(prepared))
        strength = None if decay is None else tf.constant(decay)
        found += built.gradients(prepared, slopes, strength)
    whole, slices = found
    assert isinstance(whole, tf.Tensor)
    assert isinstance(slices, tf.IndexedSlices)
    assert whole.numpy().any(axis=1).sum() > 5
    expected = np.zeros(whole.shape)
    np.add.at(expected, slices.indices.numpy(), slices.values.numpy())
    np.testing.assert_allclose(whole.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_dropout_keeps_the_sum_as_expected(share: float) -> None:
    x = tf.random.stateless_uniform([300, 301], [1, 2], 1.0, 2.0)
    one, again, other = (drop_out(x, tf.constant(share), tf.constant([4, seed])).numpy() for seed in (0, 0, 1))
    assert (one == 0).mean() == pytest.approx(share, abs=0.006)  # to the nearest 256th, and three deviations
    assert one.sum() == pytest.approx(x.numpy().sum(), rel=0.01)
    assert np.array_equal(one, again)
    assert ((one == 0) & (other == 0)).mean() == pytest.approx(share**2, abs=0.01)
    assert np.array_equal(drop_out(x, tf.constant(0.0), tf.constant([4, 0])), x)


def _without_rare(block: Block, terms: int) -> Block:
    """The block as if terms beyond the first `terms` had not been in the vocabularies."""
    bags = []
    for bag in block.bags:
        rows = np.repeat(np.arange(len(block)), np.diff(bag.splits))
        kept = bag.ids <= terms
        splits = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=len(block)))])
        values = None if bag.values is None else bag.values[kept]
        bags.append(dataclasses.replace(bag, ids=bag.ids[kept], values=values, splits=splits.astype(bag.splits.dtype)))
    categoricals = np.where(block.categoricals <= terms, block.categoricals, 0)
    return dataclasses.replace(block, categoricals=categoricals, bags=tuple(bags))


@pytest.mark.parametrize("family", ["logistic", "subnetwork", "cross", "factorisation"])
def test_numerics_are_enough(family: str, small: Small) -> None:
    schema = small[0].model_copy(update={"features": small[0].numerics})
    block = dataclasses.replace(small[1], categoricals=small[1].categoricals[:, :0], bags=())
    coordinate = FAMILIES[family].build(schema, {}, seed=3)
    assert isinstance(coordinate, Differentiable)
    _, gradients = loss_and_gradients(coordinate, block)
    assert all(np.isfinite(tf.convert_to_tensor(gradient)).all() for gradient in gradients)
    assert coordinate.score(from_block(block)).std() > 0 or family == "logistic"


def test_products_across_sides_need_both_sides(small: Small) -> None:
    schema = small[0].model_copy(update={"features": small[0].numerics})
    with pytest.raises(TrialError, match="needs features of both sides"):
        FAMILIES["factorisation"].build(schema, {"pairs": "sides"}, 0)


def test_trees_scores_are_the_sum_of_their_leaves(small: Small) -> None:
    schema, block = small
    coordinate = trained("trees", {}, schema)
    found = coordinate.score(from_block(block))
    bag = block.bags[1]  # columns: 3 numerics, 2 categoricals, 13 terms, 13 terms of the weighted bag
    for row in range(50):
        entries = slice(bag.splits[row], bag.splits[row + 1])
        term = float((bag.values[entries] * (bag.ids[entries] == 20 - 18)).sum()) if bag.values is not None else 0.0
        below = (0.1, 0.2)[block.categoricals[row, 0] > 4], (0.4, 0.8)[term > 0.5]
        expected = (
            0.05 + below[int(block.numerics[row, 0] > 0.1)] + 1.6 + (3.2, 6.4)[int(block.numerics[row, 1] > -0.2)]
        )
        assert found[row] == pytest.approx(expected, abs=1e-6)


def test_logistic_scores_are_the_sum_of_their_terms(small: Small) -> None:
    schema, block = small
    coordinate = FAMILIES["logistic"].build(schema, {}, 0)
    rng = np.random.default_rng(1)
    linear, table = rng.normal(size=4).astype(np.float32), rng.normal(size=4 * 13).astype(np.float32)
    coordinate.weights["linear"].assign(linear)
    coordinate.weights["table"].assign(table)
    tables = table.reshape(4, 13)
    row = 17
    expected = block.numerics[row] @ linear[:3] + linear[3]
    expected += tables[0, block.categoricals[row, 0]] + tables[1, block.categoricals[row, 1]]
    for k, bag in enumerate(block.bags):
        entries = slice(bag.splits[row], bag.splits[row + 1])
        values = np.ones(1) if bag.values is None else bag.values[entries]
        expected += np.sum(tables[2 + k, bag.ids[entries]] * values)
    assert coordinate.score(from_block(block))[row] == pytest.approx(expected, rel=1e-5)


def test_tensors_have_rows_of_their_own_in_any_order_and_aligned(small: Small) -> None:
    _, block = small
    order = np.array([5, 5, 0, 3])
    copies = dataclasses.replace(block, numerics=block.numerics.copy(), label=block.label.copy())
    rows, some = from_block(copies), from_block(copies, order)
    copies.numerics[:] = copies.label[:] = 7.0
    assert (rows.numerics.numpy() == block.numerics).all()
    assert (some.numerics.numpy() == block.numerics[order]).all()
    assert (some.label.numpy() == block.label[order]).all()
    for bag, own in zip(some.bags, block.bags, strict=True):
        assert bag.ids.numpy().tolist() == [i for r in order for i in own.ids[own.splits[r] : own.splits[r + 1]]]
    for tensor in tf.nest.flatten((rows, some)):
        assert tensor._numpy().ctypes.data % 64 == 0, "TensorFlow would copy every batch, or read past its lanes"
    empty = from_block(dataclasses.replace(block, bags=(), numerics=block.numerics[:, :0]), order)
    assert empty.numerics.shape == (4, 0)
