"""The data report on the terminal: what is in the dataset and what to look at."""

from rich.console import Console
from rich.table import Table

from glmix_automl.layout import DATA_REPORT_HTML
from glmix_automl.prepare.checks import Report
from glmix_automl.prepare.report import ENTITY_HEAD, FEATURE_HEAD, entity_cells, feature_cells, notices, split_cells

_WIDE = 120
_FEATURE = ("feature", "filled", "PSI", "AUC")  # in narrower terminals; the rest is in the report
_ENTITY = ("entity", "ids train", "ids test", "test rows with history")
Cells = list[tuple[str, ...]]


def print_report(report: Report, uri: str, console: Console | None = None) -> None:
    """Prints splits, features, entities, counts and warnings."""
    console = console or Console()
    console.print(_table(f"{report.name}: splits", ("split", "rows", "positive", "base rate"), split_cells(report)))
    tables = {
        "features": (_FEATURE, FEATURE_HEAD, [feature_cells(f) for f in report.features]),
        "entities": (_ENTITY, ENTITY_HEAD, entity_cells(report)),
    }
    for title, (most, head, cells) in tables.items():
        console.print(_table(title, *((head, cells) if console.width >= _WIDE else _chosen(most, head, cells))))
    for what, count in notices(report).items():
        console.print(f"{what}: {count:,}", markup=False, highlight=False)
    for note in report.notes:
        console.print(note, markup=False, highlight=False)
    for warning in report.warnings:
        console.print(f"[yellow]warning[/yellow]: {warning.replace('[', chr(92) + '[')}", highlight=False)
    console.print(f"dataset {report.digest} at {uri}, report in {DATA_REPORT_HTML}", markup=False, highlight=False)


def _chosen(names: tuple[str, ...], head: tuple[str, ...], cells: Cells) -> tuple[tuple[str, ...], Cells]:
    """The columns of a table that matter most."""
    places = [head.index(name) for name in names]
    return names, [tuple(row[place] for place in places) for row in cells]


def _table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left")
    for place, name in enumerate(head):
        # A name is folded rather than cut, and numbers never are.
        table.add_column(name, justify="left" if place == 0 else "right", overflow="fold", no_wrap=place > 0)
    for row in rows:
        table.add_row(*(cell.replace("[", "\\[") for cell in row))
    return table
