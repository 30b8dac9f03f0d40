"""Who is listened to when: a few listeners at a time, so that decoding takes a bounded share of a core."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from janusload.media.hearing import WINDOW_S, Heard, Listener, Recording

log = logging.getLogger(__name__)

#: share of a core that decoding and looking may take, however many listeners there are
BUDGET = 0.05
#: what a look is taken to cost before one was measured, in seconds of CPU: 17 to 25 ms were seen for Opus
_FIRST_GUESS_S = 0.03
#: looks begin so far apart at least
EVERY_S = 4.0
#: pause before what was kept is decoded: talkers tell once a second when they began
_SETTLE_S = 1.2


class Listening:
    """The listeners of one worker.

    Args:
        on_heard: called on the loop's thread with a listener's number and what it heard.
    """

    def __init__(self, on_heard: Callable[[int, Heard], None]) -> None:
        self._on_heard = on_heard
        self._listeners: dict[int, Listener] = {}
        self._look_s = _FIRST_GUESS_S

    def add(self, number: int, listener: Listener) -> None:
        """Listen to a peer's flow from the next round on."""
        self._listeners[number] = listener

    def remove(self, number: int) -> None:
        """Listen to it no more; again is nothing."""
        self._listeners.pop(number, None)

    async def run(self) -> None:
        """Listen, round after round, until cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="hearing") as thread:
            while True:
                began_ns = time.monotonic_ns()
                batch = self._batch()
                for number in batch:
                    self._listeners[number].begin()
                await asyncio.sleep(WINDOW_S)
                # those that were closed meanwhile have nothing to say
                kept = [(number, self._listeners[number].end()) for number in batch if number in self._listeners]
                await asyncio.sleep(_SETTLE_S)
                spent_s = 0.0
                for number, recording in kept:
                    heard, cpu_s = await loop.run_in_executor(thread, _look, recording)
                    spent_s += cpu_s
                    self._look_s += (cpu_s - self._look_s) / 4
                    self._on_heard(number, heard)
                rest_s = max(EVERY_S, spent_s / BUDGET) - (time.monotonic_ns() - began_ns) / 1e9
                await asyncio.sleep(max(0.0, rest_s))

    def _batch(self) -> list[int]:
        """As many as fit into the budget of a round, by turns."""
        most = max(1, int(BUDGET * EVERY_S / self._look_s))
        numbers = list(self._listeners)[:most]
        # to the end of the queue
        for number in numbers:
            self._listeners[number] = self._listeners.pop(number)
        return numbers


def _look(recording: Recording) -> tuple[Heard, float]:
    began_s = time.thread_time()
    try:
        heard = recording.look()
    except Exception:
        # whatever a server may send that decodes to nonsense: the others are to be listened to all the same
        log.exception("a listener's packets could not be looked at")
        heard = Heard(recording.from_ns, recording.until_ns, [], [], 0)
    return heard, time.thread_time() - began_s


def row(number: int, heard: Heard) -> dict[str, Any]:
    """What is told the engine of a look."""
    return {"say": "heard", "peer": number, **heard._asdict()}
