"""Seconds since the epoch that only go forward, second by second: what limits and costs are counted in.

The machine's clock is read once, when the process begins. It may jump later (a laptop wakes up, an operator sets it),
and a study must not end, nor a trial cost a year, for that.
"""

import time

_EPOCH = time.time() - time.monotonic()


def now() -> float:
    """Seconds since the epoch, by the clock as it was when the process began."""
    return _EPOCH + time.monotonic()
