"""The leaderboard on terminals of any width."""

import io

import pytest
from rich.console import Console

from glmix_automl.cli.compare import DISPENSABLE
from glmix_automl.cli.live import console_for
from glmix_automl.reporting.display import leaderboard_view, status_view, whole_columns
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.reporting.leaderboard import leaderboard
from glmix_automl.study.history import History
from glmix_automl.study.settings import Limits
from glmix_automl.trial import Trial
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


def test_a_table_loses_columns_before_it_cuts_a_name_or_an_interval() -> None:
    names = ("study", "dataset", "winner", "trials", "workers", "validation", "test AUC [95 %]", "to first", "p")
    row = ("yesterday", "generated-jymbii 1234abcd", "logistic regression", "49", "1 min 17 s", "0.78103")
    cells = {
        name: [text] for name, text in zip(names, (*row, "0.7829 [0.7699, 0.7959]", "+0.0012", "0.13"), strict=True)
    }
    shown = {}
    for width in (80, 160):
        console = Console(file=io.StringIO(), width=width)
        console.print(whole_columns(cells, "winners", width, DISPENSABLE, left=names[:3]))
        shown[width] = console.file.getvalue()  # type: ignore[attr-defined]
        assert "…" not in shown[width]
        assert max(map(len, shown[width].splitlines())) <= width
    assert all(text in shown[160] for (text,) in cells.values())
    assert all(cells[name][0] in shown[80] for name in ("study", "winner", "test AUC [95 %]", "to first", "p"))


def test_brackets_in_names_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    trial = Trial(0, "net (l2=1) [a/b]", "toy")
    console_for().print(status_view(History(trials={0: trial}), {"workers": []}, Limits(), 1.0, "mon [a]"))
    shown = capsys.readouterr().out
    assert "net (l2=1) [a/b]" in shown
    assert "mon [a]: " in shown
