"""Our pump without a Janus: flows that talk to echo.c, which returns every datagram. Speaks as pion/main.go does.

No ICE, no DTLS, no consent checks, no statistics: what a worker spends on RTP alone, at any number of participants.

usage: client_reflected.py PORT COUNT python|c
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from typing import Any

from janusload import descriptors
from janusload.media import clips
from janusload.media.process import take_real_time
from janusload.media.pump import Pump
from janusload.media.worker import SWITCH_INTERVAL_S
from tests.media.flows import session, udp


def main() -> None:
    port, count, tick = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

    def write(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    descriptors.raise_limit()
    take_real_time()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    clip = clips.make("speech")
    pump = Pump(tick)
    pump.start(lambda fault: os._exit(1))
    write({"up": True})
    flows = []
    for number in range(count):
        sock, key = udp(), os.urandom(44)
        sock.connect(("127.0.0.1", port))
        flow = pump.flow(
            sock=sock,
            tx=session(key, sending=True),
            rx=session(key, sending=False),
            clip=clip,
            ssrc=number + 1,
            cname=f"flow-{number}",
            payload_type=111,
            audio_level_id=1,
            incoming=lambda datagram, source: None,
        )
        pump.add(flow)
        flows.append(flow)
    gc.collect()
    gc.freeze()
    gc.disable()
    while not all(flow.reception.received for flow in flows):
        time.sleep(0.1)
    write({"ready": True})
    while sys.stdin.readline():
        write(
            {
                "sent": sum(flow.sent for flow in flows),
                "received": sum(flow.reception.received for flow in flows),
                "late": sum(flow.late for flow in flows),
                "lost": sum(flow.reception.lost for flow in flows),
            }
        )
    os._exit(0)


main()
