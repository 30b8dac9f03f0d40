"""Peers opened and closed in a row at a real Janus: what one costs, and whether anything of it stays."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import gevent
import psutil

from janusload.lab import Lab
from janusload.media.engine import Engine
from tests.media.echotest import EchoTest, echotest

#: peers that are there at the same time
BATCH = 50
WITHIN_S = 15.0


def open_and_close(lab: Lab, peers: int, tick: str | None = None) -> dict[str, Any]:
    """Open and close so many; returns `peers`, `cpu_ms` of the worker for each, `per_core_s`, and what stayed."""
    engine = Engine(tick=tick)
    engine.start()
    try:
        worker = psutil.Process(engine.pids[0])
        with echotest(lab.url) as janus:
            # what only the first ones cost: imports, the allocator's arenas
            batch(engine, janus, lab.address)
            fds, cpu_s = worker.num_fds(), 0.0
            rounds = -(-peers // BATCH)
            for number in range(rounds):
                if number == rounds // 2:
                    middle_bytes = worker.memory_info().rss
                cpu_s += batch(engine, janus, lab.address)
            cpu_ms = cpu_s * 1000 / (rounds * BATCH)
            # the worker's own look at itself comes once a second
            gevent.sleep(1.5)
            return {
                "peers": rounds * BATCH,
                "cpu_ms": cpu_ms,
                "per_core_s": 1000 / cpu_ms,
                "growth_mb": (worker.memory_info().rss - middle_bytes) / 1e6,
                "fds": worker.num_fds() - fds,
                "tick": engine.ticks[0],
                "threads": len(list(Path(f"/proc/{worker.pid}/task").iterdir())),
            }
    finally:
        engine.stop()


def batch(engine: Engine, janus: EchoTest, address: str) -> float:
    """Open `BATCH` peers, wait until each has heard something, close them, wait until they are gone.

    Returns the worker's CPU seconds for that, without those of the wait: statistics come once a second, and what the
    peers say meanwhile is no part of setting them up.
    """
    handles = []
    began_s = cpu_of(engine.pids[0])
    peers = [engine.peer(f"p{number}", route_to=address) for number in range(BATCH)]
    for peer in peers:
        handles.append(janus.attach())
        peer.accept(janus.call(handles[-1], peer.offer()))
    set_up_s = cpu_of(engine.pids[0]) - began_s
    deadline = time.monotonic() + WITHIN_S
    while not all(peer.record and peer.record.received for peer in peers):
        assert time.monotonic() < deadline, "not all have heard something"
        gevent.sleep(0.01)
    began_s = cpu_of(engine.pids[0])
    for peer in peers:
        peer.close()
    for peer in peers:
        assert peer.ended.wait(WITHIN_S)
    set_up_s += cpu_of(engine.pids[0]) - began_s
    for handle in handles:
        janus.detach(handle)
    return set_up_s


def cpu_of(pid: int) -> float:
    """CPU seconds of a process so far, of the kernel's precise clock (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)
