"""Failures inside Spark said in a person's words: which step, and the cause, without a stack of the JVM."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException

from glmix_automl.errors import DataError, GlmixError

_RAISED = re.compile(
    r"^(?:\w+\.)*(\w+(?:Error|Exception|Interrupt)): (.+?)(?=\n\s*\n|\n\s+at |\nDriver stack|\Z)", re.M | re.S
)
_OWN = ("DataError", "ConfigError", "GlmixError")
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
