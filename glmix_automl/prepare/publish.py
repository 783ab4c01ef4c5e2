"""A dataset appears whole or not at all, and an old one gives way to a new one in one rename each.

Work goes into a sibling folder `<output>.new-<id>`; `_SUCCESS` is its last file. Publishing renames the old dataset to
`<output>.old-<id>`, the new one to `<output>`, and then removes the old one. A reader that opens `<output>` in the
moment between the two renames finds nothing there; it never finds half a dataset. A run killed in that moment leaves
both datasets whole under their sibling names, and the next run (or `recover`) puts the new one in place. Stores without
atomic rename of folders (object stores) keep the promise of `_SUCCESS` last, not that of the rename.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from glmix_automl.errors import DataError
from glmix_automl.layout import MANIFEST, SUCCESS
from glmix_automl.prepare.storage import PlainStorage, Storage, open_storage

Place = Storage | PlainStorage

_LEFT_OVER_SECONDS = 86_400  # unfinished folders of dead runs are removed a day after their last change


@contextmanager
def publishing(spark: SparkSession | None, output: str, overwrite: bool) -> Iterator[Place]:
    """A folder to write the dataset's files to; when the block ends without error, it becomes `output`.

    Raises:
        DataError: `output` is there and `overwrite` is not given, or it is something else than a dataset.
    """
    target = open_storage(spark, output)
    recover(target)
    _free(target, overwrite)
    unfinished = open_storage(spark, target.sibling(f"{target.name}.new-{uuid.uuid4().hex[:8]}"))
    unfinished.make()
    try:
        yield unfinished
        unfinished.write(SUCCESS, "")
        _free(target, overwrite)  # another run may have finished meanwhile
        replace(target, unfinished.uri)
    except BaseException:
        unfinished.remove()
        raise
    _sweep(target)


def replace(target: Place, finished: str) -> None:
    """Puts a finished folder in the place of `target`, whose old content is removed last."""
    old = target.sibling(f"{target.name}.old-{uuid.uuid4().hex[:8]}")
    aside = target.exists()
    if aside:
        target.rename(target.uri, old)
    try:
        target.rename(finished, target.uri)
    except DataError:
        if aside and not target.exists():
            target.rename(old, target.uri)
        raise
    if aside:
        target.remove(old)


def recover(target: Place) -> None:
    """Ends what a run killed between two renames began: nothing at `target`, but a whole dataset beside it."""
    if target.exists():
        return
    for kind in (".new-", ".old-"):
        whole = [uri for uri in _beside(target, kind) if target.exists(f"{uri}/{SUCCESS}")]
        if whole:
            target.rename(max(whole, key=target.modified), target.uri)
            return


def _free(target: Place, overwrite: bool) -> None:
    names = target.names()
    if not names and not target.exists():
        return
    if names and MANIFEST not in names:
        raise DataError(f"{target.uri}: holds something else than a dataset ({', '.join(names[:5])}); not replaced")
    if names and not overwrite:
        raise DataError(
            f"{target.uri}: there is a dataset already; replace it with --overwrite, or name another output"
        )


def _beside(target: Place, kind: str) -> list[str]:
    start = f"{target.name}{kind}"
    return [target.sibling(n) for n in target.names(target.parent) if n.startswith(start)]


def _sweep(target: Place) -> None:
    """Removes what dead runs left: old datasets, since a new one is in place, and unfinished folders of days ago."""
    for uri in _beside(target, ".old-"):
        target.remove(uri)
    for uri in _beside(target, ".new-"):
        if time.time() - target.modified(uri) > _LEFT_OVER_SECONDS:
            target.remove(uri)
