"""A collector that may hang: asked in a thread of its own, and not waited for longer than it is given.

Reading about a process can take for ever where the machine is in trouble: a disk that does not answer, memory that is
locked. What hangs is left to hang, is not asked again before it has come back, and is counted.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Bounded(Generic[T]):
    """Calls `collect`, and gives it `within_s` seconds.

    Attributes:
        late: how often nothing came in time.
        errors: how often it raised; `error` is the latest in words.
    """

    def __init__(self, name: str, collect: Callable[[], T], *, within_s: float) -> None:
        self.name = name
        self.late = 0
        self.errors = 0
        self.error = ""
        self._collect = collect
        self._within_s = within_s
        self._asked: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[int, T | None]] = queue.SimpleQueue()
        self._number = 0
        self._busy = False
        self._thread: threading.Thread | None = None

    def ask(self) -> bool:
        """Begin to collect; False, and nothing happens, while the time before still hangs."""
        self._drain()
        if self._busy:
            return False
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=f"collect {self.name}", daemon=True)
            self._thread.start()
        self._number += 1
        self._busy = True
        self._asked.put(self._number)
        return True

    def answer(self, until: float) -> T | None:
        """What was collected, waiting until `until` (monotonic) at most; None if it failed or is late."""
        while self._busy:
            try:
                number, found = self._answers.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                self.late += 1
                return None
            self._busy = number != self._number
            if not self._busy:
                return found
        return None

    def collect(self) -> T | None:
        """Ask, and wait as long as it is given."""
        if not self.ask():
            self.late += 1
            return None
        return self.answer(time.monotonic() + self._within_s)

    def close(self) -> None:
        """Let the thread end when it comes back."""
        self._asked.put(None)

    def _drain(self) -> None:
        while self._busy:
            try:
                number, _ = self._answers.get_nowait()
            except queue.Empty:
                return
            self._busy = number != self._number

    def _serve(self) -> None:
        while (number := self._asked.get()) is not None:
            try:
                found: T | None = self._collect()
            except Exception as error:
                self.errors += 1
                self.error = f"{type(error).__name__}: {error}"[:200]
                found = None
            self._answers.put((number, found))
