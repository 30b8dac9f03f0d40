"""The generator watched by itself."""

from __future__ import annotations

import errno
import os
import resource
import socket

import gevent
import gevent.monkey
import pytest

from janusload.errors import ConnectFailed, MediaError
from janusload.load.health import Gauges, Health, is_exhausted, udp_receive_drops
from janusload.records import HealthRecord, Record


def test_a_blocked_event_loop_and_late_arrivals_show() -> None:
    records: list[Record] = []
    health = Health(records.append, lambda: Gauges(7, 3, 5))
    health.start()
    gevent.sleep(0.5)
    health.left_late_by(0.033)
    # nothing else gets its turn; time.sleep itself may have been patched by Locust
    gevent.monkey.get_original("time", "sleep")(0.15)
    health.dropped += 2
    gevent.sleep(0.7)
    health.stop()
    (record,) = [each for each in records if isinstance(each, HealthRecord)]
    assert record.lag_p99_ms is not None and record.lag_p99_ms > 50
    assert record.schedule_lag_p99_ms == 33.0
    assert (record.dropped, record.in_flight, record.users, record.pending) == (2, 7, 3, 5)
    assert record.cpu_percent >= 0 and record.fds > 0 and record.rss_bytes > 10**6


def test_what_this_side_has_run_out_of_is_not_the_servers_fault() -> None:
    error = ConnectFailed("ws://127.0.0.1: too many open files", phase="tcp")
    error.__cause__ = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    assert is_exhausted(error)
    assert is_exhausted(MediaError("no socket for media on 10.0.0.1: Too many open files", phase="ice"))
    refused = ConnectFailed("connection refused", phase="tcp")
    refused.__cause__ = OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    assert not is_exhausted(refused) and not is_exhausted(None)
    health = Health(lambda record: None, lambda: Gauges(0, 0))
    for each in (error, refused, None):
        health.failed(each)
    assert health.exhausted == 1


def test_datagrams_that_find_no_room_are_counted() -> None:
    before = udp_receive_drops()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        receiver.bind(("127.0.0.1", 0))
        for _ in range(200):
            sender.sendto(b"x" * 1000, receiver.getsockname())
    assert udp_receive_drops() > before


def test_without_descriptors_it_goes_on_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[HealthRecord] = []
    health = Health(records.append, lambda: Gauges(0, 0))  # type: ignore[arg-type]
    health.start()

    def full(path: str) -> list[str]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    gevent.sleep(1.1)
    monkeypatch.setattr(os, "listdir", full)
    gevent.sleep(1.1)
    monkeypatch.undo()
    gevent.sleep(1.1)
    health.stop()
    before, meanwhile, after = records[:3]
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert (before.exhausted, before.fds < limit) == (0, True)
    assert (meanwhile.fds, meanwhile.rss_bytes) == (limit, before.rss_bytes)
    # counted in the same second or in the next
    assert meanwhile.exhausted + after.exhausted == 1 and after.fds < limit
