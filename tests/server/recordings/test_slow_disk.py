"""The stall of a memory limit full of pages that wait for a slow disk (janus-facts, Appendix B4), on a real Janus."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from janusload.errors import JanusError
from janusload.janus.connection import Connection
from janusload.janus.plugins.audiobridge import AudioBridge, PlainRtp
from janusload.janus.session import Session
from janusload.lab import Lab, LabOptions
from janusload.lab.faults.disk import disk_slow
from janusload.records import Rung, ServerRecord, ThreadRecord
from janusload.server.process import ProcessWatch
from janusload.server.recordings.pressure import PressureWatch, disk_speed
from janusload.server.recordings.storage import StorageWatch
from janusload.summary import FailureKind
from janusload.verdict import Window, judge

LIMIT = 44_000_000
ROOMS = 12  # at 48 kHz in stereo: 192 kB/s each
DISK = 700_000
GIVEN_UP_S = 40.0


def answers(session: Session) -> bool:
    """Whether the core still does something that needs memory: a handle is a thread."""
    try:
        session.attach(AudioBridge, timeout_s=1.0).detach()
    except JanusError:
        return False
    return True


@pytest.mark.lab
def test_it_is_warned_of_before_it_happens_and_named_when_it_does(tmp_path: Path) -> None:
    options = LabOptions(memory_bytes=LIMIT, recordings_disk_bytes=400 << 20)
    with Lab(options, tmp_path / "janus.log") as lab, disk_slow(lab, DISK):
        speed = disk_speed(lab.recordings)
        assert speed == pytest.approx(DISK, rel=0.5)
        with Connection(lab.url, timeout_s=5.0, api_secret=lab.api_secret) as connection:
            session = connection.create()
            for _ in range(ROOMS):
                bridge = session.attach(AudioBridge)
                made = bridge.create(sampling_rate=48_000, spatial_audio=True, record=True, allow_rtp_participants=True)
                bridge.join(made.room, rtp=PlainRtp())  # the mix is only recorded while somebody is there
            watched = Watched(lab, speed)
            began_s = time.monotonic()
            there = watched.look()
            while there and answers(session):
                assert time.monotonic() - began_s < GIVEN_UP_S, "it never stalled"
                time.sleep(0.7)
                there = watched.look()
            stalled_s = time.monotonic() - began_s
            for _ in range(3):
                if there:
                    time.sleep(0.7)
                    there = watched.look()
    assert watched.warned_s is not None, "it stalled without a warning"
    assert watched.warned_s - began_s < stalled_s - 1.0
    finding = judge(
        Window(
            silent=frozenset({Rung.CREATE}),
            answering=frozenset({Rung.TCP}),
            readings=watched.readings[-3:],
            threads=watched.threads[-3:],
        )
    )
    assert finding is not None
    assert finding.kind is FailureKind.MEMORY_WRITEBACK, finding.rule


class Watched:
    """What was seen of Janus and its recordings, second by second."""

    def __init__(self, lab: Lab, speed: float) -> None:
        self._process = ProcessWatch(lab.pid, lab.recordings)
        self._storage = StorageWatch(lab.recordings)
        self._pressure = PressureWatch(speed)
        self.warned_s: float | None = None
        self.readings: list[ServerRecord] = []
        self.threads: list[list[ThreadRecord]] = []

    def look(self) -> bool:
        """Whether the process is there."""
        seen = self._process.sample()
        self.readings.append(seen.server)
        if not seen.server.state:
            return False  # the kernel may kill it for memory instead: which of the two is chance
        if seen.threads is not None:
            self.threads.append(seen.threads.records())
        warning = self._pressure.look(seen.server, self._storage.sample())
        if warning is not None and self.warned_s is None:
            assert "in about" in warning
            self.warned_s = time.monotonic()
        return True
