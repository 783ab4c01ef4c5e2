"""The Spark application a command runs in, and its failures said in a person's words."""

import atexit
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from glmix_automl.errors import DataError, GlmixError
from glmix_automl.layout import PACKAGE

DRIVER_MEMORY = "4g"
SPARK_OUTPUT = "GLMIX_SPARK_OUTPUT"
"""Environment variable that shows what Spark itself writes to the terminal."""
_RAISED = re.compile(
    r"^(?:\w+\.)*(\w+(?:Error|Exception|Interrupt)): (.+?)(?=\n\s*\n|\n\s+at |\nDriver stack|\Z)", re.M | re.S
)
_OWN = ("DataError", "ConfigError", "GlmixError")
_LONGEST = 600


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
    if not is_submitted():
        builder = builder.master(master or os.environ.get("MASTER", "local[*]"))
        builder = builder.config("spark.driver.memory", driver_memory or DRIVER_MEMORY)
        builder = builder.config("spark.ui.showConsoleProgress", "false").config("spark.ui.enabled", "false")
        builder = builder.config("spark.log.level", "ERROR")
        # Spark's default of 200 is for clusters: here its 200 x 200 small shuffle files cost more than the work.
        builder = builder.config("spark.sql.shuffle.partitions", str(8 * (os.cpu_count() or 1)))
        builder = builder.config("spark.shuffle.sort.bypassMergeThreshold", "1")
    with translate_errors("Spark cannot be started"), _quiet():
        spark = builder.getOrCreate()
    _ship(spark.sparkContext)
    return spark


@contextmanager
def _quiet() -> Iterator[None]:
    """Starts the Java machine in the block with a file for standard error, which it keeps: its banners, and warnings of
    libraries that begin before any log level is set, tell a person nothing. What fails is raised in Python.

    Does nothing under spark-submit, whose machine runs already, or with `GLMIX_SPARK_OUTPUT` in the environment.
    """
    if is_submitted() or os.environ.get(SPARK_OUTPUT):
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        except BaseException:
            file.seek(0)
            os.write(kept, file.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def is_submitted() -> bool:
    """Whether spark-submit started this process: it starts Python with its gateway."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def is_running() -> bool:
    """Whether Spark is there already: spark-submit started this process, or a session is active."""
    return is_submitted() or SparkSession.getActiveSession() is not None


def _ship(context: SparkContext) -> None:
    """Sends this package's source to a cluster's executors, whose environment has its libraries only."""
    if str(context.master).startswith("local"):
        return
    place = Path(tempfile.mkdtemp(prefix="glmix-automl-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    archive = place / "glmix_automl.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(path for suffix in ("py", "html") for path in PACKAGE.rglob(f"*.{suffix}")):
            file.write(path, path.relative_to(PACKAGE.parent))
    context.addPyFile(str(archive))


@contextmanager
def translate_errors(doing: str) -> Iterator[None]:
    """Turns whatever Spark raises in the block into a `DataError` that says what was being done and why it failed."""
    try:
        yield
    except GlmixError:
        raise
    except (PySparkException, Py4JError) as error:
        raise DataError(f"{doing}: {cause(error)}") from error


def cause(error: BaseException) -> str:
    """The innermost reason of a Spark error, in one line."""
    text = str(error)
    if "Traceback (most recent call last)" in text:  # from Python on an executor: the last exception is the reason
        raised = _RAISED.findall(text[text.rindex("Traceback (most recent call last)") :])
        if raised:
            kind, message = raised[0]
            return message.strip() if kind in _OWN else f"{kind}: {message.strip()}"
    if isinstance(error, Py4JJavaError):
        text = _innermost(error.java_exception)
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return first if len(first) <= _LONGEST else first[:_LONGEST] + " ..."


def _innermost(throwable: object) -> str:
    while throwable.getCause() is not None:  # type: ignore[attr-defined]
        throwable = throwable.getCause()  # type: ignore[attr-defined]
    kind = throwable.getClass().getSimpleName()  # type: ignore[attr-defined]
    return f"{kind}: {throwable.getMessage()}"  # type: ignore[attr-defined]
