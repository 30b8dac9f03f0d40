"""Backtraces: of a real process, never near threads in state D, and never for longer than they are given."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from janusload.lab import Lab
from janusload.server import backtrace
from janusload.server.backtrace import backtraces, stacks, states


def only(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has no other debugger."""
    assert shutil.which(program) is not None, f"{program} is missing: janusload lab install --tests"
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name in {"eu-stack", "gdb"} - {program} else which(name))


@pytest.mark.lab
@pytest.mark.parametrize("program", ["eu-stack", "gdb"])
def test_a_real_janus_says_where_its_threads_stand(
    each_lab: Lab, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(program, monkeypatch)
    found = backtraces(each_lab.pid)
    assert found.startswith("$") and program in found.splitlines()[0], found[:500]
    threads = len(states(each_lab.pid))
    assert found.count("#0 ") >= threads - 3, "threads come and go"
    # names that Janus and its plugins export are there without debug symbols
    assert re.search(r"\bjanus_\w+", found) and "poll" in found, found[:2000]
    assert set(states(each_lab.pid)) <= set("SRD"), "it goes on afterwards"
    by_thread = stacks(found)
    assert by_thread.keys() & set(map(int, os.listdir(f"/proc/{each_lab.pid}/task")))
    assert any("poll" in frame for frames in by_thread.values() for frame in frames), by_thread


def test_stacks_of_either_debugger() -> None:
    eu_stack = (
        "PID 7 - process\nTID 7:\n#0  0x00007f9e625b3aec pselect\n#1  0x0000562736\nTID 8:\n#0  0x00007f g_usleep@@X\n"
    )
    gdb = 'Thread 2 (Thread 0x7f1 (LWP 8) "hloop 1"):\n#0  0x00007f in g_usleep () from /x.so\n#1  0x00005 in ?? ()\n\n'
    gdb += 'Thread 1 (LWP 7 "janus"):\n#0  0x00007f in pselect () from /x.so\n#1  main (argc=1) at x.c:3\n'
    assert stacks(eu_stack) == {7: ["pselect", "??"], 8: ["g_usleep"]}
    assert stacks(gdb) == {8: ["g_usleep", "??"], 7: ["pselect", "main"]}


def test_a_stack_deeper_than_asked_for_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """eu-stack then ends with status 1."""
    only("eu-stack", monkeypatch)
    deep = "import time\ndef down(n): time.sleep(60) if n == 0 else max([n], key=lambda n: down(n - 1))\n"
    with subprocess.Popen(
        [sys.executable, "-c", f"{deep}print(flush=True); down(50)"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(0.1)
        found = backtraces(process.pid)
        process.kill()
    assert found.startswith("$") and "#23 " in found, found


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
