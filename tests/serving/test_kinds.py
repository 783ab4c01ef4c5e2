"""A model of every family scores what its recipe makes of ids and times, or of pairs, as it did in training."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from glmix_automl.errors import ConfigError, DataError
from glmix_automl.layout import Folder
from glmix_automl.models import FAMILIES
from glmix_automl.prepare.history_features import HistoryFeatures
from glmix_automl.prepare.past_columns import together_kinds
from glmix_automl.serving.model import Model
from tests.serving.trained import TRIALS, Trained, train

pytestmark = [pytest.mark.slow, pytest.mark.spark]


@pytest.fixture(params=["of_members", "of_network"])
def trained(request: pytest.FixtureRequest) -> Trained:
    """A trained study of each recipe."""
    made: Trained = request.getfixturevalue(request.param)
    return made


def test_every_family_scores_ids_as_in_training(trained: Trained, tmp_path: Path) -> None:
    assert {t["family"] for t in TRIALS} | {"mixture"} == set(FAMILIES), "every family is tried"
    for number, trial in enumerate(TRIALS):
        found = trained.score(tmp_path / str(number), number, explain=100, coordinates=True)
        assert sorted(found.index) == sorted(trained.uids)
        wanted = trained.trained(number, found.index)
        assert len(np.unique(wanted)) > 3, "scores tell rows apart"
        np.testing.assert_allclose(found.score, wanted, atol=1e-5, err_msg=trial["family"])
        if trial["family"] == "logistic":  # reasons are exact and whole: what is left is the same for all rows
            parts = found.largest_shares.map(lambda shares: sum(share["log_odds"] for share in shares))
            assert np.ptp(found.score - parts) < 1e-4
        member = "who" if "who" in found else "left"
        best = trained.score(tmp_path / f"best-{number}", number, top=2)
        for name, rows in best.groupby(member):
            np.testing.assert_array_equal(
                rows.sort_values("rank").score, found.score[found[member] == name].nlargest(2), err_msg=trial["family"]
            )


def test_spark_scores_as_this_machine_does(trained: Trained, tmp_path: Path, spark: Any) -> None:
    for number in (1, len(TRIALS) - 1):
        here = trained.score(tmp_path / f"here-{number}", number, top=3).sort_index()
        there = trained.score(tmp_path / f"there-{number}", number, top=3, engine="spark").sort_index()
        pd.testing.assert_frame_equal(here, there[here.columns], check_dtype=False, atol=1e-6)


def test_what_the_model_knows_and_newer_interactions(of_members: Trained, tmp_path: Path) -> None:
    """Rows of after the data: from what the model knows, as from all interactions again; and in memory, from ids and
    time alone.
    """
    tables = Path(of_members.settings["rows"]["path"]).parent
    every = pd.read_csv(tables / "interactions.csv", dtype=str)
    last = int(every.when.astype(int).max())
    newer = every.sample(50, random_state=0)
    newer = newer.assign(
        **{"row id": [f"n{i}" for i in range(50)], "when": [str(last + 60 * i + 60) for i in range(50)]}
    )
    newer.to_csv(tables / "newer.csv", index=False)
    pd.concat([every, newer]).to_csv(tables / "all.csv", index=False)
    newer.drop(columns="stars").to_csv(tables / "later.csv", index=False)
    rows = {"rows": {"path": str(tables / "later.csv")}}
    # Of models of items, the last refit before a row is another than that of the end of what the model knows.
    kinds = together_kinds(HistoryFeatures())
    names = [f.name for f in of_members.dataset.schema.features if f.name.endswith(kinds)]
    assert names
    trial = {"family": "logistic", "parameters": {"solver": "lbfgs", "features": " ".join(f"-{n}" for n in names)}}
    study = train(str(of_members.dataset.folder.uri), tmp_path / "study", [trial])
    of_members = dataclasses.replace(of_members, study=study)
    given = of_members.score(tmp_path / "given", 0, tables={"interactions": "all.csv"}, **rows).sort_index()
    carried = of_members.score(tmp_path / "carried", 0, history="carried", tables={"interactions": "newer.csv"}, **rows)
    np.testing.assert_allclose(carried.sort_index().score, given.score, atol=1e-6)
    alone = of_members.score(tmp_path / "alone", 0, history="carried", **rows)
    assert np.abs(alone.sort_index().score - given.score).max() > 1e-3, "newer interactions count"

    model = Model(Folder(of_members.model(0)))
    frame = newer.merge(pd.read_csv(tables / "members.csv", dtype=str), left_on="who", right_on="the id")
    frame = frame.merge(pd.read_csv(tables / "items.csv", dtype=str), on="item id")
    frame = frame.drop(columns="stars").astype({"when": int}).set_index("row id")
    found = model.predict(frame)
    np.testing.assert_allclose(found.log_odds, alone.score.loc[frame.index], atol=1e-5)
    now = model.predict(frame.drop(columns="when"))
    assert np.isfinite(now.log_odds).all()
    with pytest.raises(DataError, match="see its own future"):
        model.predict(frame.assign(when=last))
    with pytest.raises(DataError, match="no column 'who' in the rows, of which history is made"):
        model.predict(frame.drop(columns="who"))


def test_candidates_of_members_are_all_items(of_members: Trained, tmp_path: Path, spark: Any) -> None:
    """Of a sample of members, and of given ones; as rows that name them score, and by Spark as here."""
    tables = Path(of_members.settings["rows"]["path"]).parent
    asked = {"rows": None, "history": "carried", "at": "end"}
    of_members.score(tmp_path / "sample", 0, **asked, sample=3)
    found = pd.read_parquet(tmp_path / "sample")
    assert len(found) == 3 * 30
    assert found["who"].nunique() == 3
    pd.DataFrame({"who": found["who"].unique()}).to_csv(tables / "some.csv", index=False)
    best = of_members.score(tmp_path / "some", 0, **asked, members={"path": str(tables / "some.csv")}, top=2)
    for name, rows in best.groupby("who"):
        wanted = found.score[found["who"] == name].nlargest(2)
        np.testing.assert_allclose(rows.sort_values("rank").score, wanted, atol=1e-6)
    of_members.score(tmp_path / "by Spark", 0, **asked, sample=3, engine="spark")
    both = [
        frame.sort_values(["who", "item id"], ignore_index=True)
        for frame in (found, pd.read_parquet(tmp_path / "by Spark"))
    ]
    pd.testing.assert_frame_equal(both[0], both[1][both[0].columns], check_dtype=False, atol=1e-6)
    with pytest.raises(ConfigError, match="is no moment"):
        of_members.score(tmp_path / "wrong", 0, **asked | {"at": "yesterday"})


def test_candidates_of_a_network(of_network: Trained, tmp_path: Path) -> None:
    """Of every member, all nodes two steps away that it is not linked with; of a list of members, theirs."""
    folder = Path(of_network.settings["rows"]["path"]).parent
    found = of_network.score(tmp_path / "all", 0, rows=None)
    edges = pd.read_csv(folder / "now.csv", dtype=str)
    near: dict[str, set[str]] = {}
    for one, other in zip(edges["from"], edges["to"], strict=True):
        near.setdefault(one, set()).add(other)
        near.setdefault(other, set()).add(one)
    wanted = {(m, c) for m, n in near.items() for o in n for c in near[o] - n - {m}}
    assert set(zip(found.left, found.right, strict=True)) == wanted
    assert found.index.is_unique
    pd.DataFrame({"left": ["3", "nobody"]}).to_csv(folder / "members.csv", index=False)
    some = of_network.score(tmp_path / "some", 0, rows=None, members={"path": str(folder / "members.csv")}, top=3)
    np.testing.assert_array_equal(some.sort_values("rank").score, found.score[found.left == "3"].nlargest(3))
    assert any("1 of 2 rows have a node" in note for note in of_network.found["notes"])
    both = found.index.intersection(of_network.uids)
    np.testing.assert_allclose(found.score.loc[both], of_network.trained(0, both), atol=1e-5)


def test_a_kind_that_the_model_is_not_of_is_refused(trained: Trained, tmp_path: Path) -> None:
    other = "interactions" if trained.settings["kind"] == "graph" else "graph"
    with pytest.raises(ConfigError, match=f"kind: {other} scores by another recipe"):
        trained.score(tmp_path / "other", 0, kind=other)
    with pytest.raises(ConfigError, match="recipe has no table 'menbers'"):
        trained.score(tmp_path / "other", 0, tables={"menbers": "x.csv"})
