"""Fixtures for media: an engine whose records can be looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import gevent
import pytest

from janusload.media.engine import Engine
from janusload.media.participants import Peer
from janusload.records import HealthRecord, MediaRecord, PeerEventRecord, Record


class Heard:
    """What an engine told."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.lost: list[tuple[int, str]] = []

    def media(self, name: str) -> list[MediaRecord]:
        return [each for each in self.records if isinstance(each, MediaRecord) and each.peer == name]

    def events(self, name: str) -> list[PeerEventRecord]:
        return [each for each in self.records if isinstance(each, PeerEventRecord) and each.peer == name]

    def health(self) -> list[HealthRecord]:
        return [each for each in self.records if isinstance(each, HealthRecord)]


def until(condition: Callable[[], object], timeout_s: float = 8, what: str = "") -> None:
    """Wait until something is so; fail if it does not become so."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        gevent.sleep(0.02)


@pytest.fixture(scope="module")
def heard() -> Heard:
    """What `engine` told, to all tests of the module: they tell their peers apart by name."""
    return Heard()


@pytest.fixture(scope="module")
def engine(heard: Heard) -> Iterator[Engine]:
    """For tests that leave it as they found it; starting one takes a second."""
    engine = Engine(on_record=heard.records.append, on_lost=lambda *lost: heard.lost.append(lost))
    engine.start()
    yield engine
    engine.stop()
    assert not engine.pids


def call(caller: Peer, callee: Peer) -> None:
    """Connect two peers of ours with each other."""
    answer = callee.answer(caller.offer())
    caller.accept(answer)
    callee.connected()
