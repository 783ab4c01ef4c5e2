"""Rows to be scored get what preparation gave the rows of its dataset, column for column, from ids and time alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glmix_automl.errors import DataError
from glmix_automl.layout import RAW, Folder
from glmix_automl.prepare import pipeline
from glmix_automl.prepare.answers import answer, history_columns
from glmix_automl.prepare.asking import ask
from glmix_automl.prepare.interactions import Interactions
from glmix_automl.prepare.known import HISTORY, Known
from glmix_automl.prepare.past_columns import FACTORS, SIMILAR
from glmix_automl.prepare.recipe import Table
from tests.prepare.conftest import interactions


def prepared(tables: Path, output: Path, table: str = "interactions.csv") -> Interactions:
    """A dataset without Spark, and the recipe of it."""
    given = interactions(tables, output) | {"engine": "local"}
    given["interactions"]["table"] = {"path": table}
    recipe = pipeline.load_recipe(given)
    assert isinstance(recipe, Interactions)
    pipeline.prepare_dataset(None, recipe)
    return recipe


def answered(
    recipe: Interactions, rows: Path, folder: Path, known: Known | None = None, newer: bool = True, **more: Any
) -> pd.DataFrame:
    """Every row of a table with all that is known of it."""
    folder.mkdir()
    asked = ask(None, recipe, Table(path=str(rows)), ".", str(folder), known, newer, **more)
    parts = [answer(asked, part) for part in range(asked.work.parts)]
    return pa.concat_tables([part for part in parts if part is not None]).to_pandas().set_index("row id").sort_index()


@pytest.fixture(scope="module")
def cut(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The whole dataset, that of its first days, and the rows in between."""
    folder = tmp_path_factory.mktemp("cut")
    raw = pd.read_csv(tables / "interactions.csv", dtype=str)
    # After so many rows models of items are fitted anew, and after 597 the next time.
    border, following = raw.when.astype(int).sort_values().iloc[[477, 597]]
    early, late = raw[raw.when.astype(int) < border], raw[raw.when.astype(int) >= border]
    early.to_csv(folder / "early.csv", index=False)
    late.drop(columns="stars").to_csv(folder / "asking.csv", index=False)
    return {
        "whole": prepared(tables, folder / "whole"),
        "early": prepared(tables, folder / "early", str(folder / "early.csv")),
        "folder": folder,
        "known": Known.open(Folder(str(folder / "early" / HISTORY))),
        "rows": folder / "asking.csv",
        "raw": pd.concat([pq.read_table(folder / "whole" / RAW / s).to_pandas() for s in ("validation", "test")]),
        "late": late,
        "refitted": set(raw["row id"][raw.when.astype(int) >= following]),
    }


BAGS = ("likes", "tags")
MODELLED = tuple(f"past_{signal}{kind}" for signal in ("", "stars_") for kind in (*SIMILAR, *FACTORS))


def same(found: pd.DataFrame, wanted: pd.DataFrame, columns: Any) -> None:
    wanted = wanted.set_index("uid").sort_index()
    found = found.loc[wanted.index]
    for name in columns:
        if wanted[name].dtype == object and name not in BAGS:
            assert found[name].fillna("").tolist() == wanted[name].fillna("").tolist(), name
        elif name not in BAGS:
            np.testing.assert_allclose(
                found[name].astype(float), wanted[name].astype(float), rtol=1e-12, equal_nan=True, err_msg=name
            )
        else:
            terms = [[sorted(t["term"] for t in ([] if v is None else v)) for v in f[name]] for f in (found, wanted)]
            assert terms[0] == terms[1]


def test_rows_are_answered_as_in_preparation(cut: dict[str, Any], tmp_path: Path) -> None:
    """From all interactions; from what was known and the newer ones, some of which are known already; in any parts."""
    columns = [c for c in cut["raw"].columns if c != "uid"]
    assert {"age.years", "tags", "device", "past_member_tag_seconds"} <= set(columns)
    same(answered(cut["whole"], cut["rows"], tmp_path / "given"), cut["raw"], columns)
    found = answered(cut["whole"], cut["rows"], tmp_path / "carried", cut["known"])
    same(found, cut["raw"], [c for c in columns if c not in MODELLED])
    # What is carried are models of items of all known rows, until they are fitted anew.
    raw = cut["raw"][~cut["raw"].uid.isin(cut["refitted"])]
    assert 10 < len(raw) < len(cut["raw"])
    assert (raw[list(MODELLED)] != 0).any().all()
    same(found, raw, MODELLED)


def test_partitions_do_not_matter(
    cut: dict[str, Any], tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glmix_automl.prepare.pipeline.partitions", lambda rows: 4)
    prepared(tables, tmp_path / "parted", str(cut["folder"] / "early.csv"))
    known = Known.open(Folder(str(tmp_path / "parted" / HISTORY)))
    assert known is not None
    assert known.parts == 4
    columns = [c for c in cut["raw"].columns if c != "uid"]
    for parts in (2, 8):
        monkeypatch.setattr("glmix_automl.prepare.asking.partitions", lambda rows, parts=parts: parts)
        (tmp_path / f"asked in {parts}").mkdir()
        table = Table(path=str(cut["rows"]))
        asked = ask(None, cut["whole"], table, ".", str(tmp_path / f"asked in {parts}"), known, True)
        assert asked.work.parts == max(parts, 4), (
            "however few rows ask, no task holds more of what is known than before"
        )
        raw = cut["raw"][~cut["raw"].uid.isin(cut["refitted"])]
        same(answered(cut["whole"], cut["rows"], tmp_path / f"in {parts}", known), raw, columns)


def test_rows_in_memory_are_answered_from_what_is_known(cut: dict[str, Any], tables: Path, tmp_path: Path) -> None:
    """As the rows of a table without newer interactions; an unknown member, item and tag have no past."""
    recipe, known = cut["early"], cut["known"]
    wanted = answered(recipe, cut["rows"], tmp_path / "table", known, newer=False)
    items = pd.read_csv(tables / "items.csv", dtype=str).set_index("item id")
    late = cut["late"].set_index("row id").loc[wanted.index]
    texts = [pa.array(late[c], pa.string()) for c in ("who", "item id")]
    tags = pa.array(items.tags.reindex(late["item id"]), pa.string())
    times = late.when.astype("int64").to_numpy() * 10**6
    found = history_columns(recipe.history, known, *texts, [tags], times)
    for name, column in found.items():
        np.testing.assert_allclose(column.to_numpy(zero_copy_only=False), wanted[name].astype(float), rtol=1e-12)
    nobody = [pa.array(["nobody"]), pa.array(["nothing"])]
    new = history_columns(recipe.history, known, *nobody, [pa.array(["never heard"])], times[:1])
    assert new["past_member_count"].to_pylist() == [0]
    assert new["past_item_seconds"].to_pylist() == [None]
    assert new["past_member_tag_count"].to_pylist() == [0]


def test_the_moment_must_be_there_and_not_be_known_already(cut: dict[str, Any], tmp_path: Path) -> None:
    rows = pd.read_csv(cut["rows"], dtype=str)
    rows.drop(columns=["when", "device"]).to_csv(tmp_path / "timeless.csv", index=False)
    with pytest.raises(DataError, match="no column 'when' that says when; bring it, or set `at`"):
        answered(cut["early"], tmp_path / "timeless.csv", tmp_path / "a", cut["known"], newer=False)
    found = answered(
        cut["early"], tmp_path / "timeless.csv", tmp_path / "b", cut["known"], newer=False, at=1_700_000_000 * 10**6
    )
    assert len(found) == len(rows)
    assert found["device"].isna().all(), "what describes the moment is missing where the rows do not bring it"
    with pytest.raises(DataError, match="it would see its own future"):
        answered(cut["early"], cut["folder"] / "early.csv", tmp_path / "c", cut["known"], newer=False)
