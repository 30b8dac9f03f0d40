"""How soon a churn of plain-RTP participants stalls a real Janus (janus-gateway issue 3358), run after run.

    python -m tests.benchmarks.churn [--janus 1.1.2] [--runs 3] [--seconds 90] [--participants 20] [--rooms 10]

Twenty participants at a time join 48 kHz AudioBridge rooms for some 0.3 s each, speak voiced Opus with in-band FEC,
every other packet withheld, and detach while they speak. A stall is a `ping` of a connection of its own without an
answer within 3 s. It has the signalling client and the media engine in it and nothing of a run, so it tells a change in
Janus from one in the scenario.

Small rooms stall sooner: between letting the room go, after which no packet of his is decoded any more, and taking the
lock that it must not take then, 1.1.2 tells everybody else in the room that he leaves.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

import gevent
import gevent.monkey

gevent.monkey.patch_all()

from janusload.errors import JanusloadError  # noqa: E402 - the patches come first
from janusload.janus.connection import Connection  # noqa: E402
from janusload.janus.plugins.audiobridge import AudioBridge, PlainRtp  # noqa: E402
from janusload.lab import Lab, LabOptions  # noqa: E402
from janusload.media.engine import Engine  # noqa: E402

STALLED_AFTER_S = 3.0
#: jitter: else all packets of a tick arrive at once, and Janus takes the detaches after them
IMPAIR = {"loss": "every:2", "jitter": 20.0}


class Churn:
    """The participants of one run, and how often they have come and gone."""

    def __init__(self, lab: Lab, engine: Engine, rooms: list[int], stay_s: float, ptime_ms: int) -> None:
        self._lab, self._engine, self._rooms, self._stay_s = lab, engine, rooms, stay_s
        self._ptime_ms = ptime_ms
        self.cycles = 0
        self.refused = 0

    def participate(self, number: int) -> None:
        gevent.sleep(self._stay_s * number / 20)
        with Connection(self._lab.url, timeout_s=STALLED_AFTER_S) as connection:
            session = connection.create()
            while True:
                bridge = session.attach(AudioBridge)
                making = {"impair": IMPAIR, "ptime_ms": self._ptime_ms, "route_to": self._lab.address}
                with self._engine.plain(f"p{number}", **making) as peer:
                    local = peer.open()
                    joined = bridge.join(self._rooms[number % len(self._rooms)], rtp=PlainRtp(*local, fec=True))
                    assert joined.rtp is not None
                    peer.connect(joined.rtp.ip, joined.rtp.port, joined.rtp.payload_type)
                    # by chance, or the detach would always meet the same moment between two packets
                    gevent.sleep(self._stay_s * random.uniform(0.5, 1.5))
                    bridge.detach()
                self.cycles += 1

    def live(self, number: int) -> None:
        try:
            self.participate(number)
        except JanusloadError:
            self.refused += 1


def one_run(wanted: argparse.Namespace, log: Path) -> str:
    """One run on a fresh Janus, in words."""
    with Lab(LabOptions(janus=wanted.janus), log) as lab:
        engine = Engine(on_record=lambda record: None)
        engine.start()
        with Connection(lab.url, timeout_s=STALLED_AFTER_S) as watch:
            bridge = watch.create().attach(AudioBridge)
            rooms = [bridge.create(sampling_rate=48_000, allow_rtp_participants=True).room for _ in range(wanted.rooms)]
            churn = Churn(lab, engine, rooms, wanted.stay, wanted.ptime)
            greenlets = [gevent.spawn(churn.live, number) for number in range(wanted.participants)]
            began = time.monotonic()
            words = f"no stall in {wanted.seconds:g} s"
            while time.monotonic() < began + wanted.seconds:
                asked = time.monotonic()
                try:
                    watch.ping()
                except JanusloadError as error:
                    how = f"signal {-(lab.returncode or 0)}" if not lab.alive() else str(error)
                    words = f"gave way after {asked - began:.0f} s: {how}"
                    break
                gevent.sleep(0.5)
            rate = churn.cycles / (time.monotonic() - began)
            gevent.killall(greenlets)
        engine.stop()
    return f"{words}; {churn.cycles} cycles, {rate:.0f}/s, {churn.refused} ended early"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--janus", default="janus")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--seconds", type=float, default=90.0)
    options.add_argument("--participants", type=int, default=20)
    options.add_argument("--rooms", type=int, default=10)
    options.add_argument("--ptime", type=int, default=20, metavar="MS")
    options.add_argument("--stay", type=float, default=0.3, metavar="SECONDS")
    wanted = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for run in range(wanted.runs):
            words = one_run(wanted, Path(folder) / "log")
            print(f"{wanted.janus} run {run + 1}: {words}", flush=True)


if __name__ == "__main__":
    main()
