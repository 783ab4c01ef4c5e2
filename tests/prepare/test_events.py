"""Rows with maps in them have a hash, and weights of any size are summed exactly."""

from typing import Any

import numpy as np
import pytest

from glmix_automl.prepare.profile import base_rate, sum_weights


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
def test_rows_that_are_the_same_have_one_hash_whatever_the_order_of_a_map(run_settings: Any) -> None:
    from glmix_automl.prepare.events import fingerprint, weight_column

    kinds = "a string, m map<string,double>, s struct<x:array<map<string,int>>>, w double"
    rows = [
        ("r", {"k": 1.0, "l": 2.0}, ([{"p": 1, "q": 2}],), 1.7e-8),
        ("r", {"l": 2.0, "k": 1.0}, ([{"q": 2, "p": 1}],), 1.7e-8),
        ("r", {"l": 2.0, "k": 1.5}, ([{"q": 2, "p": 1}],), 1.7e-8),
        ("r", None, None, float("nan")),
        ("r", {}, ([],), 1e31),
    ]
    frame = run_settings.createDataFrame(rows, kinds).coalesce(1)
    found = frame.select(fingerprint(frame.drop("w")), weight_column(frame, "w")).collect()
    hashes = [row[0] for row in found]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3  # Spark hashes nothing for null and for empty alike
    assert [row[1] for row in found] == [1.7e-8] * 3 + [None, None]
