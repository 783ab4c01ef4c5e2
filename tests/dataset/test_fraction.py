"""Subsamples: nested, of whole members, of the size that was asked for, with active and rare members in proportion."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from glmix_automl.dataset import Dataset
from glmix_automl.dataset.share import member_draws
from glmix_automl.errors import DataError
from glmix_automl.seeds import generator
from tests.dataset_maker import make_dataset

FRACTIONS = (0.05, 0.1, 0.3, 0.5, 0.9, 1.0)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Enough members for proportions to mean something."""
    folder = tmp_path_factory.mktemp("many")
    make_dataset(folder, rows=20_000, members=800, seed=3)
    return Dataset.open(str(folder))


def test_subsamples_are_nested_and_keep_whole_members(many: Dataset) -> None:
    codes = many.entity_codes("train", "member")
    smaller: set[int] = set()
    for fraction in FRACTIONS:
        block = many.read("train", fraction=fraction, seed=5, entities=True)
        members = set(block.entities["member"].tolist())
        assert smaller <= members
        assert np.array_equal(block.rows, np.flatnonzero(np.isin(codes, list(members))))
        smaller = members


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_the_share_of_rows_is_near_the_fraction(many: Dataset, fraction: float) -> None:
    for seed in range(5):
        block = many.read("train", fraction=fraction, seed=seed)
        assert len(block) / many.rows("train") == pytest.approx(fraction, abs=0.03)


def test_rows_of_a_subsample_are_those_of_the_whole(many: Dataset) -> None:
    whole, part = many.read("train"), many.read("train", fraction=0.3, seed=1)
    expected = whole.take(part.rows)
    assert np.array_equal(part.numerics, expected.numerics)
    assert np.array_equal(part.categoricals, expected.categoricals)
    assert np.array_equal(part.label, expected.label)
    for mine, yours in zip(part.bags, expected.bags, strict=True):
        assert np.array_equal(mine.splits, yours.splits)
        assert np.array_equal(mine.ids, yours.ids)


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_share_a_subsample(many: Dataset, size: int) -> None:
    whole = many.read("train", fraction=0.3, seed=1)
    shares = [many.read("train", rank, size, 0.3, 1) for rank in range(size)]
    streams = [block for rank in range(size) for block in many.stream("train", 700, rank, size, 0.3, 1)]
    for parts in (shares, streams):
        assert np.array_equal(np.concatenate([p.rows for p in parts]), whole.rows)
        assert np.array_equal(np.concatenate([p.numerics for p in parts]), whole.numerics)


def test_another_seed_draws_other_members_and_the_same_one_the_same(many: Dataset, tmp_path: Path) -> None:
    first, second = (many.read("train", fraction=0.3, seed=seed).rows for seed in (1, 2))
    assert not np.array_equal(first, second)
    again = Dataset.open(many.folder.uri)
    assert np.array_equal(first, again.read("train", fraction=0.3, seed=1).rows)


def test_members_are_drawn_evenly_whatever_their_ids() -> None:
    ids = pa.array([f"m{i}" for i in range(20_000)])
    draws = np.stack([member_draws(ids, np.ones(20_000, int), seed) for seed in range(20)])
    assert np.all((draws >= 0) & (draws < 1))
    # In one stratum each fraction keeps its share of members to within one.
    assert np.abs((draws < 0.3).sum(axis=1) - 6000).max() <= 1
    # A member is drawn by 6 of 20 seeds; the mean over 1000 similar ids is off by 0.03 with odds below 1e-6.
    assert (draws[:, :1000] < 0.3).mean() == pytest.approx(0.3, abs=0.03)
    # Two seeds are unrelated: a correlation of 20 000 draws is beyond 0.04 with odds below 1e-7.
    assert abs(np.corrcoef(draws[0], draws[1])[0, 1]) < 0.04


def test_active_and_rare_members_are_kept_in_proportion() -> None:
    rows = np.concatenate([np.ones(1000, int), np.full(100, 50), np.full(10, 3000)])
    draws = member_draws(pa.array([str(i) for i in range(len(rows))]), rows, seed=0)
    for count, kept in ((1, 200), (50, 20), (3000, 2)):
        assert abs(np.count_nonzero(draws[rows == count] < 0.2) - kept) <= 1


def test_few_members_are_drawn_without_bias() -> None:
    kept = [(member_draws(pa.array(["a", "b", "c"]), np.ones(3, int), seed) < 0.2).sum() for seed in range(1000)]
    # Mean 0.6 of 0 or 1: off by more than 0.07 with odds below 1e-5.
    assert np.mean(kept) == pytest.approx(0.6, abs=0.07)


def test_ids_may_be_of_any_length_and_script() -> None:
    ids = pa.array(["", "a", "ab", "ba", "Ω", "a" * 100, *map(str, generator(1, "ids").integers(0, 10**9, 50))])
    assert len(set(member_draws(ids, np.ones(len(ids), int), 0).tolist())) == len(ids)
    sliced = pa.concat_arrays([pa.array(["x"]), ids]).slice(1)
    assert np.array_equal(member_draws(sliced, np.ones(len(ids), int), 0), member_draws(ids, np.ones(len(ids), int), 0))


def test_a_fraction_that_keeps_no_member_is_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path, rows=40, members=2)
    dataset = Dataset.open(str(tmp_path))
    with pytest.raises(DataError, match="fraction 1e-09 of train has 0 rows"):
        dataset.read("train", fraction=1e-9)
