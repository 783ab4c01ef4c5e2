"""Losses within members: pairs of rows, their slope, and what families trained by them order better."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from glmix_automl.dataset import Dataset
from glmix_automl.errors import TrialError
from glmix_automl.models import FAMILIES
from glmix_automl.models.rows import from_block
from glmix_automl.training.evaluate import Evaluator
from glmix_automl.training.pairs import pair_rows
from glmix_automl.trial import Trial
from tests.dataset_maker import make_dataset

FAST: dict[str, Any] = {"learning_rate": 0.01, "batch_size": 64}
PAIRED: list[tuple[str, dict[str, Any]]] = [
    ("logistic", {**FAST, "learning_rate": 0.03}),
    ("subnetwork", {**FAST, "depth": 1, "width": 16}),
    ("factorisation", FAST),
    ("trees", {"trees": 60, "leaves": 8}),
]


def test_pairs_are_of_one_member_and_leave_no_row_out() -> None:
    rng = np.random.default_rng(0)
    members, label = rng.integers(0, 40, 500), rng.integers(0, 2, 500).astype(np.float32)
    label[members < 5] = 1  # rows that are in no pair
    pairs = pair_rows(label, members, np.random.default_rng(1))
    first, second = pairs[::2], pairs[1::2]
    assert len(first) == 500
    assert (members[first] == members[second]).all()
    assert (label[first] == 1).all()
    assert (label[second] == 0).all()
    mixed = [m for m in range(40) if 0 < label[members == m].sum() < (members == m).sum()]
    assert set(pairs) == set(np.flatnonzero(np.isin(members, mixed)))
    with pytest.raises(TrialError, match="no member has training rows of both labels"):
        pair_rows(np.ones(3), np.zeros(3), rng)


def test_the_slope_is_the_derivative_of_the_loss_of_differences(tmp_path: Path) -> None:
    schema = make_dataset(tmp_path, rows=64)
    block = Dataset.open(str(tmp_path)).read("train")
    rows = from_block(block, offset=np.linspace(-1, 1, 64).astype(np.float32))._replace(
        weight=tf.linspace(0.5, 2.0, 64)
    )
    coordinate = FAMILIES["subnetwork"].build(schema, {"loss": "pairwise"}, 0)
    score = tf.constant(np.random.default_rng(0).standard_normal(64), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(score)
        whole = score + rows.offset
        each = tf.math.softplus(whole[1::2] - whole[::2])
        loss = tf.reduce_sum(each * (rows.weight[::2] + rows.weight[1::2])) / 7.0
    expected = tape.gradient(loss, score)
    found = coordinate.slope(score, rows, tf.constant(7.0))  # type: ignore[attr-defined]
    assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-6)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Members of two kinds: `n0` and labels are both high where a member is of one, but of a member's rows those with
    label 1 have the lower `n0`.
    """
    folder = tmp_path_factory.mktemp("pairs") / "dataset"
    make_dataset(folder, rows=3000)
    rng = np.random.default_rng(0)
    for shard in sorted(folder.glob("*/*.parquet")):
        rows = pd.read_parquet(shard)
        kind = rows.member.map(lambda member: 2 * (zlib.crc32(member.encode()) % 2) - 1).to_numpy()
        label = (rng.random(len(rows)) < 0.5 + 0.3 * kind).astype(np.float32)
        numeric = kind - 0.35 * (2 * label - 1) + 0.9 * rng.standard_normal(len(rows))
        table = pq.read_table(shard)
        for name, values in (("label", label), ("n0", numeric.astype(np.float32))):
            table = table.set_column(table.column_names.index(name), name, pa.array(values))
        pq.write_table(table, shard)
    return str(folder)


@pytest.mark.parametrize(("family", "parameters"), PAIRED, ids=[family for family, _ in PAIRED])
def test_members_rows_are_ordered_whatever_tells_members_apart(
    family: str, parameters: dict[str, Any], dataset: str, tmp_path: Path
) -> None:
    task = Evaluator(dataset, str(tmp_path))
    rows, pairs, again = (
        task(
            Trial(
                number, "", family, {**parameters, "features": "n0", "loss": loss}, 1.0 if family == "trees" else 3.0
            ),
            lambda progress: False,
        ).metrics
        for number, loss in enumerate(("logistic", "pairwise", "pairwise"))
    )
    assert rows["member_auc"] < 0.55
    assert pairs["member_auc"] > 0.65
    assert pairs["member_auc"] == again["member_auc"]
    if family == "trees":
        assert 0.8 < pairs["calibration"] < 1.25  # they are log-odds


@pytest.mark.parametrize(
    ("family", "parameters", "said"),
    [
        ("subnetwork", {"batch_size": 100}, "batch_size that is a multiple of 16"),
        ("subnetwork", {"distillation": 0.5}, "takes no teacher"),
        ("logistic", {"solver": "lbfgs"}, "needs solver: adam"),
        ("trees", {"distillation": 0.5}, "takes no teacher"),
    ],
)
def test_what_pairs_do_not_go_with_is_said(family: str, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(TrialError, match=said):
        FAMILIES[family].resolve({**parameters, "loss": "pairwise"})
