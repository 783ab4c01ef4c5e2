"""The updates of one step: Adam against its formula, Adagrad on rows that are summed in two ways."""

from typing import Any

import numpy as np
import tensorflow as tf

from glmix_automl.models.differentiable import Gradient, sum_slopes
from glmix_automl.training.optimiser import EPSILON, Optimiser, adam_rates


class Weights:
    """What an optimiser needs of a coordinate: weights updated whole, and tables updated by touched rows."""

    def __init__(self, rows: int) -> None:
        self.dense = [tf.Variable([1.0, -2.0, 3.0])]
        self.tables = [tf.Variable(tf.ones([rows, 2]))]


def looked_up(rows: int, ids: list[int], values: np.ndarray) -> Gradient:
    return sum_slopes(tf.constant(values, tf.float32), tf.range(len(ids)), tf.constant(ids), rows)


def stepped(rows: int, ids: list[int], values: np.ndarray, steps: int = 2, accumulator: float = 0.0) -> Any:
    weights: Any = Weights(rows)
    optimiser = Optimiser(weights, accumulator)
    gradient = tf.constant([0.5, -0.1, 0.0])
    for step in range(steps):
        rate = tf.constant(adam_rates(np.array([0.1]), step)[0])
        optimiser.apply([gradient, looked_up(rows, ids, values)], rate, tf.constant(0.2))
    return weights


def test_adam_is_the_published_one() -> None:
    weights = stepped(8, [1], np.zeros((1, 2)))
    expected, mean, square = np.array([1.0, -2.0, 3.0]), np.zeros(3), np.zeros(3)
    gradient = np.array([0.5, -0.1, 0.0])
    for step in (1, 2):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        expected -= 0.1 * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    assert np.allclose(weights.dense[0], expected, atol=1e-5)


def test_adagrad_sums_what_repeats_and_leaves_the_rest() -> None:
    weights = stepped(50, [7, 7, 9], np.array([[1.0, 2.0], [3.0, 4.0], [0.5, 0.5]]), steps=1)
    table = weights.tables[0].numpy()
    # The first step of Adagrad is the rate times the sign.
    assert np.allclose(table[[7, 9]], 1 - 0.2, atol=1e-4)
    untouched = np.delete(np.arange(50), [7, 9])
    assert (table[untouched] == 1).all()
    assert EPSILON < 1e-6


def test_both_ways_of_summing_give_the_same_bits() -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 8, 20).tolist()
    values = rng.normal(size=(20, 2))
    whole, touched = stepped(8, ids, values), stepped(50, ids, values)
    assert whole.tables[0].numpy().tobytes() == touched.tables[0].numpy()[:8].tobytes()


def test_a_row_needs_examples_to_move_where_the_sums_do_not_begin_with_nothing() -> None:
    values = np.array([[1.0, 2.0]])
    moved = [1 - stepped(8, [3], values, steps, accumulator=100.0).tables[0].numpy()[3] for steps in (1, 2)]
    assert np.allclose(moved[0], 0.2 * values[0] / np.sqrt(100 + values[0] ** 2), rtol=1e-4)
    assert np.allclose(moved[1], 2 * moved[0], rtol=0.05)  # as by plain gradient steps
