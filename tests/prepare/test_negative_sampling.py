"""Tables of positives only: what is drawn, that nobody sees it, and that preparation, engines and scoring agree."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

from glmix_automl.config import parse
from glmix_automl.errors import ConfigError
from glmix_automl.layout import RAW, Folder
from glmix_automl.metrics import auc
from glmix_automl.prepare.answers import answer
from glmix_automl.prepare.asking import ask
from glmix_automl.prepare.interactions import Interactions
from glmix_automl.prepare.known import HISTORY, Known
from glmix_automl.prepare.negative_sampling import SPANS
from glmix_automl.prepare.pipeline import prepare_dataset
from glmix_automl.prepare.recipe import Table
from tests.prepare.test_interactions import laid_rows

ROWS, MEMBERS, ITEMS, KINDS = 2_000, 50, 80, 4


def takes(folder: Path, own_kind: float, seed: int = 0) -> dict[str, Any]:
    """Tables of who took what, of a member's own kind with the given odds, else of any; and a recipe of them."""
    random = np.random.default_rng(seed)
    member = random.integers(MEMBERS, size=ROWS)
    own = random.integers(ITEMS // KINDS, size=ROWS) * KINDS + member % KINDS
    item = np.where(random.random(ROWS) < own_kind, own, random.integers(ITEMS, size=ROWS))
    when = 1_600_000_000 + np.sort(random.integers(0, 20_000, ROWS)) * 60  # some share a moment
    events = {"who": [f"m{m}" for m in member], "what": [f"i{i}" for i in item], "when": when}
    pd.DataFrame(events | {"device": random.choice(["web", "app"], ROWS)}).to_csv(folder / "takes.csv", index=False)
    kinds = {"what": [f"i{i}" for i in range(ITEMS)], "kind": [f"k{i % KINDS}" for i in range(ITEMS)]}
    pd.DataFrame(kinds).to_csv(folder / "items.csv", index=False)
    return {
        "recipe": "interactions",
        "name": "takes",
        "root": str(folder),
        "output": str(folder / "out"),
        "interactions": {
            "table": {"path": "takes.csv"},
            "member": "who",
            "item": "what",
            "sampled_negatives": {},
            "timestamp": {"column": "when"},
            "features": [
                {"kind": "categorical", "source": "device"},
                {"kind": "categorical", "source": "what", "name": "what_hash", "buckets": 16},
            ],
        },
        "items": {
            "table": {"path": "items.csv"},
            "key": "what",
            "features": [{"kind": "categorical", "source": "kind"}],
        },
        "history": {"attributes": [{"column": "kind"}]},
        "engine": "local",
    }


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return takes(tmp_path_factory.mktemp("takes"), 0.7)


def sampled(settings: dict[str, Any], folder: Path, **sampling: Any) -> pd.DataFrame:
    events = settings["interactions"] | {"sampled_negatives": sampling}
    return laid_rows(settings | {"interactions": events}, folder).reset_index()


def span(micros: Any, raw: pd.DataFrame) -> Any:
    first, last = raw.when.min() * 10**6, raw.when.max() * 10**6
    return (micros - first) * SPANS // (last - first + 1)


def past(rows: pd.DataFrame) -> list[str]:
    return [c for c in rows.columns if c.startswith("past_")]


def test_negatives_are_what_others_had_taken_and_the_member_had_not(given: dict[str, Any], tmp_path: Path) -> None:
    raw = pd.read_csv(f"{given['root']}/takes.csv")
    rows = sampled(given, tmp_path / "few", per_positive=3, weigh=True)
    negatives, positives = rows[rows.label == 0], rows[rows.label == 1]
    assert 0.3 * len(raw) < len(positives) < len(raw)
    assert (negatives.groupby(["e0", "time"]).size() % 3 == 0).mean() > 0.99
    first = raw.assign(span=span(raw.when * 10**6, raw))
    first_span = first.groupby("what").span.min()
    mine = raw.groupby(["who", "what"]).when.min()
    for row in negatives.itertuples():
        assert first_span[row.e1] < span(row.time, raw)
        assert mine.get((row.e0, row.e1), np.inf) * 10**6 > row.time, "the member took it by then"
        assert row.uid.split("|")[1] == row.e1
    lost = {
        (r.who, r.what, r.when * 10**6)
        for r in first.itertuples()
        if r.span <= first_span[r.what] or mine[r.who, r.what] < r.when
    }
    assert lost
    assert not lost & set(zip(positives.e0, positives.e1, positives.time, strict=True))
    assert len(positives) == len(raw) - sum((r.who, r.what, r.when * 10**6) in lost for r in raw.itertuples())
    known = np.array([(first_span < s).sum() for s in span(negatives.time, raw)])
    drawn = negatives.groupby(["e0", "time"]).uid.transform("size")
    alone = (drawn == 3).to_numpy()  # one positive of the member at that moment
    np.testing.assert_allclose(negatives.weight[alone], known[alone] / 3)
    moments = negatives.merge(raw.assign(time=raw.when * 10**6), left_on=["e0", "time"], right_on=["who", "time"])
    assert (moments.device_x == moments.device_y).mean() > 0.99, "the moment's columns are those of its positive"


def test_nobody_sees_what_was_drawn_or_what_comes_later(given: dict[str, Any], tmp_path: Path) -> None:
    few, many = (sampled(given, tmp_path / str(n), per_positive=n).set_index("uid") for n in (1, 5))
    raw = pd.read_csv(f"{given['root']}/takes.csv")
    cut = int(raw.when.iloc[1500])
    other = raw.copy()
    later = raw.when >= cut
    other.loc[later, "what"] = raw.what[later].to_numpy()[::-1]
    other.to_csv(tmp_path / "other.csv", index=False)
    events = given["interactions"] | {"table": {"path": str(tmp_path / "other.csv")}}
    changed = sampled(given | {"interactions": events}, tmp_path / "changed", per_positive=1).set_index("uid")
    assert set(few.index[few.label == 1]) == set(many.index[many.label == 1])
    positives = few.index[few.label == 1]
    earlier = few.index[few.time < cut * 10**6]
    assert (few.loc[earlier, "label"] == 0).any()
    assert set(earlier) == set(changed.index[changed.time < cut * 10**6])
    for column in past(few):
        np.testing.assert_array_equal(few.loc[positives, column], many.loc[positives, column], err_msg=column)
        np.testing.assert_array_equal(few.loc[earlier, column], changed.loc[earlier, column], err_msg=column)


def test_takes_without_a_reason_are_not_told_and_those_with_one_are(given: dict[str, Any], tmp_path: Path) -> None:
    """A linear model of history on some 2,000 rows of test, a fifth of them positive: a standard error of 0.015."""
    for own_kind, repeats, low, high in ((0.0, False, 0.45, 0.55), (0.0, True, 0.45, 0.55), (0.7, False, 0.65, 0.9)):
        folder = tmp_path / f"{own_kind} {repeats}"
        folder.mkdir()
        rows = sampled(takes(folder, own_kind), folder / "laid", repeats=repeats).sort_values("time")
        numbers = rows[past(rows)].astype(float)
        numbers = ((numbers - numbers.mean()) / (numbers.std() + 1e-9)).fillna(0)
        half = len(rows) * 3 // 5
        model = LogisticRegression(C=0.01).fit(numbers[:half], rows.label[:half])
        assert low < auc(rows.label[half:].to_numpy(), model.decision_function(numbers[half:])) < high


def test_popularity_draws_what_is_taken_often(tmp_path: Path) -> None:
    settings = takes(tmp_path, 0.0)
    raw = pd.read_csv(tmp_path / "takes.csv")
    often = np.random.default_rng(1).random(len(raw)) < 0.5
    raw.loc[often, "what"] = [f"i{n % 8}" for n in range(often.sum())]  # half of all takes are of a tenth of the items
    raw.to_csv(tmp_path / "takes.csv", index=False)
    shares = {}
    for by in ("uniform", "popularity"):
        rows = sampled(settings, tmp_path / by, by=by)
        shares[by] = rows.e1[rows.label == 0].isin([f"i{n}" for n in range(8)]).mean()
    assert shares["uniform"] < 0.12
    assert shares["popularity"] > 2 * shares["uniform"]


def test_neither_parts_nor_order_of_rows_matter(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = []
    raw = pd.read_csv(f"{given['root']}/takes.csv")
    raw.sample(frac=1, random_state=3).to_csv(tmp_path / "shuffled.csv", index=False)
    events = given["interactions"] | {"table": {"path": str(tmp_path / "shuffled.csv")}}
    for parts, settings in ((1, given), (2, given), (7, given | {"interactions": events})):
        monkeypatch.setattr("glmix_automl.prepare.pipeline.partitions", lambda rows, parts=parts: parts)
        held = {"history": settings["history"] | {"heavy_rows": 100_000 if parts == 1 else 1_000}}
        recipe = settings | held | {"output": str(tmp_path / f"{parts}")}
        made = prepare_dataset(None, parse(recipe, Interactions, "test"))
        digests.append(made.digest)
    assert len(set(digests)) == 1
    report = json.loads((tmp_path / "7" / "data_report.json").read_text())
    assert report["counts"]["negatives drawn"] > 3.5 * 0.4 * ROWS
    said = [note for note in report["notes"] if "true base rate" in note]
    assert len(said) == 1


@pytest.mark.slow
@pytest.mark.spark
def test_spark_draws_the_same(spark: Any, given: dict[str, Any], tmp_path: Path) -> None:
    events = {k: v for k, v in given["interactions"].items() if k != "timestamp"}
    for name, settings in (
        ("timed", given),
        ("untimed", given | {"interactions": events, "split": {"by": "random", "unit": "who"}}),
    ):
        made = [
            prepare_dataset(
                s, parse(settings | {"output": f"{tmp_path}/{name} {n}", "engine": "auto"}, Interactions, "")
            )
            for n, s in enumerate((None, spark))
        ]
        assert made[0] == made[1], name


def test_rows_to_score_get_the_same_columns(given: dict[str, Any], tmp_path: Path) -> None:
    """The rows of test, drawn ones among them, asked for with the interactions since the first days."""
    raw = pd.read_csv(f"{given['root']}/takes.csv")
    border = int(raw.when.iloc[1700])
    raw[raw.when < border].to_csv(tmp_path / "early.csv", index=False)
    whole = parse(given | {"output": str(tmp_path / "whole")}, Interactions, "test")
    prepare_dataset(None, whole)
    events = given["interactions"] | {"table": {"path": str(tmp_path / "early.csv")}}
    prepare_dataset(
        None, parse(given | {"interactions": events, "output": str(tmp_path / "early")}, Interactions, "test")
    )
    known = Known.open(Folder(str(tmp_path / "early" / HISTORY)))
    test = pq.read_table(tmp_path / "whole" / RAW / "test").to_pandas()
    test = test[test.uid.str.rsplit("|", n=2).str[-1].str.len() > 3].set_index("uid")  # uids that end with a moment
    asking = pd.DataFrame([u.split("|") for u in test.index], columns=["who", "what", "when"])
    asking["when"] = asking.when.astype(int) // 10**6
    asking.assign(device="web").to_csv(tmp_path / "asking.csv", index=False)
    found = {}
    for name, state in (("given", None), ("carried", known)):
        (tmp_path / name).mkdir()
        rows = Table(path=str(tmp_path / "asking.csv"))
        asked = ask(None, whole, rows, ".", str(tmp_path / name), state, True)
        parts = [answer(asked, part) for part in range(asked.work.parts)]
        frame = pa.concat_tables([p for p in parts if p is not None]).to_pandas()
        moment = frame.when.astype("int64").astype(str)
        found[name] = frame.set_index(frame.who + "|" + frame["what"] + "|" + moment).loc[test.index]
    columns = [c for c in test.columns if c.startswith("past_")]
    models = [c for c in columns if "similar" in c or "together" in c]
    assert len(models) == 4
    assert len(columns) > len(models) + 8
    for column in columns:
        np.testing.assert_allclose(found["given"][column].astype(float), test[column].astype(float), rtol=1e-12)
        if column not in models:  # of the end of the data that is known
            np.testing.assert_allclose(found["carried"][column].astype(float), test[column].astype(float), rtol=1e-12)


def test_without_times_every_item_can_be_drawn(tmp_path: Path) -> None:
    settings = takes(tmp_path, 0.7)
    del settings["interactions"]["timestamp"], settings["history"]
    settings["interactions"]["sampled_negatives"] = {"repeats": True}
    settings |= {"history": None, "split": {"by": "random"}}
    made = prepare_dataset(None, parse(settings, Interactions, "test"))
    rows = sum(split.rows for split in made.splits.values())
    assert rows > 4.9 * ROWS


@pytest.mark.parametrize(
    ("label", "sampling", "said"),
    [
        (None, None, "needs `label`"),
        ({"column": "device"}, {}, "and not both"),
        (None, {"by": "popularity", "weigh": True}, "`weigh` needs uniform"),
        (None, {"per_positive": 0}, "greater than or equal to 1"),
    ],
)
def test_what_contradicts_itself_is_refused(given: dict[str, Any], label: Any, sampling: Any, said: str) -> None:
    events = given["interactions"] | {"label": label, "sampled_negatives": sampling}
    with pytest.raises(ConfigError, match=said):
        parse(given | {"interactions": events}, Interactions, "test")
