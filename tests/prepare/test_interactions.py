"""The interactions recipe from raw tables to a published dataset."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glmix_automl import layout
from glmix_automl.config import parse
from glmix_automl.errors import ConfigError, DataError, GlmixError
from glmix_automl.features import encode
from glmix_automl.manifest import Manifest
from glmix_automl.schema import SPLITS, Schema

pytestmark = pytest.mark.spark


def prepared(spark: Any, settings: dict[str, Any], overwrite: bool = False) -> Manifest:
    from glmix_automl.prepare.interactions import Interactions
    from glmix_automl.prepare.pipeline import prepare

    return prepare(spark, parse(settings, Interactions, "test"), overwrite)


def raw_rows(spark: Any, settings: dict[str, Any]) -> pd.DataFrame:
    from glmix_automl.prepare.interactions import Interactions, rows
    from glmix_automl.prepare.run_settings import run_settings

    with run_settings(spark):
        return rows(spark, parse(settings, Interactions, "test")).frame.toPandas()


def read(folder: str, split: str, manifest: Manifest) -> pa.Table:
    return pa.concat_tables(pq.read_table(f"{folder}/{split}/{shard.name}") for shard in manifest.splits[split].shards)


def expected_history(
    frame: pd.DataFrame, tags: dict[str, list[str]], smoothing: float = 5
) -> dict[str, dict[str, float]]:
    """Row by row from the definition."""
    day = 86_400
    found = {}
    for row in frame.itertuples():
        past = frame[frame.when < row.when]
        before = frame[frame.when // day < row.when // day]
        prior = (before.label.sum() + 1) / (len(before) + 2)
        mine = past.member == row.member
        tagged = [np.array([t in tags[i] for i in past.item], bool) for t in tags[row.item]]
        matching = {
            "member": [past[mine]],
            "item": [past[past.item == row.item]],
            "tag": [past[has] for has in tagged],
            "member_tag": [past[mine & has] for has in tagged],
        }
        values = {}
        for key, groups in matching.items():
            if not groups:
                values |= {f"past_{key}_{w}": np.nan for w in ("count", "rate", "seconds")}
                continue
            n, positives = sum(len(g) for g in groups), sum(g.label.sum() for g in groups)
            last = max((g.when.max() for g in groups if len(g)), default=np.nan)
            values[f"past_{key}_count"] = n
            values[f"past_{key}_rate"] = (positives + smoothing * prior) / (n + smoothing)
            values[f"past_{key}_seconds"] = row.when - last
        found[row.uid] = values
    return found


def test_history_is_that_of_strictly_earlier_rows(spark: Any, settings: dict[str, Any], tables: Path) -> None:
    raw = pd.read_csv(tables / "interactions.csv", dtype={"item id": str})
    raw = raw.set_axis(["uid", "member", "item", "stars", "when", "device"], axis=1).assign(
        label=lambda f: f.stars >= 4
    )
    assert raw.when.duplicated().any(), "the case is about ties"
    items = pd.read_csv(tables / "items.csv", dtype=str).fillna("")
    tags = {i: sorted({t for t in text.split("|") if t}) for i, text in zip(items["item id"], items.tags, strict=True)}
    expected = expected_history(raw, tags)
    whole = raw_rows(spark, settings).set_index("_glmix_uid")
    settings["history"]["heavy_rows"] = 7  # almost every key is cut into spans
    cut = raw_rows(spark, settings).set_index("_glmix_uid")
    for name in next(iter(expected.values())):
        wanted = pd.Series({uid: values[name] for uid, values in expected.items()}).sort_index().astype(float)
        for got in (whole, cut):
            np.testing.assert_allclose(got[name].sort_index().astype(float), wanted, rtol=1e-12, err_msg=name)


def test_a_dataset_is_whole_and_says_what_it_is(spark: Any, settings: dict[str, Any], tables: Path) -> None:
    settings["negatives"] = 0.5
    manifest = prepared(spark, settings)
    out = Path(settings["output"])
    assert sorted(p.name for p in out.iterdir()) == sorted(
        [layout.SUCCESS, layout.SCHEMA, layout.MANIFEST, layout.DATA_REPORT_JSON, layout.DATA_REPORT_HTML, *SPLITS]
    )
    assert [p.name for p in out.parent.iterdir()] == ["out"]
    assert Manifest.model_validate_json((out / layout.MANIFEST).read_text()) == manifest
    schema = Schema.model_validate_json((out / layout.SCHEMA).read_text())
    splits = {s: read(str(out), s, manifest).to_pandas() for s in SPLITS}
    whole = pd.concat(splits.values())
    assert whole.uid.is_unique
    assert splits["train"].timestamp.max() < splits["validation"].timestamp.min()
    assert splits["validation"].timestamp.max() < splits["test"].timestamp.min()
    # Down-sampling: negatives of train only, their weight doubled.
    raw = pd.read_csv(tables / "interactions.csv", dtype=str).set_index("row id")
    begin = splits["validation"].timestamp.min()
    before = raw[raw.when.astype(int) < begin]
    train = splits["train"]
    assert set(train.uid[train.label == 1]) == set(before.index[before.stars.astype(int) >= 4])
    assert 0.3 < (train.label == 0).sum() / (before.stars.astype(int) < 4).sum() < 0.7
    assert set(train.weight[train.label == 0]) == {2.0}
    assert len(whole) == len(raw) - (len(before) - len(train))
    # Rows of a member lie in one shard, in order of time.
    for split in SPLITS:
        seen: dict[str, str] = {}
        for shard in manifest.splits[split].shards:
            part = pq.read_table(out / split / shard.name).to_pandas()
            assert len(part) == shard.rows
            assert all(seen.setdefault(m, shard.name) == shard.name for m in part.who)
            assert part.sort_values(["who", "timestamp", "uid"], kind="stable").uid.tolist() == part.uid.tolist()
    assert len(manifest.splits["train"].shards) > 1
    features = [n for f in schema.features for n in ([f.name, f.values] if getattr(f, "weighted", False) else [f.name])]
    assert list(whole.columns) == ["uid", "label", "weight", "offset", "timestamp", "who", "item id", *features]
    assert not whole[[f.name for f in schema.numerics]].isna().to_numpy().any()
    # Fitted on train before sampling: mean 0, deviation 1 of a standardised column over all train rows.
    assert {f.name for f in schema.features} >= {"age", "age_missing", "since_missing", "who.hashed", "past_item_rate"}
    report = json.loads((out / layout.DATA_REPORT_JSON).read_text())
    assert report["counts"]["rows read"] == len(raw)
    assert "<svg" in (out / layout.DATA_REPORT_HTML).read_text()
    rates = {s: splits[s].label.mul(splits[s].weight).sum() / splits[s].weight.sum() for s in SPLITS}
    assert {s: manifest.splits[s].base_rate for s in SPLITS} == pytest.approx(rates)
    assert manifest.splits["test"].entities == {
        "who": splits["test"].who.nunique(),
        "item id": splits["test"]["item id"].nunique(),
    }
    # The schema turns the same raw rows into the same columns again.
    frame = raw_rows(spark, settings).set_index("_glmix_uid").loc[splits["test"].uid]
    again = encode(schema, pa.Table.from_pandas(frame, preserve_index=False))
    assert again.to_pylist() == read(str(out), "test", manifest).select(again.column_names).to_pylist()


@pytest.mark.slow
def test_digests_depend_on_data_and_seed_only(
    spark: Any, settings: dict[str, Any], tables: Path, tmp_path: Path
) -> None:
    settings["negatives"] = 0.5
    first = prepared(spark, settings)
    before = spark.conf.get("spark.sql.shuffle.partitions")
    lines = (tables / "interactions.csv").read_text().splitlines()
    shuffled = tmp_path / "interactions.csv"
    shuffled.write_text("\n".join([lines[0], *np.random.default_rng(1).permutation(lines[1:])]))
    settings["interactions"]["table"]["path"] = str(shuffled)
    try:
        spark.conf.set("spark.sql.shuffle.partitions", "7")
        again = prepared(spark, settings, overwrite=True)
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", before)
    assert again == first
    settings["seed"] = 4
    assert prepared(spark, settings, overwrite=True).splits["train"].digest != first.splits["train"].digest


def edit(settings: dict[str, Any], path: str, value: Any) -> None:
    *way, last = path.split("/")
    place = settings
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place[part]  # type: ignore[assignment]
    place[int(last) if isinstance(place, list) else last] = value  # type: ignore[index]


@pytest.mark.parametrize(
    ("path", "value", "error", "message"),
    [
        ("interactions/table/path", "nothing.csv", DataError, r"no file at .*nothing.csv.*interactions.csv, items.csv"),
        ("interactions/member", "whom", DataError, r"interactions.csv: no column 'whom'; columns: row id, who"),
        ("items/features/1/source", "cost", DataError, r"items.csv: no column 'cost'; columns: item id, tags, price"),
        ("interactions/label", {"column": "stars"}, DataError, r"'stars' .* 0 and 1, it also holds 2 and 5.*rule"),
        ("interactions/label", {"column": "stars", "at_least": 9}, DataError, r"all \d+ rows of train are negative"),
        ("interactions/uid", "who", DataError, r"\d+ rows repeat a uid of column 'who', for example 'm0'"),
        ("members/key", "city", DataError, r"3 ids of column 'city' have several rows, for example 'c0'"),
        ("interactions/timestamp", {"column": "device"}, DataError, r"600 of 600 rows .*usable time: 600"),
        ("split", {"by": "time", "validation_from": "2031-01-01", "test_from": "2032-01-01"}, DataError,
         r"leaves validation and test empty \(train: 600 rows"),
        ("split", {"by": "column", "column": "device", "train": "web"}, DataError, r"leaves validation and test empty"),
        ("split", {"by": "random", "unit": "city"}, ConfigError, r"'city' is neither `row` nor an entity \(who,"),
        ("members/features/1", {"kind": "numeric", "source": "city"}, DataError, r"feature 'city' .* has no number in"),
        ("members/features/1/min_count", 1000, DataError, r"feature 'city'.* no term that occurs 1000 times"),
        ("members/table/rename", {"city": "device"}, ConfigError, r"members both have a column 'device'"),
        ("interactions/features/0/name", "label", ConfigError, r"keeps the name 'label'"),
        ("interactions/features/0/name", "age", ConfigError, r"two columns of the dataset are named 'age'"),
        ("items/table/derive", {"x": "nonsense("}, DataError, r"items.csv: column 'x': "),
    ],
)  # fmt: skip
def test_bad_input_is_named_and_nothing_is_left(
    spark: Any, settings: dict[str, Any], path: str, value: Any, error: type[GlmixError], message: str
) -> None:
    if path == "members/table/rename":
        settings["members"]["features"][1]["source"] = "device"
    settings["history"] = None
    edit(settings, path, value)
    with pytest.raises(error, match=message) as caught:
        prepared(spark, settings)
    assert "\tat " not in str(caught.value)
    out = Path(settings["output"])
    assert list(out.parent.iterdir()) == []


@pytest.mark.slow
def test_an_output_is_replaced_only_when_asked_and_only_if_a_dataset(spark: Any, settings: dict[str, Any]) -> None:
    settings["history"] = None
    out = Path(settings["output"])
    out.mkdir()
    (out / "thesis.doc").write_text("years of work")
    with pytest.raises(DataError, match="something else than a dataset"):
        prepared(spark, settings, overwrite=True)
    assert (out / "thesis.doc").exists()
    (out / "thesis.doc").unlink()
    first = prepared(spark, settings)
    with pytest.raises(DataError, match="--overwrite"):
        prepared(spark, settings)
    settings["split"] = {"by": "random", "unit": "who", "fractions": {"train": 6, "validation": 2, "test": 2}}
    second = prepared(spark, settings, overwrite=True)
    assert second.digest != first.digest
    assert Manifest.model_validate_json((out / layout.MANIFEST).read_text()) == second
    assert [p.name for p in out.parent.iterdir()] == ["out"]
    members = [set(read(str(out), s, second)["who"].to_pylist()) for s in SPLITS]
    assert not members[0] & members[1]
    assert not members[1] & members[2]


@pytest.mark.slow
def test_a_leak_and_unusable_rows_are_reported(
    spark: Any, settings: dict[str, Any], tables: Path, tmp_path: Path
) -> None:
    raw = pd.read_csv(tables / "interactions.csv", dtype=str)
    raw["echo"] = (raw.stars.astype(int) >= 4).map({True: "yes", False: "no"})
    raw.loc[:4, "stars"] = None
    raw.to_json(tmp_path / "events.json.gz", orient="records", lines=True)
    settings["history"] = None
    settings["interactions"]["table"] = {"path": str(tmp_path / "events.json.gz")}
    settings["interactions"]["features"].append({"kind": "categorical", "source": "echo"})
    prepared(spark, settings)
    report = json.loads((Path(settings["output"]) / layout.DATA_REPORT_JSON).read_text())
    assert any("'echo' alone has AUC 1.0000" in w for w in report["warnings"])
    assert report["counts"]["rows without a usable label"] == 5
    assert report["counts"]["rows dropped"] == 5
    settings["checks"] = {"max_dropped_share": 0.001}
    with pytest.raises(DataError, match=r"5 of 600 rows cannot be used \(rows without a usable label: 5\)"):
        prepared(spark, settings, overwrite=True)
