"""Each fault of the lab, on both versions: in force inside its block, and gone after it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import websocket

from janusload.errors import LabError, UsageError
from janusload.lab import Lab, LabOptions, faults
from janusload.lab.commands import which

pytestmark = pytest.mark.lab

AUDIOBRIDGE = "janus.plugin.audiobridge"


class Client:
    """One WebSocket and one session; what is not answered within the time given is None."""

    def __init__(self, lab: Lab) -> None:
        self._websocket = websocket.create_connection(lab.url, subprotocols=["janus-protocol"], timeout=3)
        self._ids: dict[str, int] = {}
        self._ids = {"session_id": self.ask("create")["data"]["id"]}

    def ask(self, verb: str, *, final: bool = True, within_s: float = 3.0, **fields: Any) -> Any:
        transaction = os.urandom(4).hex()
        ids = {} if verb in ("ping", "create") else self._ids
        self._websocket.send(json.dumps({"janus": verb, "transaction": transaction, **ids, **fields}))
        deadline = time.monotonic() + within_s
        while (left_s := deadline - time.monotonic()) > 0:
            self._websocket.settimeout(left_s)
            with suppress(websocket.WebSocketTimeoutException):
                answer = json.loads(self._websocket.recv())
                if answer.get("transaction") == transaction and not (final and answer["janus"] == "ack"):
                    return answer
        return None

    def attach(self, plugin: str = AUDIOBRIDGE) -> int:
        return int(self.ask("attach", plugin=plugin)["data"]["id"])

    def pings(self) -> bool:
        """Whether the WebSocket itself answers."""
        self._websocket.settimeout(1)
        self._websocket.ping()
        opcode, _ = self._websocket.recv_data(control_frame=True)
        return bool(opcode == websocket.ABNF.OPCODE_PONG)

    def close(self) -> None:
        self._websocket.close()


@contextmanager
def client(lab: Lab) -> Iterator[Client]:
    client = Client(lab)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture(scope="module", params=["janus", "1.4.1"])
def victim(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab that may be killed; healthy again after each test."""
    options = LabOptions(janus=request.param, recordings_disk_bytes=8 << 20)
    with Lab(options, tmp_path_factory.mktemp("victim") / "janus.log") as lab:
        yield lab


@pytest.fixture(autouse=True)
def healthy_before_and_after(victim: Lab) -> Iterator[None]:
    assert victim.admin().ping()
    pid = victim.pid
    yield
    with client(victim) as janus:
        assert janus.ask("ping")["janus"] == "pong"
        assert janus.attach()
    # whoever is still the same has its limits and its groups back
    if victim.pid == pid:
        assert "janusload-" not in Path(f"/proc/{pid}/cgroup").read_text()


def test_freeze(victim: Lab) -> None:
    with client(victim) as janus:
        with faults.freeze(victim):
            assert janus.ask("ping", within_s=0.3) is None
        assert janus.ask("ping")["janus"] == "pong"


@pytest.mark.parametrize(("fault", "number"), [(faults.kill, signal.SIGKILL), (faults.crash, signal.SIGSEGV)])
def test_the_process_dies_and_is_started_anew(victim: Lab, fault: Any, number: int) -> None:
    pid = victim.pid
    with fault(victim):
        assert victim.returncode == -number
    assert victim.alive() and victim.pid != pid


def test_a_stuck_handler_acknowledges_and_does_nothing(victim: Lab) -> None:
    with client(victim) as janus:
        handle = janus.attach()
        with faults.handler_stall(victim):
            join = {"handle_id": handle, "body": {"request": "join", "room": 1}}
            assert janus.ask("message", final=False, **join)["janus"] == "ack"
            assert janus.ask("message", within_s=0.3, **join) is None
            assert janus.ask("message", handle_id=handle, body={"request": "list"})["janus"] == "success"
        assert janus.ask("message", **join)["janus"] == "event"


def test_a_stuck_plugin_acknowledges_nothing_and_leaves_the_core_alone(victim: Lab) -> None:
    with client(victim) as janus:
        handle = janus.attach()
        exists = {"handle_id": handle, "body": {"request": "exists", "room": 1}}
        with faults.plugin_stall(victim):
            assert janus.ask("message", final=False, within_s=0.3, **exists) is None
            assert janus.ask("ping")["janus"] == "pong"
            assert janus.attach("janus.plugin.echotest")
        assert janus.ask("message", **exists)["janus"] == "success"


def test_a_total_stall_leaves_websocket_pings_only(victim: Lab) -> None:
    with client(victim) as janus:
        with faults.total_stall(victim):
            assert janus.ask("ping", within_s=0.3) is None
            assert not victim.admin().ping(timeout_s=0.3)
            assert janus.pings()
        assert janus.ask("ping")["janus"] == "pong"


def test_cpu_and_memory_are_limited_while_it_runs(victim: Lab) -> None:
    with faults.cpu(victim, percent=5), client(victim) as janus:
        for _ in range(300):
            janus.ask("ping")
        assert "janusload-" in Path(f"/proc/{victim.pid}/cgroup").read_text()
    with faults.memory(victim):
        assert victim.admin().ping()


def test_few_threads(victim: Lab) -> None:
    with client(victim) as janus:
        with faults.few_threads(victim, more=1):
            answers = [janus.ask("attach", plugin="janus.plugin.echotest") for _ in range(6)]
            assert any(answer is not None and answer["janus"] == "error" for answer in answers)
        assert janus.attach()


def test_few_fds_end_the_process(victim: Lab) -> None:
    with faults.few_fds(victim, more=2), client(victim) as janus:
        with suppress(websocket.WebSocketException, OSError, TypeError):
            for _ in range(10):
                janus.ask("attach", plugin="janus.plugin.echotest", within_s=1)
        deadline = time.monotonic() + 3
        while victim.alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert victim.returncode in (-signal.SIGTRAP, -signal.SIGABRT)


def test_few_ports(victim: Lab) -> None:
    sockets = Path(f"/proc/{victim.pid}/net/udp")
    before = len(sockets.read_text().splitlines())
    with faults.few_ports(victim, left=3):
        assert len(sockets.read_text().splitlines()) == before + 1000 - 3
    assert len(sockets.read_text().splitlines()) == before


def test_sessions_refused(victim: Lab) -> None:
    with client(victim) as janus, faults.refuse_sessions(victim):
        answer = janus.ask("create")
        assert (answer["janus"], answer["error"]["code"]) == ("error", 472)


def test_the_disk_is_full(victim: Lab) -> None:
    target = victim.recordings / "new"
    with faults.disk_full(victim), pytest.raises(OSError, match="No space left"):
        target.write_bytes(b"x" * 5000)
    target.write_bytes(b"x" * 5000)
    target.unlink()


def test_the_disk_is_frozen(victim: Lab) -> None:
    with client(victim) as janus:
        handle = janus.attach()
        room = janus.ask(
            "message", handle_id=handle, body={"request": "create", "mjrs_dir": str(victim.recordings), "mjrs": True}
        )["plugindata"]["data"]["room"]
        join = {"handle_id": handle, "body": {"request": "join", "room": room, "filename": "frozen"}}
        with faults.disk_frozen(victim):
            assert janus.ask("message", within_s=0.3, **join) is None
            states = {
                Path(task, "stat").read_text().rpartition(")")[2].split()[0]
                for task in Path(f"/proc/{victim.pid}/task").iterdir()
            }
            assert "D" in states
        janus.ask("message", handle_id=handle, body={"request": "destroy", "room": room})


def test_the_disk_is_slow(victim: Lab) -> None:
    with faults.disk_slow(victim, bytes_per_s=500_000):
        descriptor = os.open(victim.recordings / "slow", os.O_WRONLY | os.O_CREAT)
        began = time.monotonic()
        os.write(descriptor, bytes(400_000))
        os.fsync(descriptor)
        os.close(descriptor)
        assert time.monotonic() - began > 0.5
    (victim.recordings / "slow").unlink()


def test_the_path_is_cut(victim: Lab) -> None:
    with client(victim) as janus:
        with faults.path_cut(victim):
            assert janus.ask("ping", within_s=0.3) is None
        # TCP sends again what was lost
        assert janus.ask("ping", within_s=5)["janus"] == "pong"


def test_the_path_is_narrow(victim: Lab) -> None:
    with faults.path_narrow(victim, kbit_per_s=100):
        began = time.monotonic()
        victim.admin().ask("ping", padding="x" * 6000)
        assert time.monotonic() - began > 0.1


@pytest.mark.parametrize("fault", [faults.path_loss, faults.path_delay])
def test_what_the_kernel_lacks_is_said(victim: Lab, fault: Any) -> None:
    began = time.monotonic()
    try:
        with fault(victim):
            assert all(victim.admin().ping() or True for _ in range(3))
            assert fault is faults.path_loss or time.monotonic() - began > 0.2
    except LabError as error:
        assert "this kernel has no sch_netem; let the senders lose packets instead" in str(error)


def test_a_lab_without_a_disk_says_so(lab: Lab) -> None:
    for fault in (faults.disk_full, faults.disk_frozen, faults.disk_slow):
        with pytest.raises(LabError, match=r"start it with one \(--recordings-disk"), fault(lab):
            pass


def test_faults_have_names() -> None:
    assert faults.named("freeze").inject is faults.freeze
    with pytest.raises(UsageError, match=r"no fault 'fire'; there are: freeze, kill"):
        faults.named("fire")
    assert which("tc")
