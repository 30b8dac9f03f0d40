"""`janusload run --agent` with a real agent process beside a real Janus: what it sees, and what its troubles cost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import gevent
import pytest

from janusload import exit_codes
from janusload.lab import Lab
from janusload.records import MarkerKind
from tests.server.stalls import fifo_stall
from tests.watched_runs import QUIET, TOKEN, AgentProcess, WatchedRun, beside

pytestmark = pytest.mark.lab


def of_janus(lab: Lab) -> list[str]:
    return ["--janus", str(lab.pid), "--log", str(lab.log_path), "--recordings", str(lab.recordings)]


def test_what_is_stuck_is_named_by_what_the_agent_sees(tmp_path: Path) -> None:
    agents: list[AgentProcess] = []
    stuck_ns = 0

    def seen(lab: Lab) -> list[str]:
        agents.append(AgentProcess(*of_janus(lab)))
        return ["--agent", agents[-1].url]

    def happen(lab: Lab) -> None:
        nonlocal stuck_ns
        lab.signal(signal.SIGSTOP)
        gevent.sleep(4.5)
        lab.signal(signal.SIGCONT)
        gevent.sleep(4.0)
        with fifo_stall(lab, api_secret=lab.api_secret) as stall:
            stuck_ns = time.monotonic_ns()
            stall.plugin()
            gevent.sleep(5.0)

    try:
        run = WatchedRun(tmp_path, happen, 19, seen=seen)
    finally:
        assert [agent.end() for agent in agents] == [exit_codes.PASSED]
    # what it sees is up to a second old
    assert run.named_after_s("process_frozen", run.begun_ns) <= 4.0
    assert run.named_after_s("plugin_stuck", stuck_ns) <= 4.0
    frozen, stuck = run.labels(MarkerKind.STALL)
    assert "was stopped (state T" in frozen
    assert "threads wait for the lock 0x" in stuck or "1 in the opening of a file" in stuck, stuck
    assert len(run.labels(MarkerKind.STALL_END)) == 2
    bundle = run.bundle("plugin_stuck")
    assert "lock 0x" in bundle["agent-threads.txt"]
    assert "Max open files" in bundle["agent-limits.txt"] and "Creating new session" in bundle["agent-log-tail.txt"]
    readme = bundle["README.md"]
    assert re.search(r"\| 0x[0-9a-f]+ \| (heap|libjanus_audiobridge\.so) \| \d+ \|", readme), readme
    assert len(readme.partition("Last lines")[2].splitlines()) > 10, readme
    assert "on another machine" in bundle["backtrace.txt"] and "limits.txt" not in bundle, "nothing is read here"
    server = run.frames["server"]
    assert server["cpu_percent"].notna().sum() > 10 and server["fds"].notna().sum() > 10
    assert len(run.frames["thread"]) and len(run.frames["log"])
    assert run.holds(run.secret) == [] and run.holds(TOKEN) == []


def test_an_agent_that_is_slow_wrong_or_gone_costs_its_eyes_alone(tmp_path: Path) -> None:
    agents: list[AgentProcess] = []
    frozen_ns = 0

    def seen(lab: Lab) -> list[str]:
        agents.append(AgentProcess(*of_janus(lab)))
        return ["--agent", agents[-1].url]

    def happen(lab: Lab) -> None:
        nonlocal frozen_ns
        (first,) = agents
        first.signal(signal.SIGSTOP)
        gevent.sleep(3.5)
        first.signal(signal.SIGCONT)
        gevent.sleep(1.0)
        first.signal(signal.SIGKILL)
        with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as another:
            another.send_signal(signal.SIGSTOP)
            # told to look at another process, which stands still
            agents.append(AgentProcess("--janus", str(another.pid), port=first.port))
            gevent.sleep(6.0)
            another.kill()
        gevent.sleep(2.5)
        agents[-1].signal(signal.SIGKILL)
        frozen_ns = time.monotonic_ns()
        lab.signal(signal.SIGSTOP)
        gevent.sleep(9.5)
        lab.signal(signal.SIGCONT)

    try:
        run = WatchedRun(tmp_path, happen, 36, seen=seen)
    finally:
        for agent in agents:
            agent.end()
    notes = run.labels(MarkerKind.NOTE)
    for words in ("the agent has said nothing for", "the agent went away", "the agent is back", "is not believed"):
        assert any(words in note for note in notes), (words, notes)
    # by the ladder alone, which takes five seconds in which nothing was answered
    named, *others = run.labels(MarkerKind.STALL)
    assert not others, [named, *others]
    assert named.startswith("process_frozen") and run.named_after_s("process_frozen", frozen_ns) <= 8.5
    assert "had no evidence" in run.bundle("process_frozen")["agent.txt"]
    assert run.summary["failure"]["kind"] == "process_frozen", run.summary["failure"]


def test_a_wrong_token_is_said_before_any_load(lab: Lab, tmp_path: Path) -> None:
    scenario = tmp_path / "quiet.toml"
    scenario.write_text(QUIET.format(run_time=3))
    agent = AgentProcess(*of_janus(lab))
    try:
        command = [sys.executable, "-m", "janusload", "run", str(scenario), "--host", lab.url, "--agent", agent.url]
        command += ["--out", str(tmp_path / "run")]
        wrong = {**os.environ, "JANUSLOAD_AGENT_TOKEN": "another-token-altogether"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=wrong, timeout=60)
        assert done.returncode == exit_codes.ERROR and not (tmp_path / "run").exists()
        assert "refuses our token" in done.stdout + done.stderr and "Traceback" not in done.stderr
        both = subprocess.run([*command, *beside(lab)], capture_output=True, text=True, check=False, timeout=60)
        assert both.returncode == exit_codes.USAGE
    finally:
        agent.end()
