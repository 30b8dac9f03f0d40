"""People who join an AudioBridge room and leave it, a thousand in a row: what one costs, and whether anything stays.

A set-up is what the client does from the request to `attach` until audio comes: signalling, SDP, ICE, DTLS, first
packet. Its CPU is that of the media worker and of this process, which signals, together; Janus's is not counted.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import gevent
import psutil

from janusload.janus.connection import Connection
from janusload.janus.plugins.audiobridge import AudioBridge
from janusload.janus.session import Session
from janusload.lab import Lab
from janusload.media.engine import Engine
from janusload.media.participants import Peer

#: people who are there at the same time
BATCH = 25
#: the pump's longest pause and a period of the mixer: in that time everybody's first packet has come
FIRST_PACKET_S = 0.1
WITHIN_S = 15.0


def open_and_close(lab: Lab, peers: int, tick: str | None = None) -> dict[str, Any]:
    """Open and close so many; returns `peers`, CPU of a set-up and of its end, `per_core_s`, and what stayed."""
    engine = Engine(tick=tick)
    engine.start()
    try:
        worker = psutil.Process(engine.pids[0])
        with Connection(lab.url) as connection, connection.create() as session:
            room = session.attach(AudioBridge).create(sampling_rate=16_000).room
            people = People(engine, session, room, lab.address)
            # what only the first ones cost: imports, the allocator's arenas
            people.come_and_go()
            fds = worker.num_fds()
            people.coming_s = people.going_s = 0.0
            rounds = -(-peers // BATCH)
            began_s = time.monotonic()
            for number in range(rounds):
                if number == rounds // 2:
                    middle_bytes = worker.memory_info().rss
                people.come_and_go()
            took_s = time.monotonic() - began_s
            set_up_ms = people.coming_s * 1000 / (rounds * BATCH)
            # the worker's own look at itself comes once a second
            gevent.sleep(1.5)
            return {
                "peers": rounds * BATCH,
                "set_up_cpu_ms": set_up_ms,
                "per_core_s": 1000 / set_up_ms,
                "end_cpu_ms": people.going_s * 1000 / (rounds * BATCH),
                "took_s": took_s,
                "growth_mb": (worker.memory_info().rss - middle_bytes) / 1e6,
                "fds": worker.num_fds() - fds,
                "tick": engine.ticks[0],
                "threads": len(list(Path(f"/proc/{worker.pid}/task").iterdir())),
            }
    finally:
        engine.stop()


class People:
    """Those who come and go, `BATCH` at a time.

    Attributes:
        coming_s, going_s: CPU that their set-ups and their ends have cost.
    """

    def __init__(self, engine: Engine, session: Session, room: int | str, address: str) -> None:
        self._engine, self._session, self._room, self._address = engine, session, room, address
        self.coming_s = self.going_s = 0.0

    def come_and_go(self) -> None:
        """All join, are heard to have heard something, and leave."""
        began_s = self._cpu_s()
        joining = [gevent.spawn(self._join, number) for number in range(BATCH)]
        gevent.joinall(joining, raise_error=True)
        gevent.sleep(FIRST_PACKET_S)
        self.coming_s += self._cpu_s() - began_s
        people: list[tuple[AudioBridge, Peer]] = [each.value for each in joining]
        # what they say while they are there is no part of setting them up
        deadline = time.monotonic() + WITHIN_S
        while not all(peer.record and peer.record.received for _, peer in people):
            assert time.monotonic() < deadline, "not all have heard something"
            gevent.sleep(0.01)
        began_s = self._cpu_s()
        gevent.joinall([gevent.spawn(self._leave, *each) for each in people], raise_error=True)
        self.going_s += self._cpu_s() - began_s

    def _join(self, number: int) -> tuple[AudioBridge, Peer]:
        bridge = self._session.attach(AudioBridge)
        peer = self._engine.peer(f"p{number}", route_to=self._address)
        joined = bridge.join(self._room, jsep=peer.offer())
        assert joined.jsep is not None
        peer.accept(joined.jsep)
        return bridge, peer

    def _leave(self, bridge: AudioBridge, peer: Peer) -> None:
        bridge.leave()
        peer.close()
        assert peer.ended.wait(WITHIN_S)
        bridge.detach()

    def _cpu_s(self) -> float:
        # the kernel's precise clock of another process: clock_getcpuclockid(3)
        return time.clock_gettime((~self._engine.pids[0] << 3) | 2) + time.process_time()
