"""Many connections with a session each in one process, kept alive: `python -m ... URL CONNECTIONS SECONDS`.

Printed at the end, as JSON: resident bytes per connection (growth from 50 connections to all of them, of this process,
after a collection of garbage, at the end), CPU, and how the keepalives lay: the moments at which their frames were
written, counted per 100 ms; and folded over one keepalive interval, counted per hundredth of it, which leaves out what
the machine did to the process meanwhile.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time

import gevent
import psutil

from janusload.janus import keepalive
from janusload.janus.connection import Connection
from janusload.janus.protocol import Transaction
from janusload.records import Outcome

#: the first few bring in what every process has once: modules, tables, the kernel's pages
FIRST = 50

OPENING_AT_ONCE = 20


def main() -> None:
    url, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    keepalives: list[int] = []
    failures: list[str] = []

    def observe(transaction: Transaction, late: bool) -> None:
        if transaction.outcome is not Outcome.OK:
            failures.append(f"{transaction.name}: {transaction.error}")
        elif transaction.verb == "keepalive" and transaction.sent_ns is not None:
            keepalives.append(transaction.sent_ns)

    connections: list[Connection] = []

    def open_until(total: int) -> None:
        def open_some() -> None:
            while len(connections) < total:
                connection = Connection(url, connect_timeout_s=30, timeout_s=30, observer=observe)
                connections.append(connection)
                connection.open().create()

        gevent.joinall([gevent.spawn(open_some) for _ in range(OPENING_AT_ONCE)], raise_error=True)

    process = psutil.Process()
    open_until(min(FIRST, count))
    gc.collect()
    before_bytes = process.memory_info().rss
    began_s = time.monotonic()
    open_until(count)
    opened_s = time.monotonic() - began_s
    gevent.sleep(3)  # every connection asks for the session timeout after a second
    gc.collect()
    cpu_s, began_ns = time.process_time(), time.monotonic_ns()
    gevent.sleep(seconds)
    cpu_s, ended_ns = time.process_time() - cpu_s, time.monotonic_ns()
    gc.collect()
    after_bytes = process.memory_info().rss
    settled = [moment for moment in keepalives if began_ns <= moment < ended_ns]
    bins = [0] * (int((ended_ns - began_ns) / 1e8) + 1)
    for moment in settled:
        bins[int((moment - began_ns) / 1e8)] += 1
    bins = bins[:-1]
    interval_ns = round(keepalive.interval_s(connections[0].session_timeout_s or 60) * 1e9)
    folded = [0] * 100
    for moment in settled:
        folded[moment % interval_ns * 100 // interval_ns] += 1
    print(
        json.dumps(
            {
                "connections": count,
                "opened_in_s": round(opened_s, 1),
                "alive": sum(bool(connection.is_open and connection.sessions) for connection in connections),
                "bytes_per_connection": round((after_bytes - before_bytes) / (count - min(FIRST, count))),
                "cpu_percent": round(100 * cpu_s / seconds, 1),
                "keepalives": len(settled),
                "keepalive_every_s": interval_ns / 1e9,
                "keepalives_per_100ms": spread(bins),
                "keepalives_per_hundredth_of_the_interval": spread(folded),
                "failures": len(failures),
                "first_failure": failures[0] if failures else None,
            }
        ),
        flush=True,
    )
    sys.stdin.readline()  # whoever asked counts the sessions at Janus before they go
    for connection in connections:
        connection.close()


def spread(counts: list[int]) -> dict[str, float]:
    """How even counts are; those of moments that are chosen at random have the deviation of Poisson's law."""
    return {
        "mean": round(statistics.mean(counts), 1),
        "min": min(counts),
        "max": max(counts),
        "stdev": round(statistics.pstdev(counts), 1),
        "poisson_stdev": round(statistics.mean(counts) ** 0.5, 1),
    }


if __name__ == "__main__":
    main()
