"""Our own client of bench_media: an engine with one worker, as in a run. Speaks as pion/main.go does.

usage: client_janusload.py ADDRESS COUNT python|c
"""

from __future__ import annotations

import json
import sys
from typing import Any

import gevent
from gevent.fileobject import FileObject

from janusload.media.engine import Engine
from janusload.media.participants import Peer
from janusload.records import HealthRecord, Record


def main() -> None:
    address, count, tick = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    pacing: list[float] = []

    def seen(record: Record) -> None:
        if isinstance(record, HealthRecord) and record.pacing_p99_ms is not None:
            pacing.append(record.pacing_p99_ms)

    def write(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    engine = Engine(tick=tick, on_record=seen)
    engine.start()
    write({"up": True})
    lines = FileObject(sys.stdin)
    peers: list[Peer] = []
    for number in range(count):
        peer = engine.peer(f"p{number}", route_to=address)
        write({"offer": number, "sdp": peer.offer()["sdp"]})
        peer.accept({"type": "answer", "sdp": json.loads(lines.readline())["sdp"]})
        peers.append(peer)
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
                "pacing_p99_ms": max(pacing, default=None),
            }
        )
        pacing.clear()
    engine.stop()


main()
