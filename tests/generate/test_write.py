"""Generated tables on disk: the same by seed whatever the parts, with the truth beside them."""

import json
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from glmix_automl.cli import main
from glmix_automl.errors import DataError
from glmix_automl.generate.ceiling import BinnedAuc
from glmix_automl.generate.jymbii import Jymbii, interactions
from glmix_automl.generate.pymk import Pymk
from glmix_automl.generate.pymk_tables import pair_truth
from glmix_automl.generate.write import ceiling_of, write_tables


@pytest.mark.parametrize(("kind", "settings"), [("jymbii", Jymbii(rows=2_000)), ("pymk", Pymk(rows=800))])
def test_tables_are_the_same_in_any_number_of_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, settings: Any
) -> None:
    truth = write_tables(kind, settings, str(tmp_path / "one"))
    monkeypatch.setattr("glmix_automl.generate.columns.ROWS_PER_PART", 300)
    assert write_tables(kind, settings, str(tmp_path / "other")) == truth
    for name, rows in truth["rows"].items():
        one = pq.read_table(tmp_path / "one" / f"{name}.parquet")
        assert one.equals(pq.read_table(tmp_path / "other" / f"{name}.parquet"))
        assert one.num_rows == rows
    assert len(list((tmp_path / "other").rglob("part-*"))) == sum(-(-rows // 300) for rows in truth["rows"].values())


def test_the_truth_names_the_ceilings_and_lists_are_joined_in_csv(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    write_tables("jymbii", Jymbii(rows=1_000), out, form="csv")
    truth = json.loads((tmp_path / "out" / "truth.json").read_text())
    write_tables("jymbii", Jymbii(rows=1_000, seed=1), str(tmp_path / "seed"), form="csv")
    assert json.loads((tmp_path / "seed" / "truth.json").read_text())["ceilings"] != truth["ceilings"]
    assert truth["rows"]["interactions"] == 1_000
    assert set(truth["ceilings"]) == {
        "all rows",
        "all rows, no random effects",
        "last 10 % by time",
        "last 10 % by time, no random effects",
        "last 10 % by time, random effects learned before",
    }
    members = pd.read_csv(tmp_path / "out" / "members.csv" / "part-00000.csv")
    assert members.skills.str.contains("|", regex=False).any()
    assert members.search_intensity.isna().any()
    with pytest.raises(DataError, match="--overwrite"):
        write_tables("jymbii", Jymbii(rows=1_000), out)


def test_tables_written_anew_leave_nothing_of_the_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glmix_automl.generate.columns.ROWS_PER_PART", 300)
    write_tables("jymbii", Jymbii(rows=2_000), str(tmp_path / "out"))
    write_tables("jymbii", Jymbii(rows=500), str(tmp_path / "out"), overwrite=True)
    assert pq.read_table(tmp_path / "out" / "interactions.parquet").num_rows == 500


def test_tables_that_found_no_room_have_no_truth(tmp_path: Path) -> None:
    out, usual = tmp_path / "out", resource.getrlimit(resource.RLIMIT_FSIZE)
    write_tables("jymbii", Jymbii(rows=500), str(out))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, usual[1]))
    try:
        with pytest.raises(DataError, match="cannot be written"):
            write_tables("jymbii", Jymbii(rows=600), str(out), overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert not (out / "truth.json").exists()


def test_the_binned_auc_is_the_auc() -> None:
    settings, auc = Jymbii(rows=3_000, seed=2), BinnedAuc()
    rows = interactions(settings, np.arange(settings.rows))
    assert np.isnan(auc.value())
    for some in np.array_split(np.arange(settings.rows), 3):
        auc.add(rows.probability[some], rows.response[some], 1 - rows.response[some])
    assert auc.value() == pytest.approx(roc_auc_score(rows.response, rows.probability), abs=2e-5)


def prepared(folder: Path, columns: dict[str, Any]) -> str:
    """The columns as all three splits of a dataset."""
    for split in ("train", "validation", "test"):
        (folder / split).mkdir(parents=True)
        pq.write_table(pa.table(columns | {"weight": np.ones(len(columns["label"]))}), folder / split / "p.parquet")
    return str(folder)


def test_an_oracle_tells_links_from_other_pairs(tmp_path: Path) -> None:
    raw = str(tmp_path / "raw")
    write_tables("pymk", Pymk(rows=1_500), raw)
    edges = pq.read_table(f"{raw}/edges.parquet").to_pandas()
    assert not edges.duplicated(["source", "target"]).any()
    assert edges.time.is_monotonic_increasing
    left, right = (edges[end].to_numpy(str) for end in ("source", "target"))
    pairs = {
        "left": np.tile(left, 2),
        "right": np.append(right, np.roll(right, 7)),
        "label": np.repeat([1, 0], len(left)),
    }
    found = ceiling_of(raw, prepared(tmp_path / "dataset", pairs))
    ends = (np.char.lstrip(pairs[end], "n").astype(np.int64) for end in ("left", "right"))
    truth = pair_truth(Pymk(rows=1_500), *ends)
    for name, score in (("oracle", truth.score), ("oracle without effects", truth.fixed_score)):
        assert found["test"][name] == pytest.approx(roc_auc_score(pairs["label"], score), abs=1e-3)
        assert found["test"][name] > 0.8
    with pytest.raises(DataError, match="no column 'left'"):
        ceiling_of(raw, prepared(tmp_path / "other", {"label": [0, 1]}))
    with pytest.raises(DataError, match="no split 'train'"):
        ceiling_of(raw, str(tmp_path / "nowhere"))


def test_the_ceiling_of_suggestions_is_that_of_their_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = str(tmp_path / "raw")
    assert main(["generate", "jymbii", "--rows", "2000", "--seed", "3", "--output", raw]) == 0
    rows = pq.read_table(f"{raw}/interactions.parquet").to_pandas().sample(900, random_state=1)
    columns = {"uid": rows.impression_id.astype(str).to_numpy(str), "label": rows.response.to_numpy()}
    dataset = prepared(tmp_path / "dataset", columns)
    assert main(["generate", "ceiling", "--truth", raw, "--dataset", dataset]) == 0
    truth = interactions(Jymbii(rows=2_000, seed=3), rows.impression_id.to_numpy())
    assert f"test: AUC of the oracle: {roc_auc_score(rows.response, truth.probability):.4f}" in capsys.readouterr().out
    for uid in ("m1|j2|3", "2000"):
        other = prepared(tmp_path / uid[:2], columns | {"uid": [uid] * len(rows)})
        with pytest.raises(DataError, match="was not prepared from these tables"):
            ceiling_of(raw, other)
