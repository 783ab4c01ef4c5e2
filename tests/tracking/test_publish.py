"""The description of a study's run."""

from pathlib import Path

from glmix_automl.reporting.leaderboard import Leaderboard, Row
from glmix_automl.tracking.publish import NOTE_CHARACTERS, note
from tests.study.records import begun


def row(place: int, entry: str) -> Row:
    return Row(
        place=place, entry=entry, model="mixture of 1 trees", trial=place, trials=3, failed=0, steps=10,
        train_seconds=1.0, eval_seconds=0.5, worker_seconds=200.0, validation_auc=0.78, quality=0.78,
        test_auc=0.77, test_low=0.75,
        test_high=0.79, member_auc=None, ndcg_at_10=None, precision_at_10=None, cold_start_auc=None,
        test_quality=0.77, p_value=None, difference=None,
    )  # fmt: skip


def test_the_leaderboard_in_markdown_has_a_line_per_entry_whatever_its_name(tmp_path: Path) -> None:
    folder = begun(tmp_path / "study")
    text = note(Leaderboard((row(1, "a|b\n<script>"), row(2, "plain"))), folder)
    lines = text.splitlines()
    assert lines[2] == (
        "| 1 | a\\|b &lt;script> | mixture of 1 trees | 3 | 3 min 20 s | 0.78000 | 0.7700 [0.7500, 0.7900] | – |"
    )
    assert {line.replace("\\|", "").count("|") for line in lines[:4]} == {9}
    many = note(Leaderboard(tuple(row(place, "x" * 100) for place in range(1, 200))), folder)
    assert len(many) <= NOTE_CHARACTERS
    assert "report.html" in many
