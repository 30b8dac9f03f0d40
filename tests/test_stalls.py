"""`janusload run` against a real Janus that is brought to a standstill meanwhile: named in time, with evidence."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import gevent
import pytest

from janusload.lab import Lab
from janusload.records import Rung
from tests.server.stalls import fifo_stall
from tests.watched_runs import WatchedRun


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

    run = WatchedRun(tmp_path, happen, 16)
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
    assert run.holds(run.secret) == []
    probe = run.frames["probe"]
    for rung in Rung:
        assert (probe["ok"] & (probe["rung"] == rung)).sum() >= 3, rung


@pytest.mark.lab
def test_a_stopped_process_is_frozen_and_goes_on(tmp_path: Path) -> None:
    def happen(lab: Lab) -> None:
        lab.signal(signal.SIGSTOP)
        gevent.sleep(5.0)
        lab.signal(signal.SIGCONT)

    run = WatchedRun(tmp_path, happen, 13, "--no-backtrace")
    assert run.named_after_s("process_frozen", run.begun_ns) <= 3.0
    failure = run.summary["failure"]
    assert failure["kind"] == "process_frozen" and 3 < failure["lasted_s"] < 8, failure
    assert "told not to take any" in run.bundle("process_frozen")["backtrace.txt"]


@pytest.mark.lab
def test_a_crash_is_one(tmp_path: Path) -> None:
    run = WatchedRun(tmp_path, lambda lab: lab.signal(signal.SIGSEGV), 12)
    assert run.named_after_s("crashed", run.begun_ns) <= 3.0
    assert run.summary["failure"]["kind"] == "crashed"
    assert "the process is gone" in run.bundle("crashed")["backtrace.txt"]
