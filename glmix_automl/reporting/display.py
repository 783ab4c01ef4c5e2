"""The study on a terminal: tables for the leaderboard, and for what goes on."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from glmix_automl.pages.numbers import format_seconds, number, p_value
from glmix_automl.reporting.leaderboard import Leaderboard, Row, entry_model
from glmix_automl.study.history import History
from glmix_automl.study.settings import Limits

DROPPED = ("cold start", "steps", "evaluation", "training", "trials", "member", "p", "workers", "validation")
"""Columns that a narrow terminal goes without, the first of them first; entry and interval are always whole."""
WINNER_STYLE = "bold green"


def leaderboard_view(board: Leaderboard, title: str, width: int) -> RenderableType:
    """The poster's columns and more, the winner first, and what each model is; as many columns as have room."""
    columns: dict[str, Callable[[Row], str]] = {
        "": lambda row: str(row.place),
        "entry": lambda row: row.entry,
        "trials": lambda row: f"{row.trials} ({row.failed} failed)" if row.failed else str(row.trials),
        "steps": lambda row: f"{row.steps:,}",
        "training": lambda row: format_seconds(row.train_seconds),
        "evaluation": lambda row: format_seconds(row.eval_seconds),
        "workers": lambda row: format_seconds(row.worker_seconds),
        "validation": lambda row: f"{row.quality:.5f}",
        "test AUC [95 %]": auc_with_interval,
        "member": lambda row: number(row.member_auc, 4),
        "cold start": lambda row: number(row.cold_start_auc, 4),
        "p": lambda row: "" if row.place == 1 else p_value(row.p_value),
    }
    if board.measure != "AUC":
        columns[f"test {board.measure}"] = lambda row: number(row.test_quality, 4)
    cells = {name: [show(row) for row in board.rows] for name, show in columns.items()}
    table = whole_columns(cells, title, width, DROPPED, left=("", "entry"))
    for line, row in zip(table.rows, board.rows, strict=True):
        line.style = WINNER_STYLE if row.place == 1 else None
    models = [Text(f"  {row.place}  {row.entry}, trial {row.trial}: {row.model}") for row in board.rows]
    missing = [Text(f"     {entry}: no trial left a model") for entry in board.without_model]
    chosen = [Text(f"  {told}", style="italic") for told in (board.choice, *board.remarks) if told]
    return Group(table, *models, *missing, *chosen)


def whole_columns(
    cells: Mapping[str, Sequence[str]], title: str, width: int, dropped: Sequence[str], left: Sequence[str]
) -> Table:
    """A table whose columns are whole: where they have no room beside each other, some are left out.

    Args:
        cells: column -> its text of each row.
        title: above it.
        width: of the terminal, characters.
        dropped: columns to go without, the first of them first.
        left: columns of words; the others are numbers.
    """
    needed = {name: max(len(text) for text in (name, *texts)) + 3 for name, texts in cells.items()}
    for name in dropped:
        if sum(needed.values()) + 1 > width:
            needed.pop(name, None)
    table = Table(title=title, box=box.SIMPLE_HEAD, title_style="bold", title_justify="left")
    for name in needed:
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    for texts in zip(*(cells[name] for name in needed), strict=True):
        table.add_row(*map(Text, texts))
    return table


def auc_with_interval(row: Row) -> str:
    """Test AUC of a model with its interval."""
    interval = "" if row.test_low is None else f" [{row.test_low:.4f}, {row.test_high:.4f}]"
    return number(row.test_auc, 4) + interval


def status_view(
    history: History, status: Mapping[str, Any], limits: Limits, now: float | None, title: str
) -> RenderableType:
    """What each worker does, the best so far per entry, and what is left of the budget."""
    return Group(
        Text(f"{title}: {headline(history, limits, now)}", style="bold"),
        _workers(history, status) if now is not None else Text("no controller works on it"),
        _entries(history),
    )


def headline(history: History, limits: Limits, now: float | None) -> str:
    """One line: trials, best, budget."""
    best = history.best
    found = "no model yet" if best is None else f"best validation AUC {best.auc:.5f} (trial {best.number})"
    out = f", {len(history.out())} out" if history.out() else ""
    return f"{len(history.results)} trials{out}; {found}; {'; '.join(budget(history, limits, now))}"


def budget(history: History, limits: Limits, now: float | None) -> list[str]:
    """What was used, of what there is."""
    used = [
        ("worker time", history.spent, limits.worker_seconds),
        ("time", history.seconds(now), limits.seconds),
    ]
    texts = [
        f"{name} {format_seconds(spent)}" + ("" if of is None else f" of {format_seconds(of)}")
        for name, spent, of in used
    ]
    if limits.trials is not None:
        texts.append(f"{max(0, limits.trials - len(history.results))} of {limits.trials} trials left")
    return texts


def _workers(history: History, status: Mapping[str, Any]) -> Table:
    table = _table("worker", "state", "since", "trial", "entry", "what", "progress")
    for worker in status.get("workers", []):
        trial = history.trials.get(worker["trial"]) if worker["trial"] is not None else None
        progress = status.get("progress", {}).get(str(worker["trial"]))
        progress = progress or status.get("progress", {}).get(worker["trial"])
        table.add_row(
            worker["name"],
            worker["state"],
            format_seconds(max(0.0, status["at"] - worker["since"])),
            "" if trial is None else str(trial.number),
            "" if trial is None else trial.strategy,
            "" if trial is None else trial.family,
            "" if not progress else _progress(progress),
        )
    return table


def _progress(point: Mapping[str, Any]) -> str:
    auc = "" if point["auc"] is None else f", AUC {point['auc']:.4f}"
    return f"epoch {point['epoch']:.2f}, {point['steps']:,} steps{auc}"


def _entries(history: History) -> Table:
    table = _table("entry", "trials", "failed", "worker time", "validation AUC", "trial")
    for entry in dict.fromkeys(trial.strategy for trial in history.trials.values()):
        results = [r for n, r in history.results.items() if history.trials[n].strategy == entry]
        found = entry_model(history, entry)
        table.add_row(
            entry,
            str(len(results)),
            str(sum(not r.state.scored for r in results)),
            format_seconds(sum(r.costs.worker_seconds for r in results)),
            "–" if found is None else number(found[1].auc, 5),
            "–" if found is None else str(found[0].number),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        table.add_column(name, overflow="fold")  # a name may take two lines, but is never cut
    return table
