"""Datagrams that leave later than their turn: what `impairment` holds back."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Container

from janusload.media.flow import PERIOD_NS, Flow
from janusload.media.impairment import Fate
from janusload.media.quality import Lateness


class HeldBack:
    """Sends datagrams of any flow at moments of their own; on the pump's thread only.

    What is held is encrypted already, as it is where a real network delays it. It is bounded by the longest time that
    an impairment may ask for.
    """

    def __init__(self, lateness: Lateness) -> None:
        self._lateness = lateness
        self._heap: list[tuple[int, int, Flow, bytes, int]] = []
        self._tie = itertools.count()

    @property
    def next_ns(self) -> int | None:
        """When the next one is to leave, monotonic; None if none is held."""
        return self._heap[0][0] if self._heap else None

    def clear(self) -> None:
        """Forget what is held."""
        self._heap.clear()

    def take(self, flow: Flow, fate: Fate, datagram: bytes, octets: int, due_ns: int) -> None:
        """Keep those copies of a datagram, due now, that are to leave later; `octets` is its payload's size."""
        for hold_ns in filter(None, fate):
            heapq.heappush(self._heap, (due_ns + hold_ns, next(self._tie), flow, datagram, octets))

    def release(self, flows: Container[Flow]) -> None:
        """Send what is due, unless its flow is not among `flows` any more.

        What is late by more than a period is counted and dropped: as in the ticks, nothing leaves in a burst.
        """
        while self._heap and self._heap[0][0] <= (now_ns := time.monotonic_ns()):
            due_ns, _, flow, datagram, octets = heapq.heappop(self._heap)
            if flow not in flows:
                continue
            if now_ns - due_ns > PERIOD_NS:
                flow.late += 1
                self._lateness.add(now_ns - due_ns)
            elif (late_ns := flow.depart(datagram, octets, due_ns)) is not None:
                self._lateness.add(late_ns)
