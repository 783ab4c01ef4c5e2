"""What a preparation's results depend on in a Spark session."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

_RUN_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",  # text without a zone means the same everywhere
    "spark.sql.caseSensitive": "true",  # raw tables may have `Age` and `age`
    "spark.sql.ansi.enabled": "false",  # what cannot be read is null, counted and reported, not an exception
    "spark.sql.execution.arrow.maxRecordsPerBatch": "20000",
    # No limit in bytes as well: it is checked by adding up all columns after every row.
    "spark.sql.execution.arrow.maxBytesPerBatch": "2147483647",
    # The Java machine interprets methods of more bytes, for ever; beyond them Spark makes several.
    "spark.sql.codegen.hugeMethodLimit": "8000",
    "spark.sql.legacy.parquet.nanosAsLong": "true",  # times as pandas writes them are refused otherwise
    # `day=007` of a folder's name stays text, as in a CSV file.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}


@contextmanager
def run_settings(spark: SparkSession) -> Iterator[None]:
    """Sets what a run's results depend on, and puts back what was set before."""
    before: dict[str, str | None] = {key: spark.conf.get(key, None) for key in _RUN_SETTINGS}
    for key, setting in _RUN_SETTINGS.items():
        spark.conf.set(key, setting)
    try:
        yield
    finally:
        for key, value in before.items():
            spark.conf.unset(key) if value is None else spark.conf.set(key, value)
