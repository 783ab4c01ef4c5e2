"""What the end of a process is called."""

import pytest

from glmix_automl.workers.exit_reason import OomKillCounts, explain_exit, memory_limit


@pytest.mark.parametrize(
    ("code", "oom", "size", "expected"),
    [
        (0, False, 0, "ended by itself with exit code 0"),
        (-11, False, 0, "crashed with SIGSEGV"),
        (-9, False, 100, "was killed with SIGKILL"),
        (-9, True, 100, "out of memory: its process was killed by the kernel's out-of-memory killer"),
        (-9, False, 900, "out of memory, by all appearances"),
        (-15, True, 900, "crashed with SIGTERM"),
    ],
)
def test_an_end_is_named_after_its_cause(code: int, oom: bool, size: int, expected: str) -> None:
    reason = explain_exit(code, oom=oom, resident_bytes=size, limit=1000)
    assert expected in reason
    assert ("out of memory" in reason) == ("out of memory" in expected)


def test_the_kernel_accuses_when_a_count_of_kills_rose() -> None:
    assert OomKillCounts((1, 5)).rose(OomKillCounts((1, 6)))
    assert not OomKillCounts((1, 5)).rose(OomKillCounts((1, 5)))


def test_there_is_memory_here() -> None:
    assert memory_limit() > 64 << 20
