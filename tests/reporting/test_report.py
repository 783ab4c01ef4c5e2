"""The report: whole in itself, safe to open, and about the models that the leaderboard names."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from glmix_automl.config import parse
from glmix_automl.dataset import Dataset
from glmix_automl.dataset.block import Block
from glmix_automl.layout import Folder
from glmix_automl.prepare.interactions import Interactions
from glmix_automl.prepare.pipeline import prepare_dataset
from glmix_automl.reporting import report
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.reporting.leaderboard import leaderboard
from glmix_automl.reporting.permutation import permutation_importance
from glmix_automl.reporting.slices import slices
from tests.prepare.conftest import interactions, write_interactions
from tests.reporting.conftest import PLAIN, Told


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("src", "href", "xlink:href")] or (
            tag == "use"  # of a marker within the drawing
        )


@pytest.fixture(scope="module")
def evaluation(told: Told) -> Evaluation:
    return Evaluation(told.dataset, told.folder.files, told.history)


def test_names_from_a_study_run_no_script_and_no_formula(told: Told, evaluation: Evaluation, tmp_path: Path) -> None:
    board = leaderboard(told.history, evaluation)
    board.write(Folder(str(tmp_path)))
    found = permutation_importance(_first_numeric, told.dataset, 0)
    report.write_study_report(Folder(str(tmp_path)), "<b>mine", told.record, told.history, board, evaluation, found)
    pages = [tmp_path / "report.html", *sorted((tmp_path / "charts").iterdir())]
    assert len(pages) >= 7
    for path in pages:
        page, tags = path.read_text(), _Tags()
        tags.feed(page)
        assert "script" not in tags.found
        assert "b" not in tags.found or path.name == "report.html"
        assert "svg" in tags.found
        assert "http" not in page.replace("http://www.w3.org/", "")
        assert "prefers-color-scheme: dark" in page
        assert 'name="viewport"' in page
    assert "&lt;script&gt;alert(1)" in pages[0].read_text()
    cells = pd.read_csv(tmp_path / "leaderboard.csv").entry
    assert f"'{PLAIN}" in set(cells)
    assert not cells.str.startswith(("=", "+", "-", "@")).any()
    assert PLAIN in {row["entry"] for row in json.loads((tmp_path / "leaderboard.json").read_text())["rows"]}


def _first_numeric(block: Block) -> np.ndarray:
    """A model that knows one column."""
    return block.numerics[:, 0]


def test_importance_is_what_a_model_loses_without_a_column(told: Told) -> None:
    found = permutation_importance(_first_numeric, told.dataset, 0)
    first = told.dataset.schema.numerics[0].source
    assert found.rows == told.dataset.rows("validation")
    assert list(found.losses) == list(dict.fromkeys(f.source for f in told.dataset.schema.features))
    others = {source: loss for source, loss in found.losses.items() if source != first}
    assert set(others.values()) == {0.0}
    assert found.losses[first] > 0.01
    assert permutation_importance(_first_numeric, told.dataset, 0) == found
    groups = {"with": (first, "another"), "without": tuple(others)}
    together = permutation_importance(_first_numeric, told.dataset, 0, groups)
    assert together.losses == found.losses
    assert together.groups["with"] > 0.01
    assert together.groups["without"] == 0.0


def test_importance_of_a_column_holds_what_it_matches(tmp_path: Path) -> None:
    """A model that sees only whether member and item are of one place loses it with either column, and no other."""
    prepare_dataset(None, parse(interactions(write_interactions(tmp_path), tmp_path / "out"), Interactions, "test"))
    dataset = Dataset.open(str(tmp_path / "out"))
    place = [f.name for f in dataset.schema.numerics].index("same_place")
    ids = [[f.name for f in dataset.schema.categoricals].index(name) for name in ("city", "town")]
    seen = []

    def same_place(block: Block) -> np.ndarray:
        city, town = (block.categoricals[:, k] for k in ids)
        np.testing.assert_array_equal(block.numerics[:, place], (city == town) & (city > 0))
        seen.append(block.numerics[:, place])
        return block.numerics[:, place]

    found = permutation_importance(same_place, dataset, 0)
    assert {source for source, loss in found.losses.items() if loss} == {"city", "town"}
    assert len(seen) == 1 + len(found.losses)


def test_only_what_is_sure_is_coloured(evaluation: Evaluation, told: Told) -> None:
    board = leaderboard(told.history, evaluation)
    found = slices(evaluation, board.rows[1].trial, board.rows[0].trial)
    assert len(found) > 10
    for one in found:
        gain = one.gain.gain
        assert one.sign == ("gain" if gain.low > 0 else "loss" if gain.high < 0 else "")
    assert [one.gain.gain.difference for one in found] == sorted((o.gain.gain.difference for o in found), reverse=True)
    rows = sum(one.gain.rows for one in found if one.subject == "n0")
    assert rows == told.dataset.rows("test")


def test_numbers_are_told_as_they_were_before_they_were_encoded(told: Told) -> None:
    schema = told.dataset.schema
    ages = tuple(f.model_copy(update={"center": 40.0, "scale": 10.0}) if f.name == "n0" else f for f in schema.features)
    dataset = Dataset(told.dataset.folder, schema.model_copy(update={"features": ages}), told.dataset.manifest)
    found = slices(Evaluation(dataset, told.folder.files, told.history), 0, 1)
    told_values = sorted(float(one.value.removeprefix("from ")) for one in found if one.subject == "n0")
    column = 40 + 10 * dataset.column("test", "n0")
    assert told_values == pytest.approx(np.quantile(column, [0, 0.2, 0.4, 0.6, 0.8], method="inverted_cdf"), rel=1e-3)
