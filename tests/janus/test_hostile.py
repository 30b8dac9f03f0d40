"""Servers that say nothing, stop, dribble, flood, never read, close in every state: bounded cost, the right error."""

from __future__ import annotations

import json
import socket
import threading
import time
import tracemalloc

import gevent
import pytest

from janusload.errors import (
    AnswerOverdue,
    ConnectFailed,
    ConnectionLost,
    JanusError,
    SendBlocked,
    ServerSilent,
    TransactionTimeout,
)
from janusload.janus import frames
from janusload.janus.connection import Connection
from janusload.janus.link import MAX_WAITING_BYTES
from janusload.janus.protocol import Transaction
from janusload.janus.websocket import MAX_MESSAGE_BYTES
from janusload.records import Outcome
from tests.fake_janus import SILENCE, FakeJanus
from tests.janus.hostile import (
    Behaviour,
    HostileServer,
    acceptance,
    read_request,
    read_short_frames,
    resets,
    sends,
    upgraded,
)
from tests.janus.waiting import wait_until
from tests.janus.wire import frame, text

# -- slow or stuck, told apart by type --------------------------------------------------------------------------------


def test_a_server_that_says_nothing_at_all_is_silent() -> None:
    with HostileServer(upgraded(sends())) as server, Connection(server.url) as connection:
        with pytest.raises(ServerSilent):
            connection.ping(timeout_s=0.1)
        assert connection.is_open


def test_a_server_that_stops_within_a_frame_is_silent() -> None:
    whole = text('{"janus":"pong","transaction":"1"}')
    with (
        HostileServer(upgraded(sends(whole[:20]))) as server,
        Connection(server.url) as connection,
        pytest.raises(ServerSilent),
    ):
        connection.ping(timeout_s=0.1)


def test_a_session_whose_websocket_ends_right_behind_the_answer_is_known_to_be_over() -> None:
    def answer_and_close(client: socket.socket) -> None:
        request = json.loads(read_short_frames(client, 1)[0])
        answer = {"janus": "success", "transaction": request["transaction"], "data": {"id": 5}}
        client.sendall(text(json.dumps(answer)) + frame(frames.CLOSE, b"\x03\xe9"))

    with HostileServer(upgraded(answer_and_close)) as server, Connection(server.url) as connection:
        session = connection.create()
        assert isinstance(session.ended, ConnectionLost) and not connection.sessions


def test_a_server_that_answers_others_is_overdue_not_silent() -> None:
    with FakeJanus(lambda r: SILENCE if r["janus"] == "create" else 0.0) as janus, Connection(janus.url) as connection:
        stuck = gevent.spawn(connection.create, timeout_s=0.3)
        gevent.sleep(0.05)
        connection.ping()
        with pytest.raises(AnswerOverdue):
            stuck.get()


def test_a_server_of_one_byte_at_a_time_is_slow_and_its_answer_comes_late() -> None:
    ended: list[tuple[str, bool]] = []

    def dribble(client: socket.socket) -> None:
        request = json.loads(read_short_frames(client, 2)[1])
        answer = {"janus": "success", "transaction": request["transaction"], "data": {"id": 5}}
        for byte in text(json.dumps(answer)):
            client.sendall(bytes([byte]))
            time.sleep(0.003)
        sends()(client)

    with (
        HostileServer(upgraded(dribble)) as server,
        Connection(server.url, observer=lambda t, late: ended.append((t.name, late))) as connection,
    ):
        connection.submit("ping", timeout_s=0.01)
        gevent.sleep(0.05)
        with pytest.raises(TransactionTimeout):
            connection.create(timeout_s=0.05)
        wait_until(lambda: ("janus.create", True) in ended)
        assert ended[:4] == [
            ("ws.connect", False), ("janus.ping", False), ("janus.create", False), ("janus.create", True)
        ]  # fmt: skip


# -- closes in every state --------------------------------------------------------------------------------------------


def after_request(then: Behaviour) -> Behaviour:
    def behave(client: socket.socket) -> None:
        request = read_request(client)
        client.recv(0)
        then(client)
        del request

    return behave


@pytest.mark.parametrize(
    "behaviour",
    [
        lambda client: None,
        resets,
        after_request(lambda client: None),
        after_request(resets),
        after_request(lambda client: client.sendall(b"HTTP/1.1 101 Swit")),
        after_request(lambda client: client.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n")),
        after_request(lambda client: client.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")),
        after_request(lambda client: client.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 999\r\n\r\nno")),
        after_request(lambda client: client.sendall(b"\xff" * 100_000)),
        after_request(lambda client: client.sendall(b"x: y\r\n" * 20_000)),
    ],
)
def test_closed_while_connecting(behaviour: Behaviour) -> None:
    with HostileServer(behaviour) as server, pytest.raises(ConnectFailed) as failed:
        Connection(server.url, connect_timeout_s=5).open()
    # a reset may come before this side has noticed that TCP was up
    assert failed.value.phase in (("tcp", "ws_upgrade") if behaviour is resets else ("ws_upgrade",))


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (lambda client: None, "without a closing handshake|reset"),
        (resets, "reset"),
        (lambda client: client.sendall(text('{"janus":"pong"')[:9]), "without a closing handshake|reset"),
        (lambda client: client.sendall(frame(frames.TEXT, b"x", final=False)), "without a closing handshake|reset"),
        (sends(frame(frames.CLOSE, b"\x03\xe9going")), "code 1001"),
        (sends(frame(frames.CLOSE)), "code 1005"),
        (sends(frame(3)), "unknown opcode"),
        (sends(frame(frames.CONT, b"x")), "continuation"),
        (sends(b"\x81\x7f\x00\x00\x00\xff\x00\x00\x00\x00"), f"more than {MAX_MESSAGE_BYTES} bytes"),
    ],
)
def test_closed_while_open(behaviour: Behaviour, words: str) -> None:
    ended: list[Transaction] = []

    def after_two_requests(client: socket.socket) -> None:
        read_short_frames(client, 2)
        behaviour(client)

    with HostileServer(upgraded(after_two_requests)) as server, Connection(server.url) as connection:
        connection.submit("ping", on_done=ended.append)
        connection.submit("info", on_done=ended.append)
        wait_until(lambda: len(ended) == 2)
        assert not connection.is_open
        assert [t.outcome for t in ended] == [Outcome.LOST_CONNECTION] * 2
        for transaction in ended:
            with pytest.raises(ConnectionLost, match=words):
                raise transaction.error or AssertionError
        with pytest.raises(ConnectionLost, match=words):
            connection.ping()


# -- dribbles and floods ----------------------------------------------------------------------------------------------


def test_one_byte_at_a_time_while_connecting_meets_the_one_deadline() -> None:
    def dribble(client: socket.socket) -> None:
        for byte in acceptance(read_request(client)):
            client.sendall(bytes([byte]))
            time.sleep(0.02)

    began = time.monotonic()
    with HostileServer(dribble) as server, pytest.raises(ConnectFailed, match="nothing answered") as failed:
        Connection(server.url, connect_timeout_s=0.3).open()
    assert failed.value.phase == "ws_upgrade" and time.monotonic() - began < 3


def test_frames_behind_the_upgrade_in_the_same_packet_are_read() -> None:
    def eager(client: socket.socket) -> None:
        client.sendall(acceptance(read_request(client)) + frame(frames.CLOSE, b"\x03\xe9"))
        sends()(client)

    with HostileServer(eager) as server:
        connection = Connection(server.url).open()
        wait_until(lambda: not connection.is_open)


def test_a_flood_of_events_costs_no_memory_and_starves_nobody() -> None:
    event = text('{"janus":"media","session_id":7,"sender":8,"type":"audio","receiving":true}') * 200

    def flood(client: socket.socket) -> None:
        client.recv(1)
        for _ in range(150):
            client.sendall(event)
        sends()(client)

    heard = 0

    def count(_: object) -> None:
        nonlocal heard
        heard += 1

    with FakeJanus() as janus, HostileServer(upgraded(flood)) as server, Connection(janus.url) as calm:
        tracemalloc.start()
        try:
            with Connection(server.url) as connection:
                connection._session(7, 0).on_event = count
                connection.submit("ping")
                deadline = time.monotonic() + 20
                while heard < 30_000 and time.monotonic() < deadline:
                    calm.ping(timeout_s=5.0)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert heard == 30_000
    assert peak < 4_000_000


def test_a_flood_of_pings_from_one_who_reads_nothing_costs_no_memory() -> None:
    pings = frame(frames.PING, b"x" * 125) * 500

    def flood(client: socket.socket) -> None:
        for _ in range(100):
            client.sendall(pings)
        server.stop.wait(5)

    server = HostileServer(upgraded(flood), receive_bytes=4096)
    with server, Connection(server.url) as connection:
        waiting = connection._socket
        assert waiting is not None
        gevent.sleep(0.5)
        assert waiting.waiting_bytes < 10_000
        assert connection.is_open


def test_endless_fragments_end_at_the_limit() -> None:
    part = frame(frames.CONT, b"x" * 1_000_000, final=False)

    def endless(client: socket.socket) -> None:
        client.sendall(frame(frames.TEXT, b"", final=False))
        while True:
            client.sendall(part)

    with (
        HostileServer(upgraded(endless)) as server,
        Connection(server.url) as connection,
        pytest.raises(ConnectionLost, match="more than"),
    ):
        connection.ping(timeout_s=20)


# -- never reads ------------------------------------------------------------------------------------------------------


def test_a_server_that_never_reads_costs_bounded_memory_and_is_no_timeout() -> None:
    def never_reads(client: socket.socket) -> None:
        server.stop.wait(10)

    server = HostileServer(upgraded(never_reads), receive_bytes=4096)
    with server:
        connection = Connection(server.url).open()
        waiting = connection._socket
        assert waiting is not None
        big = {"body": "x" * 100_000}
        sent = [connection.submit("message", fields=big, timeout_s=0.3) for _ in range(200)]
        assert waiting.waiting_bytes <= MAX_WAITING_BYTES + 200_000
        refused = [t for t in sent if t.outcome is not None]
        assert refused and all(isinstance(t.error, SendBlocked) for t in refused)
        wait_until(lambda: all(t.outcome is not None for t in sent))
        # what was never written timed out at nobody: it was dropped; what was written got no answer
        for transaction in sent:
            written = transaction.sent_ns is not None
            assert transaction.outcome is (Outcome.API_TIMEOUT if written else Outcome.DROPPED)
            assert isinstance(transaction.error, ServerSilent if written else SendBlocked)
        assert waiting.waiting_bytes < 200_000
        began = time.monotonic()
        connection.close()
        assert time.monotonic() - began < 1.0


def test_what_waited_is_written_when_the_server_reads_again() -> None:
    go = threading.Event()

    def reads_later(client: socket.socket) -> None:
        go.wait(5)
        sends()(client)

    with HostileServer(upgraded(reads_later), receive_bytes=4096) as server, Connection(server.url) as connection:
        big = {"body": "x" * 300_000}
        sent = [connection.submit("message", fields=big, timeout_s=9)]
        while sent[-1].sent_ns is not None:  # until the kernel takes no more
            sent.append(connection.submit("message", fields=big, timeout_s=9))
        sent.append(connection.submit("message", fields=big, timeout_s=9))
        gevent.sleep(0.1)
        assert sent[-1].sent_ns is None
        go.set()
        wait_until(lambda: all(t.sent_ns is not None for t in sent))
        moments = [t.sent_ns for t in sent if t.sent_ns is not None]
        assert moments == sorted(moments)
        assert moments[-1] - sent[-1].due_ns > 100_000_000
    assert all(t.outcome is Outcome.CUT for t in sent)


# -- our own side -----------------------------------------------------------------------------------------------------


def test_a_callback_that_raises_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("somebody else's bug")

    with FakeJanus() as janus, Connection(janus.url, observer=broken, on_fault=broken) as connection:
        connection.submit("ping", on_done=broken)
        assert connection.ping()["janus"] == "pong"
    assert "somebody else's bug" in capsys.readouterr().err


def test_whoever_is_killed_while_waiting_leaves_no_session_behind() -> None:
    with FakeJanus(lambda r: 0.2 if r["janus"] == "create" else 0.0) as janus, Connection(janus.url) as connection:
        waiting = gevent.spawn(connection.create)
        gevent.sleep(0.05)
        waiting.kill()
        wait_until(lambda: any(r["janus"] == "destroy" for r in janus.requests))
        wait_until(lambda: not janus.sessions)


def test_a_lost_connection_tells_each_that_waits_once() -> None:
    def leaves(client: socket.socket) -> None:
        for _ in range(3):
            client.recv(200)
            time.sleep(0.02)

    errors: list[JanusError] = []

    def ask(connection: Connection) -> None:
        try:
            connection.ping()
        except JanusError as error:
            errors.append(error)

    with HostileServer(upgraded(leaves)) as server, Connection(server.url) as connection:
        gevent.joinall([gevent.spawn(ask, connection) for _ in range(20)])
    assert len(errors) == 20 and len(set(map(id, errors))) == 1
