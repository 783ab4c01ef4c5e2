"""The interactions recipe from raw tables to a published dataset."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from glmix_automl import layout
from glmix_automl.config import parse
from glmix_automl.errors import ConfigError, DataError, GlmixError
from glmix_automl.features import encode
from glmix_automl.manifest import Manifest
from glmix_automl.prepare import member_past, partition, shards
from glmix_automl.prepare.explain import explain, raw_rows
from glmix_automl.prepare.history_features import HistoryFeatures
from glmix_automl.prepare.past_columns import past_features, together_names
from glmix_automl.schema import SPLITS, Schema


def prepared(settings: dict[str, Any], overwrite: bool = False, spark: Any = None) -> Manifest:
    from glmix_automl.prepare.interactions import Interactions
    from glmix_automl.prepare.pipeline import prepare_dataset

    return prepare_dataset(spark, parse(settings, Interactions, "test"), overwrite)


def laid_rows(settings: dict[str, Any], folder: Path) -> pd.DataFrame:
    """The rows' own raw columns and those of history, by uid, as they are laid down for shards."""
    from glmix_automl.prepare import pipeline
    from glmix_automl.prepare.engine import Local
    from glmix_automl.prepare.exchange import read_batch
    from glmix_automl.prepare.interaction_rows import arrow_rows
    from glmix_automl.prepare.interactions import Interactions
    from glmix_automl.prepare.progress import StepProgress
    from glmix_automl.prepare.steps import Preparation

    recipe, engine = parse(settings, Interactions, "test"), Local(StepProgress())
    rows = arrow_rows(engine, recipe)
    (folder / "_stage").mkdir(parents=True)
    work = pipeline._work(rows, recipe, str(folder))
    steps = Preparation(engine, work, rows, recipe)
    laid = steps._laid(*steps._read())
    tables = [
        pa.Table.from_batches([read_batch(work.folder, path, i)])
        for each in laid
        for path in each.paths
        for i in range(3)
    ]
    table = pa.concat_tables(tables)
    names = {place.name: place.source for place in work.places.values()}
    return table.rename_columns([names.get(n, n) for n in table.column_names]).to_pandas().set_index("uid")


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


def expected_effects(
    frame: pd.DataFrame, tags: dict[str, list[str]], smoothing: float = 5
) -> dict[str, dict[str, float]]:
    """Means, effects, recent rates and tastes, row by row from the definition."""
    when, label, stars = (frame[c].to_numpy(float) for c in ("when", "label", "stars"))
    keys = {key: frame[key].to_numpy() for key in ("item", "member")}
    effects = {"": np.empty(len(frame)), "stars_": np.empty(len(frame))}
    rows: list[dict[str, float]] = []
    for row in range(len(frame)):
        before = when // 86_400 < when[row] // 86_400
        weight = smoothing if before.any() else 0.0
        prior = (label[before].sum() + 1) / (before.sum() + 2)
        values = {}
        for key, column in keys.items():
            mine = (column == column[row]) & (when < when[row])
            total, n = stars[mine].sum() + (weight * stars[before].mean() if weight else 0.0), mine.sum()
            values[f"past_{key}_stars_mean"] = total / (n + weight) if n + weight else np.nan
            for half_life in (1, 5, 20):
                left = recent_weights(when[mine], half_life)
                values[f"past_{key}_recent_{half_life}"] = (left @ label[mine] + prior) / (left.sum() + 1)
        of_item = (keys["item"] == keys["item"][row]) & (when < when[row])
        mean = (label[of_item].sum() + smoothing * prior) / (of_item.sum() + smoothing)
        effects[""][row] = label[row] - mean
        effects["stars_"][row] = np.nan_to_num(stars[row] - values["past_item_stars_mean"])
        rows.append(values)
    for row, values in enumerate(rows):
        past = (when < when[row]) & (keys["member"] == keys["member"][row])
        has = [np.array([t in tags[i] for i in keys["item"][past]], bool) for t in tags[keys["item"][row]]]
        for name, effect in effects.items():
            mine = effect[past]
            values[f"past_member_{name}effect"] = mine.sum() / (len(mine) + smoothing)
            for half_life in (1, 5, 20):
                left = recent_weights(when[past], half_life)
                values[f"past_member_recent_{name}effect_{half_life}"] = (left @ mine) / (left.sum() + 1)
            each = [mine[h].sum() / (h.sum() + smoothing) for h in has] or [np.nan]
            for how, function in (("mean", np.mean), ("most", max), ("least", min)):
                values[f"past_member_tag_{name}effect_{how}"] = float(function(each))
    return dict(zip(frame.uid, rows, strict=True))


def recent_weights(times: np.ndarray, half_life: float) -> np.ndarray:
    """Half for every so many rows that came after the moment of each."""
    return 0.5 ** ((times[None, :] > times[:, None]).sum(axis=1) / half_life)


def test_history_is_that_of_strictly_earlier_rows(
    settings: dict[str, Any], tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = pd.read_csv(tables / "interactions.csv", dtype={"item id": str})
    raw = raw.set_axis(["uid", "member", "item", "stars", "when", "device"], axis=1).assign(
        label=lambda f: f.stars >= 4
    )
    assert raw.when.duplicated().any(), "the case is about ties"
    items = pd.read_csv(tables / "items.csv", dtype=str).fillna("")
    tags = {i: sorted({t for t in text.split("|") if t}) for i, text in zip(items["item id"], items.tags, strict=True)}
    effects = expected_effects(raw, tags)
    expected = {u: {**v, **effects[u]} for u, v in expected_history(raw, tags).items()}
    whole = laid_rows(settings, tmp_path / "whole")
    settings["history"]["heavy_rows"] = 40  # every partition is read in blocks of time
    monkeypatch.setattr("glmix_automl.prepare.intake.BLOCK_ROWS", 100)
    monkeypatch.setattr("glmix_automl.prepare.block_tables.BLOCK_ROWS", 100)
    cut = laid_rows(settings, tmp_path / "cut")
    # Columns from models of items are shown in `test_together`.
    modelled = {n for signal in ("label", "stars") for n in together_names(HistoryFeatures(), signal)}
    assert set(next(iter(expected.values()))) | modelled == {n for n in whole.columns if n.startswith("past_")}
    assert {n: whole[n].tolist() for n in modelled} == {n: cut[n][whole.index].tolist() for n in modelled}
    for name in next(iter(expected.values())):
        wanted = pd.Series({uid: values[name] for uid, values in expected.items()}).sort_index().astype(float)
        for got in (whole, cut):
            # Effects and signals are added up in 65,536ths.
            close = 2e-5 if "effect" in name or "stars" in name else 0
            found = got[name].sort_index().astype(float)
            np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=close, err_msg=name)


def test_no_column_sees_its_own_response_or_a_later_row(settings: dict[str, Any], tables: Path, tmp_path: Path) -> None:
    raw = pd.read_csv(tables / "interactions.csv", dtype=str)
    when = raw.when.astype(int)
    moment = int(when.sort_values().iloc[520])
    assert (when == moment).sum() > 1, "rows of one moment do not see each other"
    before = laid_rows(settings, tmp_path / "before")
    other = raw.copy()
    other.loc[when >= moment, "stars"] = (6 - raw.stars.astype(int)[when >= moment]).astype(str)
    settings["interactions"]["table"]["path"] = str(tmp_path / "other.csv")
    columns = [n for n in before.columns if n.startswith("past_")]
    assert len(columns) == len(past_features(HistoryFeatures.model_validate(settings["history"])))
    seen = raw["row id"][when <= moment]
    for name, rows in (("responses", other), ("gone", other[(when <= moment) | (raw.index % 2 == 0)])):
        rows.to_csv(tmp_path / "other.csv", index=False)
        after = laid_rows(settings, tmp_path / name)
        assert (after.label[seen] != before.label[seen]).any()
        for column in columns:
            np.testing.assert_array_equal(before.loc[seen, column], after.loc[seen, column], err_msg=column)
            if name == "responses" and not column.endswith(("count", "seconds")):
                assert not before[column].equals(after[column]), f"{column} says nothing"


def untimed(settings: dict[str, Any], table: Path) -> dict[str, Any]:
    events = {k: v for k, v in settings["interactions"].items() if k != "timestamp"} | {"table": {"path": str(table)}}
    return settings | {"interactions": events, "split": {"by": "random"}}


def test_without_times_history_is_of_train_in_a_drawn_order(
    settings: dict[str, Any], tables: Path, tmp_path: Path
) -> None:
    """Held-out rows see all of train, train what comes before, nobody its own or a held-out response."""
    raw = pd.read_csv(tables / "interactions.csv", dtype=str)
    rows = laid_rows(untimed(settings, tables / "interactions.csv"), tmp_path / "rows")
    columns = [n for n in rows.columns if n.startswith("past_")]
    assert not [n for n in columns if "seconds" in n or "recent" in n]
    held_out = rows.time == rows.time.max()
    assert 60 < held_out.sum() < 180
    train = rows[~held_out]
    for key, end in (("member", "e0"), ("item", "e1")):
        counts = train.groupby(end).size()
        of_held_out = rows[held_out]
        assert (of_held_out[f"past_{key}_count"] == of_held_out[end].map(counts).fillna(0)).all()
        in_order = train.sort_values("time").groupby(end).cumcount()
        assert (train[f"past_{key}_count"] == in_order[train.index]).all()
    other = raw.set_index("row id")
    flipped = set(rows.index[held_out])
    other["stars"] = [str(6 - int(s)) if i in flipped else s for i, s in other.stars.items()]
    other.reset_index().to_csv(tmp_path / "held out.csv", index=False)
    after = laid_rows(untimed(settings, tmp_path / "held out.csv"), tmp_path / "after").loc[rows.index]
    assert (after.label != rows.label).any()
    pd.testing.assert_frame_equal(after[columns], rows[columns])
    one = train.sort_values("time").index[300]
    other = raw.set_index("row id")
    other.loc[one, "stars"] = str(6 - int(other.stars[one])) if other.stars[one] != "3" else "5"
    other.reset_index().to_csv(tmp_path / "one.csv", index=False)
    after = laid_rows(untimed(settings, tmp_path / "one.csv"), tmp_path / "once").loc[rows.index]
    seen = rows.index[rows.time <= rows.time[one]]
    pd.testing.assert_frame_equal(after.loc[seen, columns], rows.loc[seen, columns])
    assert not after[columns].equals(rows[columns])


def test_without_times_partitions_do_not_matter_and_scoring_sees_all(
    settings: dict[str, Any], tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from glmix_automl.layout import Folder
    from glmix_automl.prepare.answers import answer
    from glmix_automl.prepare.asking import ask
    from glmix_automl.prepare.interactions import Interactions
    from glmix_automl.prepare.recipe import Table
    from glmix_automl.serving.memory import Memory

    raw = tables / "interactions.csv"
    digests = set()
    for parts in (1, 2, 7):
        monkeypatch.setattr("glmix_automl.prepare.pipeline.partitions", lambda rows, parts=parts: parts)
        digests.add(prepared(untimed(settings, raw) | {"output": str(tmp_path / f"{parts}")}).digest)
    assert len(digests) == 1
    report = (tmp_path / "1" / "data_report.json").read_text()
    assert not [w for w in json.loads(report)["warnings"] if "drift" in w and "past_" in w]
    memory = Memory.open(Folder(str(tmp_path / "2")))
    assert memory is not None
    assert memory.sources == ("who", "item id", "tags")
    frame = pd.read_csv(raw, dtype=str)
    asked = pa.table({"who": ["m3", "nobody"], "item id": ["5", "never"], "tags": ["t0", None]})
    found = memory.complete(asked)
    assert found["past_member_count"].to_pylist() == [(frame.who == "m3").sum(), 0]
    assert found["past_item_count"].to_pylist() == [(frame["item id"] == "5").sum(), 0]
    mine = frame[frame.who == "m3"]
    prior = found["past_member_rate"][1].as_py()
    expected = ((mine.stars.astype(int) >= 4).sum() + 5 * prior) / (len(mine) + 5)
    assert found["past_member_rate"][0].as_py() == pytest.approx(expected)
    (tmp_path / "asking.csv").write_text("who,item id,device\nm3,5,web\n")
    (tmp_path / "asked").mkdir()
    recipe = parse(untimed(settings, raw), Interactions, "test")
    rows = Table(path=str(tmp_path / "asking.csv"))
    answered = ask(None, recipe, rows, ".", str(tmp_path / "asked"), memory.known, True)
    there = [a for part in range(answered.work.parts) if (a := answer(answered, part)) is not None]
    for name in ("past_member_rate", "past_item_count", "past_member_stars_mean", "past_factors"):
        assert there[0][name][0].as_py() == pytest.approx(found[name][0].as_py())
    with pytest.raises(DataError, match="do not say what came before a row"):
        ask(None, recipe, rows, ".", str(tmp_path / "asked"), None, True)


@pytest.mark.parametrize("times", [True, False])
def test_responses_without_a_reason_are_not_told(
    settings: dict[str, Any], tables: Path, tmp_path: Path, times: bool
) -> None:
    """A linear model of all columns on drawn responses: some 800 rows of test, so a miss has odds below 1 in 1,000."""
    random = np.random.default_rng(5)
    raw = pd.read_csv(tables / "interactions.csv", dtype=str)
    rows = pd.concat([raw.assign(**{"row id": raw["row id"] + f".{n}"}) for n in range(3 if times else 6)])
    rows["stars"] = random.integers(1, 6, len(rows)).astype(str)
    rows["when"] = (1_600_000_000 + random.integers(0, 10**6, len(rows))).astype(str)
    rows.to_csv(tmp_path / "drawn.csv", index=False)
    settings["interactions"]["table"]["path"] = str(tmp_path / "drawn.csv")
    wanted = settings if times else untimed(settings, tmp_path / "drawn.csv")
    laid = laid_rows(wanted, tmp_path / "laid").sort_values("time")
    begin = 900 if times else int((laid.time < laid.time.max()).sum())  # where the rows of test begin
    numbers = laid[[n for n in laid.columns if n.startswith("past_")]].astype(float)
    numbers = ((numbers - numbers.mean()) / (numbers.std() + 1e-9)).fillna(0)
    model = LogisticRegression(C=0.01).fit(numbers[:begin], laid.label[:begin])
    assert abs(roc_auc_score(laid.label[begin:], model.decision_function(numbers[begin:])) - 0.5) < 0.075


def test_a_dataset_is_whole_and_says_what_it_is(settings: dict[str, Any], tables: Path, tmp_path: Path) -> None:
    settings["negatives"] = 0.5
    manifest = prepared(settings)
    out = Path(settings["output"])
    files = [
        layout.SUCCESS,
        layout.SCHEMA,
        layout.RECIPE,
        layout.MANIFEST,
        layout.DATA_REPORT_JSON,
        layout.DATA_REPORT_HTML,
    ]
    assert sorted(p.name for p in out.iterdir()) == sorted([*files, "history", layout.RAW, *SPLITS])
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
    # The raw hold-out rows beside it are encoded as they are in it.
    for split in SPLITS[1:]:
        kept = pq.read_table(out / layout.RAW / split)
        there = read(str(out), split, manifest)
        assert kept["uid"].to_pylist() == there["uid"].to_pylist()
        made = encode(schema, kept)
        assert made.to_pylist() == there.select(made.column_names).to_pylist()
    # Rows joined with their member and item, then encoded, are what was encoded apart and put together.
    frame = (
        laid_rows(settings, tmp_path / "laid").rename(columns={"e0": "who", "e1": "item id"}).loc[splits["test"].uid]
    )
    frame = frame.drop(columns="who").join(raw.who) if "who" not in frame else frame.loc[:, ~frame.columns.duplicated()]
    for name, key, own in (("members", "the id", "who"), ("items", "item id", "item id")):
        side = pd.read_csv(tables / f"{name}.csv", dtype=str).set_index(key)
        frame = frame.join(side, on=own)
    again = encode(schema, pa.Table.from_pandas(frame, preserve_index=False))
    assert again.to_pylist() == read(str(out), "test", manifest).select(again.column_names).to_pylist()


def test_terms_of_member_and_item_are_matched(settings: dict[str, Any], tables: Path) -> None:
    manifest = prepared(settings)
    out = Path(settings["output"])
    schema = Schema.model_validate_json((out / layout.SCHEMA).read_text())
    assert {m.name: m.of for m in schema.matches} == {
        "same_place": ("city", "town"),
        "shared_tags_count": ("likes", "tags"),
        "shared_tags_jaccard": ("likes", "tags"),
    }
    made = read(str(out), "test", manifest).to_pandas()
    members = pd.read_csv(tables / "members.csv", dtype=str).set_index("the id").loc[made["who"]]
    items = pd.read_csv(tables / "items.csv", dtype=str).set_index("item id").loc[made["item id"]]
    same = members.city.to_numpy(str) == items.town.to_numpy(str)
    assert made.same_place.tolist() == same.astype(float).tolist()
    known = set(schema.vocabularies["tags"].terms or ())
    pairs = [
        tuple({term for term in str(text).split("|") if term in known} for text in both)
        for both in zip(members.likes, items.tags, strict=True)
    ]
    np.testing.assert_allclose(made.shared_tags_count, np.log1p([len(a & b) for a, b in pairs]), rtol=1e-6)
    shares = [len(a & b) / len(a | b) if a | b else 0.0 for a, b in pairs]
    np.testing.assert_allclose(made.shared_tags_jaccard, shares, rtol=1e-6)
    assert 0 < same.mean() < 1
    assert len(set(shares)) > 3
    # They are reported as other columns are, whole by construction.
    report = json.loads((out / layout.DATA_REPORT_JSON).read_text())
    told = {feature["name"]: feature for feature in report["features"]}
    assert told["same_place"]["fill"] == dict.fromkeys(SPLITS, 1.0)
    assert told["same_place"]["side"] == "pair"
    expected = roc_auc_score(*(read(str(out), "validation", manifest)[n].to_numpy() for n in ("label", "same_place")))
    assert told["same_place"]["auc"] == pytest.approx(max(expected, 1 - expected))


def test_a_match_is_explained_beside_both_columns_it_is_of(settings: dict[str, Any]) -> None:
    prepared(settings)
    console = Console(record=True, width=200, file=io.StringIO())
    explain(*raw_rows(settings["output"]), console)
    told = console.export_text()
    table = told[told.index("same_place: ids in both of city and town") :]
    head = table.splitlines()[2]
    assert [cell.strip() for cell in head.strip("┃").split("┃")] == ["uid", "raw city", "raw town", "same_place"]


def test_matches_are_left_out_where_asked_named_or_of_everything(settings: dict[str, Any]) -> None:
    def names(**changed: Any) -> list[str]:
        prepared(settings | changed, overwrite=True)
        schema = Schema.model_validate_json((Path(settings["output"]) / layout.SCHEMA).read_text())
        return [m.name for m in schema.matches]

    assert names(matches=False) == []
    settings["members"]["features"].append({"kind": "numeric", "source": "age.years", "name": "same_place"})
    assert names() == ["shared_tags_count", "shared_tags_jaccard"]
    # Two pairs of one vocabulary are told apart by their features.
    settings["members"]["features"][-1] = {
        "kind": "categorical", "source": "city", "name": "home", "vocabulary": "place"
    }  # fmt: skip
    assert [name for name in names() if "same" in name] == ["same_city_town", "same_home_town"]
    words = [{"kind": "categorical", "source": "city", "name": f"c{n}", "vocabulary": "place"} for n in range(20)]
    settings["members"]["features"] += words
    assert names() == ["shared_tags_count", "shared_tags_jaccard"]
    report = json.loads((Path(settings["output"]) / layout.DATA_REPORT_JSON).read_text())
    assert any("'place': 22 pairs" in warning for warning in report["warnings"])


@pytest.mark.spark
def test_digests_depend_on_data_and_seed_only(
    spark: Any, settings: dict[str, Any], tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings["negatives"] = 0.5
    first = prepared(settings)
    # Spark's tasks hold a few rows at a time, so every partition is cut.
    by_spark = settings | {"output": str(tmp_path / "by spark"), "history": settings["history"] | {"heavy_rows": 200}}
    assert prepared(by_spark, spark=spark) == first
    # Parquet is read by its tasks, not by its SQL.
    as_parquet = {**settings, "root": str(tmp_path / "parquet"), "output": str(tmp_path / "of parquet")}
    (tmp_path / "parquet").mkdir()
    for place in ("interactions", "members", "items"):
        text = pd.read_csv(tables / f"{place}.csv", dtype=str, keep_default_na=False, na_values=[""])
        text.to_parquet(tmp_path / "parquet" / f"{place}.parquet", row_group_size=70)
        as_parquet[place] = settings[place] | {"table": {"path": f"{place}.parquet"}}
    assert prepared(as_parquet, spark=spark) == first
    histories = [read_history(Path(s["output"])) for s in (settings, by_spark, as_parquet)]
    assert histories[0] == histories[1] == histories[2]
    keys = {"prior", "item", "member", "tag", "member_tag"}
    assert keys | {"last", "similar", "factors"} == set(histories[0])
    lines = (tables / "interactions.csv").read_text().splitlines()
    shuffled = tmp_path / "interactions.csv"
    shuffled.write_text("\n".join([lines[0], *np.random.default_rng(1).permutation(lines[1:])]))
    settings["interactions"]["table"]["path"] = str(shuffled)
    for parts, shard_rows in ((2, 100), (7, 30)):
        monkeypatch.setattr("glmix_automl.prepare.pipeline.partitions", lambda rows, parts=parts: parts)
        again = prepared(settings | {"shard_rows": shard_rows}, overwrite=True)
        assert (again == first) == (shard_rows == 100)
        assert again.digest == first.digest
        assert read_history(Path(settings["output"])) == histories[0]
    assert len(again.splits["train"].shards) > len(first.splits["train"].shards)
    settings["seed"] = 4
    assert prepared(settings, overwrite=True).splits["train"].digest != first.splits["train"].digest


@pytest.mark.parametrize("timed", [True, False])
def test_a_member_with_most_rows_is_held_in_blocks(
    settings: dict[str, Any], tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timed: bool
) -> None:
    raw = pd.read_csv(tables / "interactions.csv", dtype=str)
    raw.loc[raw.index % 5 != 0, "who"] = "m1"
    raw.to_csv(tmp_path / "one.csv", index=False)
    settings["interactions"]["table"]["path"] = str(tmp_path / "one.csv")
    settings["negatives"] = 0.5
    del settings["interactions"]["uid"]  # names are made of member, item and time, which may repeat
    settings["shard_rows"] = 250
    if not timed:
        del settings["interactions"]["timestamp"]
        settings |= {"split": {"by": "random", "unit": "row"}, "history": None}
    whole, known = prepared(settings), read_history(Path(settings["output"]))
    held = []

    def seen(module: Any, name: str) -> None:
        function = getattr(module, name)

        def counted(*given: Any) -> Any:
            held.append((name, max(g.num_rows for g in given if isinstance(g, pa.Table))))
            return function(*given)

        monkeypatch.setattr(module, name, counted)

    seen(partition, "_counted")
    seen(shards, "_made")
    seen(member_past, "_Described")
    if timed:
        settings["history"]["heavy_rows"] = 40
    else:
        monkeypatch.setattr("glmix_automl.prepare.pipeline.HELD_ROWS", 40)
    assert prepared(settings, overwrite=True) == whole
    assert read_history(Path(settings["output"])) == known
    assert {name for name, _ in held} == {"_counted", "_made", *(["_Described"] if timed else [])}
    assert max(rows for _, rows in held) <= 2 * 40


def test_tasks_may_run_twice_at_once(settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Spark does when it speculates, or tries again what was lost after it had written its files."""
    from glmix_automl.prepare.engine import Local

    first, known = prepared(settings), read_history(Path(settings["output"]))
    each = Local.each

    def twice(self: Local, step: str, function: Any, items: Any) -> list[Any]:
        found = each(self, step, function, [i for i in items for _ in range(2)])
        return [found[2 * n + n % 2] for n in range(len(items))]

    monkeypatch.setattr(Local, "each", twice)
    monkeypatch.setattr("glmix_automl.prepare.pipeline.partitions", lambda rows: 3)
    again = settings | {"output": str(tmp_path / "again")}
    assert prepared(again) == first
    assert read_history(Path(again["output"])) == known
    assert not [f for f in Path(again["output"]).rglob("*") if f.name.startswith((".", "_stage"))]


def read_history(dataset: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Kind of key -> what is known of each key at the end, in order of the keys."""
    return {
        folder.name: sorted(tuple(row.values()) for row in pq.read_table(folder).to_pylist())
        for folder in (dataset / "history").glob("*")
        if folder.is_dir()
    }


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
        ("interactions/features/0/min_count", 1000, DataError, r"feature 'device'.* no term that occurs 1000 times"),
        ("members/table/rename", {"city": "device"}, ConfigError, r"members both have a column 'device'"),
        ("interactions/features/0/name", "label", ConfigError, r"keeps the name 'label'"),
        ("interactions/features/0/name", "age", ConfigError, r"two columns of the dataset are named 'age'"),
    ],
)  # fmt: skip
def test_bad_input_is_named_and_nothing_is_left(
    settings: dict[str, Any], path: str, value: Any, error: type[GlmixError], message: str
) -> None:
    if path == "members/table/rename":
        settings["members"]["features"][1]["source"] = "device"
    settings["history"] = None
    edit(settings, path, value)
    with pytest.raises(error, match=message) as caught:
        prepared(settings)
    assert "\tat " not in str(caught.value)
    out = Path(settings["output"])
    assert list(out.parent.iterdir()) == []


@pytest.mark.spark
def test_bad_input_is_named_by_spark_too(spark: Any, settings: dict[str, Any]) -> None:
    edit(settings, "items/table/derive", {"x": "nonsense("})
    with pytest.raises(ConfigError, match="needs Spark: `derive` of "):
        prepared(settings)
    with pytest.raises(DataError, match=r"items.csv: column 'x': "):
        prepared(settings, spark=spark)
    del settings["items"]["table"]["derive"]
    edit(settings, "members/features/0", {"kind": "bag", "source": "age.years", "name": "age"})
    with pytest.raises(
        DataError, match=r"reading the raw rows: column 'age.years' is text: a bag of it needs"
    ) as caught:
        prepared(settings, spark=spark)
    assert "\tat " not in str(caught.value)


def test_an_output_is_replaced_only_when_asked_and_only_if_a_dataset(settings: dict[str, Any]) -> None:
    settings["history"] = None
    out = Path(settings["output"])
    out.mkdir()
    (out / "thesis.doc").write_text("years of work")
    with pytest.raises(DataError, match="something else than a dataset"):
        prepared(settings, overwrite=True)
    assert (out / "thesis.doc").exists()
    (out / "thesis.doc").unlink()
    first = prepared(settings)
    with pytest.raises(DataError, match="--overwrite"):
        prepared(settings)
    settings["split"] = {"by": "random", "unit": "who", "fractions": {"train": 6, "validation": 2, "test": 2}}
    second = prepared(settings, overwrite=True)
    assert second.digest != first.digest
    assert Manifest.model_validate_json((out / layout.MANIFEST).read_text()) == second
    assert [p.name for p in out.parent.iterdir()] == ["out"]
    members = [set(read(str(out), s, second)["who"].to_pylist()) for s in SPLITS]
    assert not members[0] & members[1]
    assert not members[1] & members[2]


def test_a_leak_and_unusable_rows_are_reported(settings: dict[str, Any], tables: Path, tmp_path: Path) -> None:
    raw = pd.read_csv(tables / "interactions.csv", dtype=str)
    raw["echo"] = (raw.stars.astype(int) >= 4).map({True: "yes", False: "no"})
    raw.loc[:4, "stars"] = None
    raw.to_json(tmp_path / "events.json.gz", orient="records", lines=True)
    settings["history"] = None
    settings["interactions"]["table"] = {"path": str(tmp_path / "events.json.gz")}
    settings["interactions"]["features"].append({"kind": "categorical", "source": "echo"})
    prepared(settings)
    report = json.loads((Path(settings["output"]) / layout.DATA_REPORT_JSON).read_text())
    assert any("'echo' alone has AUC 1.0000" in w for w in report["warnings"])
    assert report["counts"]["rows without a usable label"] == 5
    assert report["counts"]["rows dropped"] == 5
    settings["checks"] = {"max_dropped_share": 0.001}
    with pytest.raises(DataError, match=r"5 of 600 rows cannot be used \(rows without a usable label: 5\)"):
        prepared(settings, overwrite=True)
