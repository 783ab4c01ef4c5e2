"""The traced loop: what it takes from outside does not pass through its steps, which visit every row."""

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from glmix_automl.dataset import Dataset
from glmix_automl.models import FAMILIES
from glmix_automl.training.loop import Loop
from glmix_automl.training.resident import Resident, batch_starts, draw_order
from glmix_automl.workers.collective import Alone
from tests.dataset_maker import make_dataset


def stepped(family: str, folder: Path) -> Loop:
    """A loop after five steps on a small dataset."""
    make_dataset(folder, rows=600)
    dataset = Dataset.open(str(folder))
    coordinate = FAMILIES[family].build(dataset.schema, {}, 0)
    loop, rates = Loop(coordinate, 32, Alone(), synchronous=False), np.full(5, 0.01)
    block = dataset.read("train")
    rows = coordinate.prepare(Resident.of(block, draw_order(len(block), 0)).rows)
    before = {name: array.copy() for name, array in coordinate.arrays.items()}
    assert loop.run(rows, np.arange(5) * 32, (rates, rates), 0, 32.0, coordinate.hyper(1.0), 0) == 5
    assert any((array != before[name]).any() for name, array in coordinate.arrays.items())
    return loop


@pytest.mark.parametrize("family", ["logistic", "subnetwork"])
def test_only_the_number_of_the_step_passes_through_the_steps(family: str, tmp_path: Path) -> None:
    graph = stepped(family, tmp_path / "dataset")._run.get_concrete_function().graph
    operations = Counter(operation.type for operation in graph.get_operations())
    assert operations["NextIteration"] == operations["Switch"] == 1
    assert not {"While", "StatelessWhile"} & set(operations)


@pytest.mark.parametrize("kind", ["numerics", "categoricals"])
@pytest.mark.parametrize("family", ["logistic", "subnetwork", "cross", "factorisation"])
def test_rows_of_one_kind_of_feature_are_enough(family: str, kind: str, tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=600)
    dataset = Dataset.open(str(tmp_path / "dataset"))
    schema = dataset.schema.model_copy(update={"features": getattr(dataset.schema, kind)})
    block = dataclasses.replace(dataset.read("train"), bags=())
    other = "numerics" if kind == "categoricals" else "categoricals"
    without = dataclasses.replace(block, **{other: getattr(block, other)[:, :0]})
    rows = Resident.of(without, draw_order(len(block), 0)).rows
    coordinate = FAMILIES[family].build(schema, {}, 0)
    loop, rates = Loop(coordinate, 32, Alone(), synchronous=False), np.full(3, 0.01)
    starts = np.array([160, 0, 320])
    assert loop.run(coordinate.prepare(rows), starts, (rates, rates), 0, 32.0, coordinate.hyper(1.0), 0) == 3
    assert np.isfinite(coordinate.score(rows)).all()
    assert coordinate.score(rows).std() > 0


def test_other_loops_and_comparisons_are_as_before(tmp_path: Path) -> None:
    stepped("logistic", tmp_path / "dataset")

    @tf.function(autograph=False)
    def count(most: tf.Tensor) -> tf.Tensor:
        return tf.while_loop(lambda number: number < most, lambda number: number + 1, [tf.constant(0)])

    operations = {operation.type for operation in count.get_concrete_function(tf.constant(3)).graph.get_operations()}
    assert operations & {"While", "StatelessWhile"}
    assert (tf.constant([1, 2]) == tf.constant([1, 3])).numpy().tolist() == [True, False]


@given(st.integers(1, 100), st.integers(0, 400), st.integers(0, 3))
def test_every_row_is_in_a_batch(batch: int, more: int, beyond: int) -> None:
    rows = batch + more
    starts = batch_starts(rows, batch, -(-rows // batch) + beyond, np.random.default_rng(0))
    visited = (starts[:, None] + np.arange(batch)).ravel()
    assert set(visited.tolist()) == set(range(rows))
