"""Weights of any size are summed exactly, and those that float32 cannot take are none."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from glmix_automl.prepare.events import EventColumns, read_roles
from glmix_automl.prepare.profile import base_rate, sum_weights
from glmix_automl.prepare.times import TimeReading


@pytest.mark.parametrize("scale", [1.7e-8, 1e-29, 1.0, 3e13, 1e30])
def test_a_base_rate_does_not_depend_on_the_scale_or_order_of_weights(scale: float) -> None:
    random = np.random.default_rng(0)
    label = random.integers(0, 2, 10_000)
    weights = ((1 + label) * random.random(10_000) * scale).astype(np.float32)
    order = random.permutation(10_000)
    sums = sum_weights(weights, label, 2)
    assert (sums == sum_weights(weights[order], label[order], 2)).all()
    exact = weights.astype(np.float64)
    assert base_rate(sums) == pytest.approx(exact[label == 1].sum() / exact.sum(), rel=1e-12)


@pytest.mark.spark
def test_weights_are_read_alike_by_either_engine(run_settings: Any) -> None:
    from glmix_automl.prepare.spark_events import weight_column

    weights = [1.7e-8, 1e-30, 1e30, float("nan"), 1e31, 0.0, -1.0, None]
    frame = run_settings.createDataFrame([(w,) for w in weights], "w double").coalesce(1)
    table = pa.table({"m": ["a"] * 8, "i": ["b"] * 8, "l": [1] * 8, "w": weights})
    here = read_roles(EventColumns("m", "i", "l", weight="w"), table, TimeReading("type"), "")["weight"].to_pylist()
    assert here == [1.7e-8, 1e-30, 1e30] + [None] * 5
    assert [row[0] for row in frame.select(weight_column(frame, "w")).collect()] == here
