from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from janusload.errors import MediaError
from janusload.media import messages, process, worker
from janusload.media.launch import launch


class Told:
    """The engine's end of the socket, spoken by hand."""

    def __init__(self) -> None:
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(10)
        self.process = launch(0, theirs.fileno(), public_targets=False, tick="python")
        theirs.close()
        self._decoder = messages.Decoder()
        self._said: list[dict[str, Any]] = []
        assert self.hear("hello")["pid"] == self.process.pid

    def ask(self, **message: Any) -> dict[str, Any]:
        self.sock.sendall(messages.encode({"ask": 1, **message}))
        return self._next(lambda each: each.get("ask") == 1)

    def hear(self, kind: str) -> dict[str, Any]:
        return self._next(lambda each: each.get("say") == kind)

    def _next(self, wanted: Any) -> dict[str, Any]:
        while True:
            for each in self._said:
                if wanted(each):
                    self._said.remove(each)
                    return each
            chunk = self.sock.recv(65536)
            assert chunk, "the worker hung up"
            self._said += self._decoder.feed(chunk)

    def end(self) -> int:
        return self.process.wait(10)


@contextmanager
def a_worker() -> Iterator[Told]:
    told = Told()
    yield told
    if told.process.poll() is None:
        told.process.kill()
    told.end()
    told.sock.close()


@pytest.fixture
def told() -> Iterator[Told]:
    with a_worker() as told:
        yield told


@pytest.fixture(scope="module")
def lasting() -> Iterator[Told]:
    """A worker that survives all that is done to it."""
    with a_worker() as told:
        yield told


MAKING = {"clip": "silence", "codec": "opus", "ptime_ms": 20, "impair": "", "hear": False, "route_to": "127.0.0.1"}


def offer(peer: int, **changes: Any) -> dict[str, Any]:
    return {"verb": "offer", "peer": peer, **MAKING, **changes}


def test_it_offers_reports_and_ends_when_told(told: Told) -> None:
    assert "m=audio" in told.ask(**offer(1))["result"]
    health = told.hear("health")
    assert health["cpu_percent"] >= 0 and health["rss_bytes"] > 10_000_000 and health["fds"] >= 5
    assert health["lag_p99_ms"] > 0
    told.sock.sendall(messages.encode({"verb": "stop"}))
    assert told.end() == 0


def test_it_ends_with_the_socket(told: Told) -> None:
    told.sock.close()
    assert told.end() == 0


def test_it_ends_on_a_frame_that_is_none(told: Told) -> None:
    told.sock.sendall(b"\xff" * 8)
    assert told.end() == 0


def test_interrupts_are_the_parents_business(lasting: Told) -> None:
    lasting.process.send_signal(signal.SIGINT)
    assert "result" in lasting.ask(**offer(100))


@pytest.mark.parametrize(
    ("changes", "phase", "words"),
    [
        ({"clip": "song"}, "media", "no clip 'song'"),
        ({"impair": "always"}, "media", "loss has no pattern"),
        ({"clip": "file:/nowhere"}, "media", "cannot be read"),
        ({"clip": f"file:{__file__}"}, "media", "cannot be read"),
        ({"codec": "g722"}, "media", "no codec 'g722'"),
        ({"ptime_ms": 30}, "media", "packets of 30 ms"),
        ({"route_to": "nowhere"}, "ice", "no route"),
    ],
)
def test_what_cannot_be_made_is_told(lasting: Told, changes: dict[str, Any], phase: str, words: str) -> None:
    answer = lasting.ask(**offer(1, **changes))
    assert answer["phase"] == phase and words in answer["reason"]
    assert "result" in lasting.ask(**offer(2))


def test_a_peer_that_it_does_not_know_is_told(lasting: Told) -> None:
    answer = lasting.ask(verb="accept", peer=9, sdp="", timeout_s=1)
    assert answer["phase"] == "media" and "no such peer" in answer["reason"]
    assert lasting.ask(verb="close", peer=9, silently=False)["result"] is None
    # no last numbers will tell that it has ended
    assert lasting.hear("gone")["peer"] == 9


def test_a_peer_that_is_closed_while_its_clip_is_encoded_never_comes_to_be(lasting: Told) -> None:
    held = len(os.listdir(f"/proc/{lasting.process.pid}/fd"))
    making = offer(70, clip="tone:1234", hear=True)
    lasting.sock.sendall(messages.encode({"ask": 70, **making}))
    lasting.sock.sendall(messages.encode({"verb": "close", "peer": 70, "silently": False}))
    assert lasting.hear("gone")["peer"] == 70
    answer = lasting._next(lambda each: each.get("ask") == 70)
    assert answer["phase"] == "media" and "closed before" in answer["reason"]
    assert "no such peer" in lasting.ask(verb="count", peer=70)["reason"]
    assert len(os.listdir(f"/proc/{lasting.process.pid}/fd")) == held


@pytest.mark.parametrize("message", [{"verb": "sing"}, {"verb": "offer", "peer": 3}, {"peer": 3}])
def test_an_ask_that_makes_no_sense_is_answered_and_survived(lasting: Told, message: dict[str, Any]) -> None:
    answer = lasting.ask(**message)
    assert answer["phase"] == "worker" and "KeyError" in answer["reason"]
    assert "result" in lasting.ask(**offer(4))


def test_too_many_open_files_are_told_and_survived(lasting: Told) -> None:
    held = len(os.listdir(f"/proc/{lasting.process.pid}/fd"))
    _, hard = resource.prlimit(lasting.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(lasting.process.pid, resource.RLIMIT_NOFILE, (held + 2, hard))
    answers = [lasting.ask(**offer(number)) for number in range(6)]
    failures = [each for each in answers if "phase" in each]
    assert failures and all(each["phase"] == "ice" for each in failures)
    # it goes on telling how it is, again and again
    since_ns, told_since = time.monotonic_ns(), 0
    while told_since < 2:
        health = lasting.hear("health")
        assert health["fds"] >= held and health["rss_bytes"] > 10_000_000
        told_since += health["t_ns"] > since_ns
    lasting.ask(verb="close", peer=0, silently=False)
    resource.prlimit(lasting.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
    assert "result" in lasting.ask(**offer(10))


def test_a_worker_whose_parent_is_another_does_not_start() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from janusload.media import process; process.die_with_parent(1 << 22)"],
        check=False,
        timeout=30,
    )
    assert done.returncode == 1


def test_where_it_may_not_go_first_it_goes_on_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refused)
    assert not process.take_real_time()


def test_it_imports_nothing_heavy_or_foreign() -> None:
    code = (
        "import sys, janusload.media.worker\n"
        "foreign = {'gevent', 'locust', 'pandas', 'pyarrow', 'scipy'} & set(sys.modules)\n"
        "assert not foreign, foreign"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_resident_memory_is_read() -> None:
    assert process.Memory().rss_bytes() > 1_000_000


def test_a_killed_parent_takes_it_along() -> None:
    code = (
        "import sys, time\n"
        "from janusload.media.engine import Engine\n"
        "engine = Engine(); engine.start(); print(engine.pids[0], flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait(5)
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{child}") and "State:\tZ" not in Path(f"/proc/{child}/status").read_text():
        assert time.monotonic() < deadline, "the worker outlives its parent"
        time.sleep(0.02)


def test_a_peer_that_could_not_be_made_is_not_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_route(route_to: str | None) -> list[str]:
        raise MediaError("no route", phase="ice")

    async def ask_for_two() -> int:
        made = worker.Worker(0, public_targets=False, tick="python")
        for number, verb in enumerate((made._offer, made._open)):
            with pytest.raises(MediaError, match="no route"):
                await verb({"peer": number, **MAKING, "hear": True})
        return len(made._listening._listeners)

    monkeypatch.setattr(worker.ice, "local_addresses", no_route)
    assert asyncio.run(ask_for_two()) == 0
