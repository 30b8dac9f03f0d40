"""Backtraces: of a real process, never near threads in state D, and never for longer than they are given."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from janusload.lab import Lab
from janusload.server import backtrace
from janusload.server.backtrace import backtraces, states


@pytest.mark.lab
def test_a_real_janus_says_where_its_threads_stand(lab: Lab) -> None:
    found = backtraces(lab.pid)
    if found.startswith("$"):
        assert "#0" in found and "janus" in found
    else:
        assert "neither eu-stack nor gdb" in found or ":" in found
    assert set(states(lab.pid)) <= set("SRD"), "it goes on afterwards"


def test_not_near_threads_in_state_d(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtrace, "states", lambda pid: "SSDSD")
    monkeypatch.setattr(backtrace, "_run", lambda *_: pytest.fail("a debugger was started"))
    assert "2 threads are in state D" in backtraces(os.getpid())


def test_a_process_that_is_gone() -> None:
    assert "is gone" in backtraces(999_999_999)


def test_a_debugger_that_hangs_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("eu-stack", "gdb"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/pids\nsleep 60 &\nwait\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline()  # it no longer waits for the disk
        found = backtraces(process.pid, within_s=0.3)
        process.kill()
    assert time.monotonic() - began < 5 and found.count("longer than") == 2
    pids = (tmp_path / "pids").read_text().split()
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() - began < 10, "its children go on"
        time.sleep(0.05)  # an orphan is reaped by init when that comes to it
