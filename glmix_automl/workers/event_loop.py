"""One thread that owns a pool's state: everything that happens to it is a call in its queue."""

import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable
from typing import Any


class EventLoop:
    """Runs calls in the order in which they were posted, and timers when they are due, on one thread."""

    def __init__(self, name: str, on_error: Callable[[Exception], None]) -> None:
        """Starts the thread.

        Args:
            name: of the thread.
            on_error: called on the thread with what a call raised.
        """
        self._calls: queue.SimpleQueue[tuple[Callable[..., None], tuple[Any, ...]]] = queue.SimpleQueue()
        self._timers: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._on_error = on_error
        self._open = True
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def post(self, call: Callable[..., None], *arguments: Any) -> None:
        """Has `call(*arguments)` run soon; from any thread."""
        self._calls.put((call, arguments))

    def later(self, seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        """Has it run after so many seconds; from the loop's own thread."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), call, arguments))

    def close(self) -> None:
        """Ends the thread after the running call; from the loop's own thread. What is still queued is dropped."""
        self._open = False

    def join(self) -> None:
        """Waits for the thread's end."""
        self._thread.join()

    def _run(self) -> None:
        while self._open:
            try:
                call, arguments = self._next()
            except queue.Empty:
                continue
            try:
                call(*arguments)
            except Exception as error:
                self._on_error(error)

    def _next(self) -> tuple[Callable[..., None], tuple[Any, ...]]:
        if not self._timers:
            return self._calls.get()
        wait = self._timers[0][0] - time.monotonic()
        if wait > 0:
            return self._calls.get(timeout=wait)
        _, _, call, arguments = heapq.heappop(self._timers)
        return call, arguments
