"""The data report: JSON for programs, one HTML page with pictures for people, that opens without a network."""

from pyspark.sql import SparkSession

from glmix_automl.layout import DATA_REPORT_HTML, DATA_REPORT_JSON
from glmix_automl.pages.drawing import DrawnTable
from glmix_automl.pages.page import render
from glmix_automl.prepare.checks import FeatureCheck, Report
from glmix_automl.prepare.profile import Profile
from glmix_automl.prepare.report_charts import data_charts
from glmix_automl.prepare.storage import PlainStorage, Storage, open_storage
from glmix_automl.schema import SPLITS, Schema


def write_report(storage: Storage | PlainStorage, report: Report, found: Profile, schema: Schema) -> None:
    """Writes `data_report.json` and `data_report.html` into the dataset's folder."""
    storage.write(DATA_REPORT_JSON, report.model_dump_json(indent=1))
    storage.write(DATA_REPORT_HTML, page(report, found, schema))


def read_report(spark: SparkSession | None, uri: str) -> Report:
    """The report of a published dataset."""
    return Report.model_validate_json(open_storage(spark, uri).read(DATA_REPORT_JSON))


def page(report: Report, found: Profile, schema: Schema) -> str:
    """The report as one HTML page, pictures inside."""
    return render(
        "data_report.html",
        report=report,
        sections=data_charts(report, found, schema),
        splits=_table(("split", "rows", "positive", "base rate (weighted)"), split_cells(report)),
        counts=_table(("what", "count"), [(what, f"{n:,}") for what, n in notices(report).items()]),
        features=DrawnTable(FEATURE_HEAD, [feature_cells(f) for f in report.features], FEATURE_HEAD[:3]),
        entities=_table(ENTITY_HEAD, entity_cells(report)),
    )


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> DrawnTable:
    return DrawnTable(head, rows, head[:1])


FEATURE_HEAD = ("feature", "kind", "side", "filled", "distinct", "unseen val.", "unseen test", "PSI", "AUC")
ENTITY_HEAD = ("entity", *(f"ids {s}" for s in SPLITS), *(f"{s} rows with history" for s in SPLITS[1:]), "rows per id")


def split_cells(report: Report) -> list[tuple[str, ...]]:
    """One row of cells per split."""
    return [
        (s, f"{sum(report.rows[s]):,}", f"{report.rows[s][1]:,}", f"{report.base_rates[s]:.4f}") for s in report.rows
    ]


def notices(report: Report) -> dict[str, int]:
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
