"""The measure of a study: what strategies, leaderboard and promotion compare models by."""

from pathlib import Path
from typing import Any

import pytest

from glmix_automl import metrics
from glmix_automl.api import Study
from glmix_automl.errors import ConfigError, StudyError
from tests.dataset_maker import make_dataset


def settings(folder: Path, measure: str, prefer: str = "best") -> dict[str, Any]:
    """A race of what tells members apart against what tells items apart."""
    return {
        "dataset": str(folder / "dataset"),
        "study": str(folder / f"study {measure}"),
        "measure": measure,
        "prefer": prefer,
        "workers": {"place": "in_process"},
        "tracking": {"enabled": False},
        "race": {
            entity: {
                "strategy": "fixed",
                "trials": [{"family": "random_effect", "parameters": {"entity": entity}}],
            }
            for entity in ("member", "item")
        },
    }


def test_a_race_is_won_by_the_measure_of_the_study(tmp_path: Path) -> None:
    """A member's intercept orders no rows within the member, however much it does over all rows."""
    make_dataset(tmp_path / "dataset", rows=3000, members=60, effects=2.0)
    by_auc = Study(settings(tmp_path, "auc")).run().leaderboard()
    assert list(by_auc.entry) == ["member", "item"]
    for measure in ("member_auc", "ndcg@3", "precision@3"):
        study = Study(settings(tmp_path, measure)).run()
        board, record = study.leaderboard(), study.history.results
        assert list(board.entry) == ["item", "member"], measure
        assert board.quality[0] > board.quality[1]
        assert board.validation_auc[0] < board.validation_auc[1]
        assert study.history.best is not None
        assert study.history.best.number == board.trial[0]
        assert board.difference[1] == pytest.approx(board.test_quality[1] - board.test_quality[0])
        assert 0 <= board.p_value[1] < 1
        assert (
            f"validation<br>{metrics.Measure(measure).words}" in (tmp_path / f"study {measure}/report.html").read_text()
        )
    assert record[int(board.trial[1])].quality_variance > 0


def test_a_measure_that_is_unknown_or_changed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="measure"):
        Study(settings(tmp_path, "ndcg@0"))
    make_dataset(tmp_path / "dataset", rows=300, members=20)
    given = settings(tmp_path, "auc")
    Study(given).run()
    with pytest.raises(StudyError, match="measure differs"):
        Study(given | {"measure": "member_auc"}).run(resume=True)
