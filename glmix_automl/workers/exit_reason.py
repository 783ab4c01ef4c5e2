"""Why a worker process ended: its exit code read together with what the kernel counted."""

import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

_NEAR = 0.8  # of the memory there is: a killed worker this large was probably killed for it


@dataclass(frozen=True)
class OomKillCounts:
    """The kernel's counts of out-of-memory kills (of this control group, of the machine) at one moment."""

    kills: tuple[int, ...]

    @classmethod
    def read(cls) -> "OomKillCounts":
        """Reads the counts; where none can be read, there are none."""
        return cls(tuple(_kills(path, key) for path, key in _counters()))

    def rose(self, later: "OomKillCounts") -> bool:
        """Whether some count rose between this moment and a later one."""
        return any(after > before for before, after in zip(self.kills, later.kills, strict=True))


def explain_exit(code: int, *, oom: bool, resident_bytes: int = 0, limit: int | None = None) -> str:
    """The end of a process in words.

    Args:
        code: as `subprocess.Popen.returncode`: negative for a signal.
        oom: whether the kernel counted an out-of-memory kill while the process lived.
        resident_bytes: its resident memory when last heard of, bytes.
        limit: the memory there is for it, bytes; None: as `memory_limit`.
    """
    if code >= 0:
        return f"its process ended by itself with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    if code != -signal.SIGKILL:
        return f"its process crashed with {name}"
    limit = memory_limit() if limit is None else limit
    used = f"it used {resident_bytes / 1e9:.1f} of {limit / 1e9:.1f} GB when last heard of"
    if oom:
        return f"out of memory: its process was killed by the kernel's out-of-memory killer ({used})"
    if resident_bytes > _NEAR * limit:
        return f"out of memory, by all appearances: its process was killed with {name} while {used}"
    return f"its process was killed with {name}"


def memory_limit() -> int:
    """Bytes of memory that processes here can use: the machine's or the control group's, whichever is less."""
    limits = [psutil.virtual_memory().total]
    for folder, file in ((_group_v2(), "memory.max"), (_group_v1(), "memory.limit_in_bytes")):
        text = _read(folder / file) if folder else ""
        if text.strip().isdigit():
            limits.append(int(text))
    return min(limits)


def _counters() -> Iterable[tuple[Path, str]]:
    yield Path("/proc/vmstat"), "oom_kill"
    for folder, file in ((_group_v2(), "memory.events"), (_group_v1(), "memory.oom_control")):
        if folder:
            yield folder / file, "oom_kill"


def _kills(path: Path, key: str) -> int:
    for line in _read(path).splitlines():
        name, _, count = line.partition(" ")
        if name == key and count.strip().isdigit():
            return int(count)
    return 0


def _group_v2() -> Path | None:
    return _group("0::", Path("/sys/fs/cgroup"))


def _group_v1() -> Path | None:
    return _group(":memory:", Path("/sys/fs/cgroup/memory"))


def _group(sign: str, root: Path) -> Path | None:
    """The control group of this process; inside a container it is the root of what is mounted."""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        if sign in line:
            inner = root / line.rpartition(":")[2].lstrip("/")
            return inner if inner.is_dir() else root
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
