"""One bar for a whole preparation: the step, the rows, the time left on a terminal; a line per step elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

STEP_TITLES = {
    "reading": 6.0,
    "split": 1.0,
    "items": 2.0,
    "attributes": 2.0,
    "history": 5.0,
    "items' models": 3.0,
    "members": 5.0,
    "statistics": 2.0,
    "vocabularies": 0.5,
    "encoding members and items": 0.5,
    "shards": 10.0,
    "report": 2.0,
}
"""The steps, and about how the time is spent on them: the bar's parts."""


class StepProgress:
    """Where a preparation is. Silent unless `shown`."""

    def __init__(self, shown: bool = False, console: Console | None = None) -> None:
        self.rows: int | None = None
        self._shown = shown
        self._console = console or Console(stderr=True)
        self._bar: Bar | None = None
        self._task: Any = None
        self._name = ""
        self._begun = 0.0

    def __enter__(self) -> "StepProgress":
        if self._shown and self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
            self._bar = Bar(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self._console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("preparing", total=sum(STEP_TITLES.values()))
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        if self._bar is not None:
            self._bar.stop()

    @contextmanager
    def step(self, name: str, tasks: int) -> Iterator[Callable[[Any], Any]]:
        """One step, or a part of it; calls what it gives with the result of each of its tasks, which comes back."""
        if name != self._name:
            self._end()
            self._name, self._begun = name, time.monotonic()
        finished = 0

        def done(result: Any) -> Any:
            nonlocal finished
            finished += 1
            self.at(name, finished / max(tasks, 1))
            return result

        self.at(name, 0)
        yield done

    def _end(self) -> None:
        if self._name and self._shown and self._bar is None:
            self._console.print(f"{self._name}: {time.monotonic() - self._begun:.1f} s{self._of_rows}", highlight=False)
        self._name = ""

    @property
    def _of_rows(self) -> str:
        return f" ({self.rows:,} rows)" if self.rows else ""

    @property
    def live(self) -> bool:
        """Whether there is a bar that moves."""
        return self._bar is not None

    def at(self, name: str, share: float) -> None:
        """How far a step is, from 0 to 1; a bar never goes back."""
        if self._bar is not None:
            names = list(STEP_TITLES)
            before = sum(STEP_TITLES[n] for n in names[: names.index(name)])
            at = max(self._bar.tasks[0].completed, before + STEP_TITLES[name] * min(share, 1.0))
            self._bar.update(self._task, description=name + self._of_rows, completed=at)
