"""Datagrams that leave later than their turn: what `impairment` holds back, and copies of it."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Container

from janusload.media.flow import LATE_NS, Flow
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

    def take(self, flow: Flow, fate: Fate, datagram: bytes, octets: int, due_ns: int) -> None:
        """Send the copies of a datagram that was due now, each when its time comes; `octets` is its payload's size."""
        for hold_ns in fate:
            if hold_ns:
                heapq.heappush(self._heap, (due_ns + hold_ns, next(self._tie), flow, datagram, octets))
            else:
                self._send(flow, datagram, octets, due_ns)

    def release(self, flows: Container[Flow]) -> None:
        """Send what is due, unless its flow is not among `flows` any more."""
        while self._heap and self._heap[0][0] <= time.monotonic_ns():
            due_ns, _, flow, datagram, octets = heapq.heappop(self._heap)
            if flow in flows:
                self._send(flow, datagram, octets, due_ns)

    def _send(self, flow: Flow, datagram: bytes, octets: int, due_ns: int) -> None:
        try:
            flow.sent_bytes += flow.send(datagram)
        except OSError:
            flow.send_errors += 1
            return
        flow.sent += 1
        flow.octets += octets
        late_ns = time.monotonic_ns() - due_ns
        if late_ns > LATE_NS:
            flow.late += 1
        self._lateness.add(late_ns)
