"""Failures inside Spark said in a person's words: which step, and the cause, without a stack of the JVM."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException

from glmix_automl.errors import DataError, GlmixError

_OWN = re.compile(
    r"glmix_automl\.errors\.(?:DataError|GlmixError): (.+?)(?:\n\s*\n|\n\s+at |\nDriver stacktrace|\Z)", re.S
)
_LONGEST = 600


@contextmanager
def translated(doing: str) -> Iterator[None]:
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
    own = _OWN.search(text)
    if own:  # one of ours, raised on an executor
        return own.group(1).strip()
    if isinstance(error, Py4JJavaError):
        text = _innermost(error.java_exception)
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return first if len(first) <= _LONGEST else first[:_LONGEST] + " ..."


def _innermost(throwable: object) -> str:
    while throwable.getCause() is not None:  # type: ignore[attr-defined]
        throwable = throwable.getCause()  # type: ignore[attr-defined]
    kind = throwable.getClass().getSimpleName()  # type: ignore[attr-defined]
    return f"{kind}: {throwable.getMessage()}"  # type: ignore[attr-defined]
