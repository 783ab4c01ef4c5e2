"""`glmix-automl score CONF`: scores raw rows with a model, a study's winner or the registered champion."""

import argparse
import tempfile
from pathlib import Path

from glmix_automl.cli import add_overrides, set_aside
from glmix_automl.cli.outcome import Outcome


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's arguments."""
    parser.add_argument("conf", metavar="CONF", help="what to score and where to, a YAML file (docs/scoring.md)")
    add_overrides(parser, "set a key of the file: --set model=studies/tonight --set output=scores/tonight")
    parser.add_argument("--key", help="of the night; fills {key} and {date} in the file")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print the scores of so many members")


def run(options: argparse.Namespace) -> Outcome:
    """Scores and says how many rows."""
    with tempfile.TemporaryDirectory() as place, set_aside(Path(place) / "score.log"):
        from glmix_automl.serving.scoring import score
        from glmix_automl.serving.settings import load_scoring

        settings = load_scoring(options.conf, options.overrides, options.key)
        found = score(settings)
    print(f"{found['rows']:,} rows scored by {found['model_version']}: {found['scores']}")
    for note in found["notes"]:
        print(f"  {note}")
    if options.show:
        _show(settings.output, options.show)
    return Outcome(found)


def _show(output: str, members: int) -> None:
    """Prints the rows of the first few members; shares of coordinates are for the file, and for wider paper."""
    import pyarrow.parquet as pq
    from rich.console import Console
    from rich.table import Table

    from glmix_automl.layout import Folder
    from glmix_automl.schema import UID
    from glmix_automl.serving.scored_rows import PROBABILITY, RANK, SCORE, SHARES

    folder = Folder(output)
    rows = pq.read_table(folder.path(), filesystem=folder.filesystem).to_pandas()
    ids = [name for name in rows.columns[: rows.columns.get_loc(SCORE)] if name != UID]
    rows = rows[[*ids, *(name for name in (RANK, SCORE, PROBABILITY, SHARES) if name in rows)]]
    who = ids[0]
    rows = rows[rows[who].isin(sorted(rows[who].unique())[:members])]
    rows = rows.sort_values([who, RANK] if RANK in rows else [who])
    table = Table(*rows.columns, box=None)
    for row in rows.itertuples(index=False):
        table.add_row(*map(_text, row))
    Console().print(table)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if not hasattr(value, "tolist") or not hasattr(value, "__len__"):
        return str(value)
    return "\n".join(f"{s['feature']} {s['log_odds']:+.2f} ({s['coordinate']})" for s in value.tolist())
