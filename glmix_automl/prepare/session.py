"""The Spark session that preparation runs in: the one that is there, the one spark-submit describes, or a local one."""

import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import SparkSession

import glmix_automl
from glmix_automl.prepare.failures import translated

DRIVER_MEMORY = "4g"
_RUN_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",  # text without a zone means the same everywhere
    "spark.sql.caseSensitive": "true",  # raw tables may have `Age` and `age`
    "spark.sql.ansi.enabled": "false",  # what cannot be read is null, counted and reported, not an exception
    "spark.sql.execution.arrow.maxRecordsPerBatch": "20000",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}


def session(name: str, master: str | None = None, driver_memory: str | None = None) -> SparkSession:
    """The active session, or a new one.

    Under spark-submit nothing is set that it may have set. Elsewhere a local session on all cores is made; `master` and
    `driver_memory` (default 4g) say otherwise. A session on a cluster ships this package to its executors.
    """
    if (active := SparkSession.getActiveSession()) is not None:
        return active
    # Executors on this machine, and those of a like environment elsewhere, run the same Python.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(name)
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # not under spark-submit, which starts Python with its gateway
        builder = builder.master(master or os.environ.get("MASTER", "local[*]"))
        builder = builder.config("spark.driver.memory", driver_memory or DRIVER_MEMORY)
        builder = builder.config("spark.ui.showConsoleProgress", "false").config("spark.ui.enabled", "false")
        builder = builder.config("spark.log.level", "ERROR")
        # Spark's default of 200 is for clusters: here its 200 x 200 small shuffle files cost more than the work.
        builder = builder.config("spark.sql.shuffle.partitions", str(8 * (os.cpu_count() or 1)))
        builder = builder.config("spark.shuffle.sort.bypassMergeThreshold", "1")
    with translated("Spark cannot be started"):
        spark = builder.getOrCreate()
    if not str(spark.sparkContext.master).startswith("local"):
        _ship(spark)
    return spark


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


def _ship(spark: SparkSession) -> None:
    """Sends this package's source to the executors, whose environment has its libraries only."""
    package = Path(glmix_automl.__file__).parent
    archive = Path(tempfile.mkdtemp(prefix="glmix-automl-")) / "glmix_automl.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(package.rglob("*.py")):
            file.write(path, path.relative_to(package.parent))
    spark.sparkContext.addPyFile(str(archive))
