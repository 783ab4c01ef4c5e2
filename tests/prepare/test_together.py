"""Columns from models of items against their definition, fitted and looked back row by row."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from glmix_automl.prepare.past_columns import FIXED_ONE
from glmix_automl.prepare.together import factors, look_back, sample, similar

ROWS, MEMBERS, ITEMS = 260, 9, 12
STEP = 5  # of the rows that are worked out by definition


def rows_of(seed: int) -> tuple[pa.Table, dict[str, np.ndarray]]:
    """Rows with ties in time, members who come again and again, items that repeat."""
    random = np.random.default_rng(seed)
    table = {
        "key": random.integers(0, MEMBERS, ROWS) * 7919,
        "other": random.integers(0, ITEMS, ROWS) * 104_729,
        "time": random.integers(0, 200, ROWS),
        "label": np.ones(ROWS, np.int8),
    }
    return pa.table(table), {"effect": np.rint(random.normal(0, 0.5, ROWS) * FIXED_ONE).astype(np.int64)}


def fitted(folder: Path, rows: pa.Table, effects: dict[str, np.ndarray]) -> look_back.ItemModels:
    drawn = sample.write_drawn(str(folder), [sample.draw(rows, effects, 1.0)], ("effect",))
    gathered = sample.gather(str(folder), ("effect",), [drawn])
    assert gathered is not None
    path, scales = factors.factors(gathered, "effect")
    lists = similar.opened(str(folder), similar.similar(gathered, "effect"), len(gathered.keys))
    vectors = factors.opened(str(folder), path, gathered.models)
    return look_back.ItemModels(gathered.borders, gathered.keys, lists, vectors, scales)


def looked(models: look_back.ItemModels, rows: pa.Table, effects: dict[str, np.ndarray], counts: Any = None) -> Any:
    counts = np.ones(len(rows), bool) if counts is None else counts
    columns = (rows[c].to_numpy() for c in ("key", "time", "other"))
    order = sample.in_order(rows, effects)
    return look_back.look_back(models, look_back.Lookback.of(*columns, counts, order), effects["effect"])


def by_definition(rows: pa.Table, x: np.ndarray, borders: tuple[int, ...], window: int, last: int) -> dict[str, Any]:
    """Similarity, co-occurrence and their sums for each row, by loops over all pairs of rows."""
    member, item, time = (rows[c].to_numpy() for c in ("key", "other", "time"))
    place = np.lexsort((x, item, time, member))
    rank = np.empty(ROWS, np.int64)
    rank[place] = np.arange(ROWS)
    found = {n: np.zeros(ROWS) for n in ("similar", "similar_mean", "together", "together_mean")}
    for row in range(0, ROWS, STEP):
        passed = [b for b in borders if b <= time[row]]
        if not passed:
            continue
        # The list of an item is renewed at the fits that it has new rows for.
        mine = [t for t in time[item == item[row]] if t < passed[-1]]
        if not mine:
            continue
        border = min(b for b in borders if b > max(mine))
        known = time < border
        past = [r for r in range(ROWS) if member[r] == member[row] and time[r] < time[row]]
        past = sorted(past, key=lambda r: rank[r])[-last:]
        sums = np.zeros(4)
        for other in past:
            if item[other] == item[row]:
                continue
            pairs = [
                (a, b)
                for a in np.flatnonzero(known & (item == item[row]))
                for b in np.flatnonzero(known & (item == item[other]))
                if member[a] == member[b] and abs(rank[a] - rank[b]) <= window
            ]
            if not pairs:
                continue
            norms = [(x[known & (item == i)] ** 2).sum() for i in (item[row], item[other])]
            counts = [(known & (item == i)).sum() for i in (item[row], item[other])]
            n = len(pairs)
            alike = sum(x[a] * x[b] for a, b in pairs) / np.sqrt(norms[0] * norms[1]) * n / (n + similar.SHRINKAGE)
            share = n / np.sqrt(counts[0] * counts[1])
            sums += [alike * x[other], abs(alike), share * x[other], share]
        found["similar"][row], found["together"][row] = sums[0], sums[2]
        found["similar_mean"][row] = sums[0] / (sums[1] + look_back.MEAN_SMOOTHING)
        found["together_mean"][row] = sums[2] / (sums[3] + look_back.MEAN_SMOOTHING)
    return found


def test_similar_items_are_those_of_earlier_rows(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(similar, "WINDOW", 6)
    monkeypatch.setattr(look_back, "LAST_SEEN", 9)
    rows, effects = rows_of(1)
    models = fitted(tmp_path, rows, effects)
    assert len(models.borders) == 5
    found = looked(models, rows, effects)
    wanted = by_definition(rows, effects["effect"] / FIXED_ONE, models.borders, 6, 9)
    for name, column in wanted.items():
        assert (column != 0).sum() > 15
        np.testing.assert_allclose(found[name][::STEP], column[::STEP], rtol=2e-5, atol=1e-6, err_msg=name)


def test_factors_are_those_of_earlier_rows(tmp_path: Path) -> None:
    rows, effects = rows_of(2)
    models = fitted(tmp_path, rows, effects)
    assert models.vectors is not None
    member, item, time = (rows[c].to_numpy() for c in ("key", "other", "time"))
    x = effects["effect"] / FIXED_ONE
    # One fit by the definition of least squares, from the vectors of the fit before.
    before, known = models.vectors[-2].astype(float), np.ones(ROWS, bool)
    for _ in range(factors.SWEEPS):
        of_members = {m: ridge(before, item, x / models.scales[-1], member == m, models.keys) for m in set(member)}
        before = np.stack([ridge_of_item(of_members, member, x / models.scales[-1], item == k) for k in models.keys])
    np.testing.assert_allclose(models.vectors[-1], before, rtol=1e-3, atol=1e-4)
    found = looked(models, rows, effects)["factors"]
    for row in np.flatnonzero(known)[::7]:
        model = sum(b <= time[row] for b in models.borders) - 1
        past = (member == member[row]) & (time < time[row])
        if model < 0 or not past.any():
            assert found[row] == 0
            continue
        vectors = models.vectors[model].astype(float)
        mine = ridge(vectors, item, x / models.scales[model], past, models.keys)
        at = np.searchsorted(models.keys, item[row])
        np.testing.assert_allclose(found[row], mine @ vectors[at] * models.scales[model], rtol=1e-5, atol=1e-9)


def test_factors_find_what_too_few_rows_at_first_did_not_tell(tmp_path: Path) -> None:
    """Every member's first rows come before the second ones: on these alone vectors shrink to nothing."""
    random = np.random.default_rng(3)
    members, items, size = 400, 60, 12_000
    taste, kind = (random.choice([-1.0, 1.0], n) for n in (members, items))
    member, item = random.integers(members, size=size), random.integers(items, size=size)
    x = taste[member] * kind[item] + random.normal(0, 1, size)
    rows = {"key": member * 7919, "other": item * 104_729, "time": np.arange(size), "label": np.ones(size, int)}
    rows = pa.table(rows)
    effects = {"effect": np.rint(x * FIXED_ONE).astype(np.int64)}
    models = fitted(tmp_path, rows, effects)
    assert models.vectors is not None
    assert np.square(models.vectors[3]).mean() < 1e-2
    found = looked(models, rows, effects)["factors"][-2_000:]
    assert np.corrcoef(found, (taste[member] * kind[item])[-2_000:])[0, 1] > 0.6


def ridge(vectors: np.ndarray, item: np.ndarray, x: np.ndarray, rows: np.ndarray, keys: np.ndarray) -> np.ndarray:
    inputs = vectors[np.searchsorted(keys, item[rows])]
    return np.linalg.solve(inputs.T @ inputs + factors.RIDGE * np.eye(factors.RANK), inputs.T @ x[rows])


def ridge_of_item(members: dict[int, np.ndarray], member: np.ndarray, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    inputs = np.stack([members[m] for m in member[rows]])
    return np.linalg.solve(inputs.T @ inputs + factors.RIDGE * np.eye(factors.RANK), inputs.T @ x[rows])


def test_the_last_rows_of_a_member_are_all_that_later_ones_need(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(look_back, "LAST_SEEN", 5)
    rows, effects = rows_of(3)
    models = fitted(tmp_path, rows, effects)
    whole = looked(models, rows, effects)
    time = rows["time"].to_numpy()
    early, late = np.flatnonzero(time < 120), np.flatnonzero(time >= 120)
    part = rows.take(pa.array(early))
    columns = (part[c].to_numpy() for c in ("key", "time", "other"))
    of_early = {"effect": effects["effect"][early]}
    order = sample.in_order(part, of_early)
    kept = early[look_back.Lookback.of(*columns, np.ones(len(early), bool), order).last(5)]
    assert len(kept) <= 5 * MEMBERS
    again = np.concatenate([kept, late])
    found = looked(models, rows.take(pa.array(again)), {"effect": effects["effect"][again]})
    for name, column in whole.items():
        np.testing.assert_array_equal(found[name][len(kept) :], column[late], err_msg=name)
    # Rows that only ask see the same, and are not seen.
    asking = np.concatenate([np.arange(ROWS), np.arange(ROWS)])
    counts = np.arange(2 * ROWS) < ROWS
    found = looked(models, rows.take(pa.array(asking)), {"effect": effects["effect"][asking]}, counts)
    for name, column in whole.items():
        np.testing.assert_array_equal(found[name], np.tile(column, 2), err_msg=name)
