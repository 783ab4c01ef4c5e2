"""The leaderboard on terminals of any width."""

import io

import pytest
from rich.console import Console

from glmix_automl.reporting.display import leaderboard_view
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.reporting.leaderboard import leaderboard
from tests.reporting.conftest import Told


@pytest.mark.parametrize("width", [50, 80, 160])
def test_entry_and_interval_are_whole_on_a_terminal_of_any_width(told: Told, width: int) -> None:
    board = leaderboard(told.history, Evaluation(told.dataset, told.folder.files, told.history))
    console = Console(file=io.StringIO(), width=width)
    console.print(leaderboard_view(board, "made", width))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    for row in board.rows:
        interval = f"{row.test_auc:.4f} [{row.test_low:.4f}, {row.test_high:.4f}]"
        (line,) = (line for line in lines if f" {row.entry} " in line and interval in line)
        assert (f"{row.validation_auc:.5f}" in line) == (width >= 80)
    heads = next(line for line in lines if "entry" in line).split()
    assert ("steps" in heads) == (width > 80)
    assert max(map(len, lines)) <= width
