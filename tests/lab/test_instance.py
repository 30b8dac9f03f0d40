from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import websocket

from janusload.errors import LabError
from janusload.lab import Lab, LabOptions
from tests.lab.traces import traces, traces_after

pytestmark = pytest.mark.lab

#: A program that opens a lab with limits, says where it is, and waits to be killed.
OWNER = """
import json, sys, time
from pathlib import Path
from janusload.lab import Lab, LabOptions
with Lab(LabOptions(cpu_percent=50, memory_bytes=256 << 20), Path(sys.argv[1])) as lab:
    print(json.dumps([lab.pid, lab.address]), flush=True)
    time.sleep(60)
"""

#: A program that interrupts itself with SIGINT at its N-th line inside janusload/lab, and says how far it got.
INTERRUPTED = """
import signal, sys
from pathlib import Path
from janusload.lab import Lab, LabOptions
left = int(sys.argv[2])
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell has started the tests with `&`
def trace(frame, event, argument):
    global left
    if "janusload/lab/" not in frame.f_code.co_filename:
        return None
    if event == "line":
        left -= 1
        if left == 0:
            signal.raise_signal(signal.SIGINT)
    return trace
sys.settrace(trace)
try:
    with Lab(LabOptions(cpu_percent=50, memory_bytes=256 << 20), Path(sys.argv[1])) as lab:
        pass
except KeyboardInterrupt:
    print("interrupted")
else:
    print("through")
"""


def own_traces() -> set[str]:
    """Traces of this process's labs; the shared lab of the session is among them."""
    return {line for line in traces(os.getpid()) if not line.startswith("process ")}


def call(lab: Lab, **request: object) -> dict[str, object]:
    connection = websocket.create_connection(lab.url, subprotocols=["janus-protocol"], timeout=3)
    try:
        connection.send(json.dumps({"transaction": "t", **request}))
        answer = json.loads(connection.recv())
        assert isinstance(answer, dict)
        return answer
    finally:
        connection.close()


def test_janus_answers_under_its_own_address_with_its_own_secret(tmp_path: Path) -> None:
    before = own_traces()
    with Lab(LabOptions(api_secret=True, session_timeout_s=17), tmp_path / "log") as lab:
        assert lab.alive()
        assert lab.returncode is None
        assert lab.url == f"ws://{lab.address}:8188"
        info = call(lab, janus="info")
        assert info["session-timeout"] == 17
        assert info["api_secret"] is True
        assert call(lab, janus="create")["error"]["code"] == 403  # type: ignore[index]
        assert call(lab, janus="create", apisecret=lab.api_secret)["janus"] == "success"
        facts = lab.facts()
        assert facts["janus"]
        assert "janus.plugin.audiobridge" in facts["plugins"]
        said = json.dumps(facts) + (tmp_path / "log").read_text()
        said += Path(f"/proc/{lab.pid}/cmdline").read_text() + Path(f"/proc/{lab.pid}/environ").read_text()
        assert lab.admin_secret not in said
        assert lab.api_secret is not None
        assert lab.api_secret not in said
        pid = lab.pid
    assert not os.path.exists(f"/proc/{pid}")
    assert own_traces() == before


def test_sessions_are_counted(lab: Lab) -> None:
    count = lab.sessions()
    assert count is not None
    connection = websocket.create_connection(lab.url, subprotocols=["janus-protocol"], timeout=3)
    connection.send('{"janus": "create", "transaction": "t"}')
    connection.recv()
    assert lab.sessions() == count + 1
    connection.close()


def test_restart_is_another_janus_at_the_same_place(tmp_path: Path) -> None:
    with Lab(LabOptions(), tmp_path / "log") as lab:
        pid, url = lab.pid, lab.url
        lab.signal(signal.SIGKILL)
        deadline = time.monotonic() + 3
        while lab.alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lab.returncode == -signal.SIGKILL
        assert lab.sessions() is None
        lab.restart()
        assert lab.alive()
        assert (lab.pid != pid, lab.url) == (True, url)
        assert call(lab, janus="ping")["janus"] == "pong"
        # a client is connected while Janus goes: the port must still be there for the next one
        with socket.create_connection((lab.address, 8188)):
            lab.restart()
        assert lab.alive()


def test_limits_hold_the_janus_process(tmp_path: Path) -> None:
    before = own_traces()
    with Lab(LabOptions(cpu_percent=30, memory_bytes=200 << 20, open_files=512), tmp_path / "log") as lab:
        assert lab.cgroup is not None
        assert all(str(lab.pid) in procs.read_text().split() for procs in lab.cgroup.procs)
        assert lab.cgroup.cpu_stat is not None
        assert "nr_throttled" in lab.cgroup.cpu_stat.read_text()
        limits = Path(f"/proc/{lab.pid}/limits").read_text()
        assert [line.split()[3] for line in limits.splitlines() if line.startswith("Max open files")] == ["512"]
        assert Path(f"/proc/{lab.pid}/coredump_filter").read_text().strip("0\n") == ""
        assert lab.facts()["cpu_percent"] == 30
    assert own_traces() == before


def test_a_stopped_janus_is_closed_too(tmp_path: Path) -> None:
    before = own_traces()
    with Lab(LabOptions(), tmp_path / "log") as lab:
        lab.signal(signal.SIGSTOP)
        began = time.monotonic()
    assert time.monotonic() - began < 4
    lab.close()
    assert own_traces() == before


def test_a_janus_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "lib/janus/transports").mkdir(parents=True)
    janus = prefix / "bin/janus"
    janus.write_text("#!/bin/sh\necho 'no good port'\nexit 5\n")
    janus.chmod(0o755)
    before = own_traces()
    with (
        pytest.raises(LabError, match=r"Janus ended at once \(exit status 5\): no good port"),
        Lab(LabOptions(janus=str(janus)), tmp_path / "log"),
    ):
        pass
    assert own_traces() == before


def test_outside_its_block_the_lab_says_so(tmp_path: Path) -> None:
    lab = Lab(LabOptions(), tmp_path / "log")
    assert not lab.alive()
    with pytest.raises(LabError, match="not set up"):
        lab.url  # noqa: B018 - reading it is what is tested


def test_a_killed_owner_takes_everything_with_it(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    with owner:
        assert owner.stdout is not None
        pid, address = json.loads(owner.stdout.readline())
        with socket.create_connection((address, 8188), timeout=1):
            owner.kill()
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not os.path.exists(f"/proc/{pid}")
    # The namespace and the veth pair go by themselves; folder and groups go with the next lab, whoever starts it.
    with Lab(LabOptions(cpu_percent=50), tmp_path / "log2"):
        assert traces_after(owner.pid, 5.0) == []


@pytest.mark.parametrize("line", [2, 60, 130, 220, 300, 420, 700, 1100, 1600, 2400])
def test_an_interruption_at_any_line_leaves_nothing(tmp_path: Path, line: int) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "log"), str(line)]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said, errors = owner.communicate(timeout=30)
    assert (said, errors) == ("interrupted\n", "")
    assert traces_after(owner.pid, 3.0) == []
