"""Fixtures shared by every test: one Spark session and one cluster per run, and the real data where it is there."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# The same examples in every run, and no time limit on a single one: the machine may be busy.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, database=None, max_examples=50)
hypothesis.settings.load_profile("repeatable")

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--folders "cli prepare"`: of these folders of tests only; `--without` of all others."""
    parser.addoption("--folders", default="", help="of these folders of tests only, with spaces between")
    parser.addoption("--without", default="", help="of all folders of tests but these")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files and folders that the options leave out are not even read."""
    return True if _left_out(collection_path, config) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Nor are tests of them run where a file of theirs was named."""
    left_out = [item for item in items if _left_out(item.path, config)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not _left_out(item.path, config)]


def _left_out(path: Path, config: pytest.Config) -> bool:
    tests = ROOT / "tests"
    if path == tests or not path.is_relative_to(tests):
        return False
    first = path.relative_to(tests).parts[0]
    wanted, others = (config.getoption(name).split() for name in ("--folders", "--without"))
    return first in others or bool(wanted and first not in wanted)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The one local Spark session of the test run, with two cores and few shuffle partitions."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    session = (
        SparkSession.builder.master("local[2]")
        .appName("glmix-automl tests")
        .config("spark.driver.memory", "1g")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.shuffle.sort.bypassMergeThreshold", "1")
        # Small data: compiling hot loops twice costs more than it gives.
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the one standalone Spark cluster of the test run: two workers of one core."""
    from tests.spark_cluster import standalone

    with standalone(tmp_path_factory.mktemp("cluster")) as running:
        yield running.master


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of public data sets, or a skip that says how to give it."""
    folder = Path(os.environ.get("GLMIX_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: name the folder with the environment variable GLMIX_DATA")
    return folder
