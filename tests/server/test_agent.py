"""The agent and those who listen to it: what goes over, who may ask, and what happens when it lies or goes away."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusload.errors import JanusloadError, SurroundingsError, UsageError
from janusload.lab import Lab
from janusload.log_categories import LogCategory
from janusload.records import LogRecord, Rung, ServerRecord, ThreadRecord
from janusload.server.agent import AgentServer, Sampler
from janusload.server.log import FileSource, LogWatch
from janusload.server.metrics import Metrics
from janusload.server.process import Observation
from janusload.server.remote import AgentWatch, Refused
from janusload.server.threads import ThreadTable
from janusload.server.watch import LocalWatch, Look
from janusload.server.wire import Nonsense, decode, encode
from janusload.stall_watch import StallWatch

TOKEN = "a-token-that-nobody-guesses"


def wait_until(condition: Callable[[], object], within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


@contextmanager
def agent(
    pid: int,
    log: Path | None = None,
    *,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    recordings: Path | None = None,
) -> Iterator[AgentServer]:
    watch = LocalWatch(lambda: pid, None if log is None else LogWatch(FileSource(log, from_start=True)), recordings)
    sampler = Sampler(watch, recordings)
    server = AgentServer(("127.0.0.1", port), sampler, TOKEN, tls)
    sampler.start()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        sampler.stop()


def url(server: AgentServer, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{server.server_address[1]}"


def get(server: AgentServer, path: str, token: str | None = TOKEN, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", int(server.server_address[1]), timeout=5)
    connection.request(method, path, headers={} if token is None else {"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


@pytest.mark.lab
def test_a_real_janus_seen_through_an_agent(lab: Lab) -> None:
    with agent(lab.pid, lab.log_path) as server:
        watch = AgentWatch(url(server), TOKEN)
        looks: list[Look] = []
        wait_until(lambda: looks.append(watch.look()) or any(look.seen for look in looks))
        seen = next(look.seen for look in looks if look.seen is not None)
        assert seen.server.state == "S" and seen.server.threads and seen.server.fds and seen.server.udp_drops == 0
        assert abs(seen.server.t_ns - time.monotonic_ns()) < 5e9
        assert seen.threads is not None and any(each.kind == "ws thread" for each in seen.threads.records())
        evidence = watch.remote_evidence()
        assert "Max open files" in evidence["agent-limits.txt"] and "ws thread" in evidence["agent-threads.txt"]
        assert watch.facts()["agent"]["pid"] == lab.pid and watch.facts()["trouble"] == {}
        watch.close()
        status, metrics = get(server, "/metrics")
    text = metrics.decode()
    assert status == 200 and "janus_up 1.0" in text and "janus_udp_drops_total 0.0" in text
    assert 'janus_threads_by{kind="ws thread"' in text and "janus_log_lines_total" in text
    assert TOKEN not in text


def test_only_those_who_know_the_token_are_answered() -> None:
    with agent(os.getpid()) as server:
        for path in ("/metrics", "/v1/stream", "/v1/evidence", "/nothing"):
            for token in (None, "", "wrong", TOKEN[:-1], TOKEN + "x", "\xe9" * 20):
                status, body = get(server, path, token)
                assert status == 401 and b"janus_" not in body
        assert get(server, "/nothing")[0] == 404
        assert get(server, "/metrics", method="POST")[0] == 501, "it only reads"
        with pytest.raises(Refused, match="JANUSLOAD_AGENT_TOKEN"):
            AgentWatch(url(server), "wrong-token-wrong-token")
        assert b"janusload_agent_refused_total 25.0" in get(server, "/metrics")[1]


def test_a_short_token_is_no_token() -> None:
    sampler = Sampler(LocalWatch(None, None))
    with pytest.raises(JanusloadError):
        AgentServer(("127.0.0.1", 0), sampler, "short")


def test_tls(tmp_path: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=agent"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with agent(os.getpid(), tls=context) as server:
        trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        watch = AgentWatch(url(server, "https"), TOKEN, tls=trusting)
        wait_until(lambda: watch.look().seen)
        watch.close()
        for bad in (url(server, "https"), url(server, "http")):
            with pytest.raises(SurroundingsError):
                AgentWatch(bad, TOKEN)


def test_an_agent_that_goes_away_and_comes_back() -> None:
    notes: list[str] = []
    with agent(os.getpid()) as server:
        port = int(server.server_address[1])
        watch = AgentWatch(url(server), TOKEN)
        wait_until(lambda: watch.look().seen)
        server.sampler.stop()
        wait_until(lambda: notes.extend(watch.look().notes) or any("went away" in each for each in notes))
        assert watch.look().seen is None
    with agent(os.getpid(), port=port):
        wait_until(lambda: notes.extend(watch.look().notes) or "the agent is back" in notes)
        wait_until(lambda: watch.look().seen)
    watch.close()
    assert watch.facts()["trouble"]["lost"] >= 1


@contextmanager
def scripted(*answers: bytes, hold_s: float = 0.0) -> Iterator[str]:
    """Something that answers every connection with the same bytes, piece by piece."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                try:
                    for answer in answers:
                        connection.sendall(answer)
                    stop.wait(hold_s)
                except OSError:
                    continue

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        listener.close()


OK = b"HTTP/1.0 200 OK\r\n\r\n"
HELLO = b'{"agent": "x", "version": 1, "facts": {"pid": 1}}\n'


@pytest.mark.parametrize(
    "answers",
    [(b"",), (b"garbage\r\n\r\n",), (OK, b"no json\n"), (OK, b'{"version": 99}\n'), (OK, b"[]\n"), (OK,)],
)
def test_what_is_no_agent_is_said_to_be_none(answers: tuple[bytes, ...]) -> None:
    with scripted(*answers) as where, pytest.raises(SurroundingsError, match=where):
        AgentWatch(where, TOKEN)


def test_lies_are_counted_and_left_out_and_silence_is_noticed() -> None:
    good = encode(1, Look(observation(), [], [])).encode() + b"\n"
    lies = [
        b"not json\n",
        b'{"server": {"state": "S", "cpu_percent": -5}, "log": {}}\n',
        b'{"server": {"state": "Q"}, "log": {}}\n',
        b'{"server": {"state": "S", "threads": "many"}, "log": {}}\n',
        b'{"server": {"state": "S", "rss_bytes": 1e400}, "log": {}}\n',
        b'{"log": {"ice_failed": -1}}\n',
        b'{"server": {"state": "S"}, "threads": [["hloop", "S", "", 0]], "log": {}}\n',
        b'{"server": {"state": "S", "fds": 1%s}, "log": {}}\n' % (b"0" * 400),
        b'{"server": {"state": "S"}, "threads": [["hloop", "S", "lock 0x1", 2]], "log": {}}\n',
        b"[" * 100_000 + b"\n",
    ]
    notes: list[str] = []
    with scripted(OK, HELLO, *lies, good, hold_s=6.0) as where:
        watch = AgentWatch(where, TOKEN)
        looks: list[Look] = []
        wait_until(lambda: looks.append(watch.look()) or looks[-1].seen)
        notes += [note for look in looks for note in look.notes]
        assert watch.counts["nonsense"] == len(lies)
        assert sum("nonsense" in note for note in notes) <= 1
        wait_until(lambda: notes.extend(watch.look().notes) or any("said nothing" in each for each in notes))
        watch.close()


def observation() -> Observation:
    groups = [ThreadRecord(0, "hloop", "S", "lock 0x7f00 libjanus_audiobridge.so", 3)]
    server = ServerRecord(5, 12.5, 0.25, 1000, 600, 400, 30, 40, "S", fds_limit=1024, cgroup_limit_bytes=7)
    return Observation(server, ThreadTable(5, [], False, groups))


def test_a_look_comes_over_whole_with_our_own_clock() -> None:
    look = Look(observation(), [LogRecord(5, LogCategory.ICE_FAILED, 4)], ["a \x1b[31mnote"])
    found = decode(encode(7, look).encode(), 99)
    assert found.seen is not None and found.seen.threads is not None and look.seen is not None
    assert found.seen.server == look.seen.server._replace(t_ns=99)
    assert found.seen.threads.records() == [ThreadRecord(99, "hloop", "S", "lock 0x7f00 libjanus_audiobridge.so", 3)]
    assert found.log == [LogRecord(99, LogCategory.ICE_FAILED, 4)]
    assert "\x1b" not in found.notes[0]


def test_looks_that_were_not_asked_for_in_time_are_not_lost() -> None:
    lines = [encode(number, Look(observation(), [], [])).encode() + b"\n" for number in range(3)]
    with scripted(OK, HELLO, *lines, hold_s=3.0) as where:
        watch = AgentWatch(where, TOKEN)
        wait_until(lambda: watch._looks.qsize() == 3)
        look = watch.look()
        watch.close()
    assert look.seen is not None and len(look.before) == 2
    moments = [each.server.t_ns for each in look.observations]
    assert moments == sorted(moments) and sum(isinstance(each, ServerRecord) for each in look.records()) == 3


def test_what_a_newer_agent_adds_is_passed_over() -> None:
    message = json.loads(encode(7, Look(observation(), [], [])))
    message["server"]["of_the_future"] = "x"
    message["log"]["of_the_future"] = 3
    found = decode(json.dumps(message).encode(), 1)
    assert found.log == [LogRecord(1, LogCategory.OTHER, 3)]
    with pytest.raises(Nonsense):
        decode(b'"text"', 1)


WAITS = st.sampled_from(["", "lock 0x7f libjanus_audiobridge.so", "lock 0x7f", "lock ", "disk", "disk x", "frozen"])
ODD = st.one_of(st.none(), st.booleans(), st.floats(), st.just(10**400), st.text(max_size=5))
NUMBERS = st.one_of(st.integers(0, 2000), st.integers(0, 2000), ODD)
GROUPS = st.lists(st.tuples(st.just("hloop"), st.sampled_from("SDRT"), WAITS, st.integers(1, 9)), max_size=3)
MESSAGES = st.fixed_dictionaries(
    {"log": st.dictionaries(st.sampled_from(["emfile", "other", "x"]), st.integers(0, 2), max_size=1)},
    optional={
        "server": st.fixed_dictionaries(
            {"state": st.sampled_from(["S", "D", "T", "", "Q"])},
            optional=dict.fromkeys(("cpu_percent", "fds", "fds_limit", "cgroup_bytes", "cgroup_limit_bytes"), NUMBERS),
        ),
        "threads": st.one_of(GROUPS, GROUPS, ODD),
    },
)


@given(st.lists(MESSAGES, min_size=2, max_size=5))
def test_whatever_an_agent_says_is_nonsense_or_can_be_judged(messages: list[dict[str, object]]) -> None:
    watch = StallWatch()
    for rung in Rung:
        watch.notice(rung, 0, 1, "answered")
    for second, message in enumerate(messages, 1):
        for rung in Rung:
            watch.notice(rung, second * 10**9, second * 10**9 + 750_000_000, "overdue")
        try:
            look = decode(json.dumps(message).encode(), second * 10**9 + 800_000_000)
        except Nonsense:
            continue
        if look.seen is not None:
            threads = look.seen.threads
            watch.look(look.seen.server, None if threads is None else threads.records(), look.log)
        watch.stall = watch.judge(second * 10**9 + 900_000_000)


@pytest.mark.parametrize("where", ["ws://x", "http://", "http://user@127.0.0.1", "http://127.0.0.1:x", "nonsense"])
def test_addresses_that_make_no_sense(where: str) -> None:
    with pytest.raises(UsageError):
        AgentWatch(where, TOKEN)


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "janusload", "agent", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environment},
    )


def test_the_command_refuses_what_would_be_unsafe(tmp_path: Path) -> None:
    mine = str(os.getpid())
    assert "16 characters" in command("--janus", mine, JANUSLOAD_AGENT_TOKEN="short").stderr
    done = command("--janus", mine, "--listen", "0.0.0.0:0", JANUSLOAD_AGENT_TOKEN=TOKEN)
    assert done.returncode == 2 and "TLS" in done.stderr
    done = command("--janus", "999999999", "--listen", "127.0.0.1:0", JANUSLOAD_AGENT_TOKEN=TOKEN)
    assert done.returncode == 1 and "no process" in done.stderr
    assert "Traceback" not in done.stderr


def test_those_who_know_no_token_take_no_more_than_their_share() -> None:
    # of other agents some may still wait for who is gone
    others = set(threading.enumerate())

    def serving() -> int:
        return sum("process_request_thread" in thread.name for thread in {*threading.enumerate()} - others)

    with agent(os.getpid(), None) as server, ExitStack() as stack:
        for _ in range(80):
            # a head that is never finished
            idle = stack.enter_context(socket.create_connection(server.server_address[:2], timeout=5))
            with contextlib.suppress(OSError):
                idle.sendall(b"GET / HTTP/1.1\r\n")
        wait_until(lambda: serving() == 32)
        time.sleep(0.3)
        assert serving() == 32
        stack.close()
        wait_until(lambda: serving() == 0)
        assert get(server, "/metrics")[0] == 200


def test_drops_of_sockets_that_are_gone_are_still_counted() -> None:
    metrics = Metrics(SimpleNamespace(process=None))  # type: ignore[arg-type]
    assert b"janus_udp_drops" not in metrics.text(), "nobody knows yet"
    exported = []
    for drops in (5, 100, 40, 70):
        server = ServerRecord(0, 1.0, None, None, None, None, 3, 4, "S", udp_drops=drops)
        metrics.take(Look(Observation(server, None), [], []))
        exported.append(float(re.findall(r"^janus_udp_drops_total (.*)$", metrics.text().decode(), re.MULTILINE)[0]))
    assert exported == [0, 95, 95, 125]
