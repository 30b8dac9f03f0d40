"""`janusload run` against a real Janus that is brought to a standstill meanwhile: named in time, with evidence."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

from janusload.analysis.frames import read_frames
from janusload.lab import Lab, LabOptions
from janusload.records import MarkerKind, Rung
from janusload.run_folder import RunFolder
from tests.server.stalls import fifo_stall

ROOT = Path(__file__).parent.parent

QUIET = """
schema = 1
name = "quiet"
asks = "Does it stay?"
run_time = "{run_time} s"
[rooms]
count = 1
[[users]]
name = "talker"
count = 1
[probes]
deadline = "2 s"
"""


class Watched:
    """A run against a lab of its own, seen from the same machine; `happen` is called once all rungs are asked."""

    def __init__(self, tmp_path: Path, happen: Callable[[Lab], object], run_time_s: int, *options: str) -> None:
        scenario = tmp_path / "quiet.toml"
        scenario.write_text(QUIET.format(run_time=run_time_s))
        self.folder = tmp_path / "run"
        log = tmp_path / "janus.log"
        with Lab(LabOptions(api_secret=True), log) as lab:
            command = [sys.executable, "-m", "janusload", "run", str(scenario), "--host", lab.url]
            command += ["--janus-process", str(lab.pid), "--janus-log", str(log), "--out", str(self.folder), *options]
            assert lab.api_secret is not None
            self.secret = lab.api_secret
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=ROOT,
                env={"PATH": "/usr/bin:/bin:/usr/sbin", "JANUS_API_SECRET": self.secret},
            )
            try:
                self._until_talking(process)
                self.begun_ns = time.monotonic_ns()
                happen(lab)
                while process.poll() is None:
                    gevent.sleep(0.1)
                assert process.stdout is not None
                self.output = process.stdout.read()
            finally:
                process.kill()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()
        self.summary: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        self.frames = read_frames(RunFolder.open(self.folder))

    def _until_talking(self, process: subprocess.Popen[str]) -> None:
        records = self.folder / "records" / "media-load.arrows"
        deadline = time.monotonic() + 60
        while not records.exists():
            assert process.poll() is None and time.monotonic() < deadline
            gevent.sleep(0.1)
        gevent.sleep(2.5)

    def named_after_s(self, kind: str, begun_ns: int) -> float:
        """From the true beginning until the marker was written."""
        marker = self.frames["marker"]
        rows = marker[(marker["kind"] == MarkerKind.STALL) & marker["label"].astype(str).str.startswith(kind)]
        assert len(rows), (kind, self.output)
        return float(rows["t_ns"].iloc[0] - begun_ns) / 1e9

    def bundle(self, kind: str) -> dict[str, str]:
        (path,) = (self.folder / "evidence").glob(f"*-{kind}.tar.gz")
        with tarfile.open(path) as archive:
            return {
                Path(entry.name).name: archive.extractfile(entry).read().decode()  # type: ignore[union-attr]
                for entry in archive.getmembers()
                if entry.isfile()
            }


@pytest.mark.lab
def test_a_plugin_that_takes_the_core_with_it_is_named_twice_and_its_release_is_seen(tmp_path: Path) -> None:
    moments: dict[str, int] = {}

    def happen(lab: Lab) -> None:
        with fifo_stall(lab, api_secret=lab.api_secret) as stall:
            moments["plugin"] = time.monotonic_ns()
            stall.plugin()
            gevent.sleep(4.5)
            moments["core"] = time.monotonic_ns()
            stall.core()
            gevent.sleep(5.0)

    run = Watched(tmp_path, happen, 16)
    assert run.named_after_s("plugin_stuck", moments["plugin"]) <= 3.2
    assert run.named_after_s("core_stuck", moments["core"]) <= 4.2  # a debugger may look at it just then
    failure = run.summary["failure"]
    assert failure["kind"] == "core_stuck" and failure["plugin"] == "audiobridge", failure
    assert "libjanus_audiobridge.so" in failure["rule"] and 0 < failure["lasted_s"] < 20 and failure["evidence"]
    assert "Plugin stuck" in run.output and "Over after" in run.output
    plugin = run.bundle("plugin_stuck")
    assert "libjanus_audiobridge.so" in plugin["threads.txt"] and "open wait_for_partner" in plugin["threads.txt"]
    assert "janus_audiobridge" in plugin["backtrace.txt"] or "janus" in plugin["backtrace.txt"]
    assert "audiobridge_sync\toverdue" in plugin["ladder.tsv"]
    assert plugin["README.md"].startswith("# Janus 1.1.2: plugin stuck") and "PR 3387" in plugin["README.md"]
    assert "Max open files" in plugin["limits.txt"] and "Creating new session" in plugin["log-tail.txt"]
    for path in run.folder.rglob("*"):
        if path.is_file():
            assert run.secret.encode() not in path.read_bytes(), path
    probe = run.frames["probe"]
    for rung in Rung:
        assert (probe["ok"] & (probe["rung"] == rung)).sum() >= 3, rung


@pytest.mark.lab
def test_a_stopped_process_is_frozen_and_goes_on(tmp_path: Path) -> None:
    def happen(lab: Lab) -> None:
        lab.signal(signal.SIGSTOP)
        gevent.sleep(5.0)
        lab.signal(signal.SIGCONT)

    run = Watched(tmp_path, happen, 13, "--no-backtrace")
    assert run.named_after_s("process_frozen", run.begun_ns) <= 3.0
    failure = run.summary["failure"]
    assert failure["kind"] == "process_frozen" and 3 < failure["lasted_s"] < 8, failure
    assert "told not to take any" in run.bundle("process_frozen")["backtrace.txt"]


@pytest.mark.lab
def test_a_crash_is_one(tmp_path: Path) -> None:
    run = Watched(tmp_path, lambda lab: lab.signal(signal.SIGSEGV), 12)
    assert run.named_after_s("crashed", run.begun_ns) <= 3.0
    assert run.summary["failure"]["kind"] == "crashed"
    assert "the process is gone" in run.bundle("crashed")["backtrace.txt"]
