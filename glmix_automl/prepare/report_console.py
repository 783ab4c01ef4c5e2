"""The data report on the terminal: what is in the dataset and what to look at."""

from rich.console import Console
from rich.table import Table

from glmix_automl.layout import DATA_REPORT_HTML
from glmix_automl.prepare.checks import Report
from glmix_automl.prepare.report import ENTITY_HEAD, FEATURE_HEAD, entity_cells, feature_cells, noticed, split_cells


def show(report: Report, uri: str, console: Console | None = None) -> None:
    """Prints splits, features, entities, counts and warnings."""
    console = console or Console()
    console.print(_table(f"{report.name}: splits", ("split", "rows", "positive", "base rate"), split_cells(report)))
    console.print(_table("features", FEATURE_HEAD, [feature_cells(f) for f in report.features]))
    console.print(_table("entities", ENTITY_HEAD, entity_cells(report)))
    for what, count in noticed(report).items():
        console.print(f"{what}: {count:,}", markup=False, highlight=False)
    for note in report.notes:
        console.print(note, markup=False, highlight=False)
    for warning in report.warnings:
        console.print(f"[yellow]warning[/yellow]: {warning.replace('[', chr(92) + '[')}", highlight=False)
    console.print(f"dataset {report.digest} at {uri}, report in {DATA_REPORT_HTML}", markup=False, highlight=False)


def _table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left")
    for place, name in enumerate(head):
        table.add_column(name, justify="left" if place == 0 else "right")
    for row in rows:
        table.add_row(*(cell.replace("[", "\\[") for cell in row))
    return table
