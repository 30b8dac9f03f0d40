"""Our own client of bench_media: an engine as in a run, with one worker. Speaks as pion/main.go does.

With `each-other` instead of an address it has two workers whose peers talk to each other, over loopback: ICE, DTLS,
SRTP, consent checks and statistics as with Janus, and nobody else's CPU.

usage: client_janusload.py ADDRESS|each-other COUNT python|c
"""

from __future__ import annotations

import json
import sys
from typing import Any

import gevent
import gevent.pool
from gevent.fileobject import FileObject

from janusload.media.engine import Engine
from janusload.media.participants import Peer

EACH_OTHER = "each-other"
LOOPBACK = "127.0.0.1"
#: pairs that are set up at the same time
AT_ONCE = 8


def write(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def with_the_far_end(engine: Engine, count: int, address: str, lines: Any) -> list[Peer]:
    """Peers whose offers somebody else has answered."""
    peers = []
    for number in range(count):
        peer = engine.peer(f"p{number}", route_to=address)
        write({"offer": number, "sdp": peer.offer()["sdp"]})
        peer.accept({"type": "answer", "sdp": json.loads(lines.readline())["sdp"]})
        peers.append(peer)
    return peers


def with_each_other(engine: Engine, count: int) -> list[Peer]:
    """Pairs of peers, one in each worker: the engine gives a peer to the worker that has the fewest."""
    peers = []

    def pair(caller: Peer, callee: Peer) -> None:
        caller.accept(callee.answer(caller.offer()))

    pool = gevent.pool.Pool(AT_ONCE)
    for number in range(count // 2):
        caller, callee = (engine.peer(f"p{number}-{side}", route_to=LOOPBACK) for side in "ab")
        assert caller.worker != callee.worker
        pool.spawn(pair, caller, callee)
        peers += [caller, callee]
    pool.join(raise_error=True)
    return peers


def main() -> None:
    address, count, tick = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    engine = Engine(workers=2 if address == EACH_OTHER else 1, tick=tick)
    engine.start()
    write({"up": True})
    lines = FileObject(sys.stdin)
    peers = with_each_other(engine, count) if address == EACH_OTHER else with_the_far_end(engine, count, address, lines)
    while not all(peer.record and peer.record.received for peer in peers):
        gevent.sleep(0.1)
    write({"ready": True})
    while lines.readline():
        records = [peer.record for peer in peers if peer.record]
        write(
            {
                "sent": sum(record.sent for record in records),
                "received": sum(record.received for record in records),
                "late": sum(record.late for record in records),
                "lost": sum(record.lost for record in records),
                # counters are of their records' moment, not of now
                "at_s": sum(record.t_ns for record in records) / len(records) / 1e9,
            }
        )
    engine.stop()


main()
