"""Watches the generator itself: a number that the generator bent is not the server's."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import gevent
import psutil

from janusload import descriptors
from janusload.records import HealthRecord, Record

#: ticks so often that the p99 of a second is more than its worst moment
_TICK_S = 0.004


#: what a machine says that has no more open files, ports or buffers to give
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
_EXHAUSTED_WORDS = tuple(os.strerror(number).lower() for number in _EXHAUSTED)

_SNMP = Path("/proc/net/snmp")


def is_exhausted(error: BaseException | None) -> bool:
    """Whether something failed for want of files, ports or buffers on this side, and not by the server's doing."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _EXHAUSTED:
            return True
        # from a media worker only the words come
        if any(words in str(error).lower() for words in _EXHAUSTED_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def udp_receive_drops() -> int:
    """Datagrams thrown away for full receive buffers in this network namespace since it is there; 0 if unknown."""
    try:
        rows = [line.split() for line in _SNMP.read_text().splitlines() if line.startswith("Udp:")]
        return int(dict(zip(*rows, strict=True)).get("RcvbufErrors", 0))
    except (OSError, ValueError, TypeError):
        return 0


class Gauges(NamedTuple):
    """What a process has under way at a moment; see `HealthRecord`."""

    in_flight: int
    users: int
    pending: int | None = None


class Health:
    """One HealthRecord a second about this process.

    Args:
        write: takes the records.
        gauges: returns what is under way at the moment.
        process: what it is called; by its number if not said.
    """

    def __init__(self, write: Callable[[Record], None], gauges: Callable[[], Gauges], *, process: str = "") -> None:
        self._name = process or f"load-{os.getpid()}"
        self._write = write
        self._gauges = gauges
        self._process = psutil.Process()
        self._lags_ms: list[float] = []
        self._schedule_lags_ms: list[float] = []
        self._greenlets: list[gevent.Greenlet] = []
        self.latest: HealthRecord | None = None
        self.dropped = 0
        self.exhausted = 0
        self._seen = _Seen(0.0, 0, 0, None, udp_receive_drops())

    def start(self) -> None:
        self._process.cpu_percent()
        psutil.cpu_times_percent()
        self._greenlets = [gevent.spawn(self._measure_lag), gevent.spawn(self._report)]

    def stop(self) -> None:
        gevent.killall(self._greenlets)

    def left_late_by(self, lag_s: float) -> None:
        """An arrival left `lag_s` after it was due."""
        self._schedule_lags_ms.append(lag_s * 1e3)

    def count_dropped(self) -> None:
        """An arrival, or a life of a churn, that no client could take."""
        self.dropped += 1

    def failed(self, error: BaseException | None) -> None:
        """Something of ours failed with this error."""
        if error is not None and is_exhausted(error):
            self.exhausted += 1

    def _measure_lag(self) -> None:
        while True:
            began = time.monotonic()
            gevent.sleep(_TICK_S)
            late_s = max(0.0, time.monotonic() - began - _TICK_S)
            self._lags_ms.append(late_s * 1e3)
            # the ticks that a block swallowed were late too: without them 150 ms would be one of 200 and not be seen
            while (late_s := late_s - _TICK_S) > 0:
                self._lags_ms.append(late_s * 1e3)

    def _report(self) -> None:
        while True:
            gevent.sleep(1)
            lags, self._lags_ms = self._lags_ms, []
            schedule_lags, self._schedule_lags_ms = self._schedule_lags_ms, []
            dropped, self.dropped = self.dropped, 0
            exhausted, self.exhausted = self.exhausted, 0
            before, seen = self._seen, self._look()
            gauges = self._gauges()
            self.latest = HealthRecord(
                t_ns=time.monotonic_ns(),
                process=self._name,
                cpu_percent=seen.cpu_percent,
                rss_bytes=seen.rss_bytes,
                fds=seen.fds,
                lag_p99_ms=_p99(lags),
                schedule_lag_p99_ms=_p99(schedule_lags),
                dropped=dropped,
                in_flight=gauges.in_flight,
                users=gauges.users,
                pending=gauges.pending,
                exhausted=exhausted,
                steal_percent=seen.steal_percent,
                udp_drops=max(0, seen.udp_drops - before.udp_drops),
            )
            self._write(self.latest)

    def _look(self) -> _Seen:
        """This process now; where there is no descriptor left to look with, what was seen before."""
        try:
            self._seen = _Seen(
                self._process.cpu_percent(),
                self._process.memory_info().rss,
                self._process.num_fds(),
                getattr(psutil.cpu_times_percent(), "steal", None),
                udp_receive_drops(),
            )
        except OSError as error:
            self.failed(error)
            self._seen = self._seen._replace(fds=descriptors.count())
        return self._seen


class _Seen(NamedTuple):
    cpu_percent: float
    rss_bytes: int
    fds: int
    steal_percent: float | None
    udp_drops: int


def _p99(values: list[float]) -> float | None:
    if not values:
        return None
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]
