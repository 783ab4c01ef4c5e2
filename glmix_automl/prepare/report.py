"""The data report: JSON for programs, one HTML page with pictures for people, that opens without a network."""

from html import escape

from pyspark.sql import SparkSession

from glmix_automl.layout import DATA_REPORT_HTML, DATA_REPORT_JSON
from glmix_automl.prepare.checks import FeatureCheck, Report
from glmix_automl.prepare.profile import Profile
from glmix_automl.prepare.report_charts import charts
from glmix_automl.prepare.storage import Storage
from glmix_automl.schema import SPLITS

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1100px; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0; font-size: 13px }
th, td { padding: .25em .7em; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child { text-align: left }
th { border-bottom: 2px solid #888 }
.warning { background: #fff4d6; border-left: 4px solid #e0a800; padding: .4em .8em; margin: .3em 0 }
.fine { background: #e6f4e6; border-left: 4px solid #4a994a; padding: .4em .8em }
svg { max-width: 100%; height: auto }
"""


def write_report(storage: Storage, report: Report, found: Profile) -> None:
    """Writes `data_report.json` and `data_report.html` into the dataset's folder."""
    storage.write(DATA_REPORT_JSON, report.model_dump_json(indent=1))
    storage.write(DATA_REPORT_HTML, page(report, found))


def read_report(spark: SparkSession, uri: str) -> Report:
    """The report of a published dataset."""
    return Report.model_validate_json(Storage(spark, uri).read(DATA_REPORT_JSON))


def page(report: Report, found: Profile) -> str:
    """The report as one HTML page, pictures inside."""
    warnings = "".join(f'<p class="warning">{escape(w)}</p>' for w in report.warnings)
    parts = [
        f"<h1>Data report: {escape(report.name)}</h1><p>Digest {escape(report.digest)}</p>",
        warnings or '<p class="fine">No warnings.</p>',
        "<h2>Splits</h2>" + _table(("split", "rows", "positive", "base rate (weighted)"), split_cells(report)),
        "<h2>On the way</h2>" + _table(("what", "count"), [(k, f"{n:,}") for k, n in noticed(report).items()]),
        *(f"<h2>{escape(title)}</h2>{picture}" for title, picture in charts(report, found)),
        "<h2>Features</h2>" + _table(FEATURE_HEAD, [feature_cells(f) for f in report.features]),
        "<p>AUC: of the feature alone on validation, from bins. PSI: drift of validation against train.</p>",
        "<h2>Entities</h2>" + _table(ENTITY_HEAD, entity_cells(report)),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(report.name)}: data report</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


FEATURE_HEAD = ("feature", "kind", "side", "filled", "distinct", "unseen val.", "unseen test", "PSI", "AUC")
ENTITY_HEAD = ("entity", *(f"ids {s}" for s in SPLITS), *(f"{s} rows with history" for s in SPLITS[1:]), "rows per id")


def split_cells(report: Report) -> list[tuple[str, ...]]:
    """One row of cells per split."""
    return [
        (s, f"{sum(report.rows[s]):,}", f"{report.rows[s][1]:,}", f"{report.base_rates[s]:.4f}") for s in report.rows
    ]


def noticed(report: Report) -> dict[str, int]:
    """What was counted on the way to the dataset."""
    return {**report.counts, "uids of several rows": report.duplicate_uids}


def feature_cells(feature: FeatureCheck) -> tuple[str, ...]:
    """One row of cells."""
    unseen = feature.unseen or {}
    return (
        feature.name,
        feature.kind,
        feature.side,
        f"{feature.fill[SPLITS[0]]:.1%}",
        "" if feature.distinct is None else f"{feature.distinct:,}",
        *(f"{unseen[s]:.1%}" if s in unseen else "" for s in SPLITS[1:]),
        f"{feature.psi:.3f}",
        f"{feature.auc:.4f}",
    )


def entity_cells(report: Report) -> list[tuple[str, ...]]:
    """One row of cells per entity."""
    return [
        (
            name,
            *(f"{entity.ids[s]:,}" for s in SPLITS),
            *(f"{entity.rows_with_history[s]:.1%}" for s in SPLITS[1:]),
            ", ".join(f"{level}: {ids:,}" for level, ids in entity.train_rows.items()),
        )
        for name, entity in report.entities.items()
    ]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    first = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{first}</tr>{body}</table>"
