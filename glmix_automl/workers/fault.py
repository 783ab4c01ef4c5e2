"""Whose fault an error is: the trial's own, a lost rank's, the disk's, or that of another dataset in its place."""

import enum
import errno

from glmix_automl.errors import ChangedDataError
from glmix_automl.workers.collective import is_lost

DISK_SECONDS = 10.0  # between attempts while the disk is full
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Fault(str, enum.Enum):
    """Whose fault an error was, which decides whether the trial is tried again."""

    TRIAL = "trial"  # its own: it has failed
    PEER = "peer"  # another rank of its world was lost: tried again, a few times
    DISK = "disk"  # no room is left: tried again when there is
    DATA = "data"  # the dataset is not what the study began with: nothing can go on until it is put back


def find_fault(error: BaseException, ranks: int) -> Fault:
    """The fault of what a task raised.

    Args:
        error: with the errors that caused it.
        ranks: of the world; there are no peers to be lost in a world of one.
    """
    if is_disk_full(error):
        return Fault.DISK
    if isinstance(error, ChangedDataError):
        return Fault.DATA
    return Fault.PEER if ranks > 1 and is_lost(error) else Fault.TRIAL


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or one that caused it, says that no room is left on a disk, or of a quota."""
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        if isinstance(found, OSError) and found.errno in _FULL:
            return True
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return False
