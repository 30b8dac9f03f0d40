"""The connection against a scripted server over a real socket."""

from __future__ import annotations

import socket
import threading
import time
import traceback
from collections.abc import Iterator

import gevent
import pytest

from janusload.errors import (
    ConnectFailed,
    ConnectionLost,
    CoreError,
    PluginError,
    TransactionTimeout,
    UsageError,
)
from janusload.janus.connection import Connection
from janusload.janus.plugins.audiobridge import AudioBridge
from janusload.janus.protocol import Fault, Transaction
from janusload.records import Outcome
from tests.fake_janus import DROP, ERROR, GARBAGE, SILENCE, FakeJanus
from tests.janus.waiting import wait_until


@pytest.fixture
def janus() -> Iterator[FakeJanus]:
    with FakeJanus() as server:
        yield server


def test_a_life_in_order(janus: FakeJanus) -> None:
    with Connection(janus.url) as connection:
        with connection.create() as session:
            bridge = session.attach(AudioBridge, opaque_id="talker-1")
            assert bridge.exists(1234)
            joined = bridge.join(1234, display="talker-1", muted=False)
            assert (joined.room, joined.id) == (1234, 1)
            bridge.configure(muted=True)
            bridge.leave()
            bridge.hangup()
            bridge.detach()
            session.destroy()
        assert not janus.sessions
    verbs = [r["janus"] for r in janus.requests]
    assert verbs == ["create", "attach", *["message"] * 4, "hangup", "detach", "destroy"]
    assert janus.requests[1]["opaque_id"] == "talker-1"
    assert janus.requests[3]["body"] == {"request": "join", "room": 1234, "display": "talker-1", "muted": False}


def test_leaving_the_block_destroys_the_session(janus: FakeJanus) -> None:
    with Connection(janus.url) as connection:
        with connection.create():
            assert len(janus.sessions) == 1
        wait_until(lambda: not janus.sessions)


def test_errors_keep_layer_plugin_and_code(janus: FakeJanus) -> None:
    with Connection(janus.url) as connection, connection.create() as session:
        bridge = session.attach(AudioBridge)
        with pytest.raises(PluginError) as refused:
            bridge.join(404)
        assert (refused.value.plugin, refused.value.code) == ("audiobridge", 485)
        with pytest.raises(CoreError) as unknown:
            connection.request("destroy", fields={"session_id": 1})
        assert unknown.value.code == 458


def test_late_session_is_destroyed_and_observed() -> None:
    def slow(request: dict[str, object]) -> float:
        return 0.25 if request["janus"] == "create" else 0.0

    seen: list[tuple[str, Outcome | None, bool]] = []

    def observe(transaction: Transaction, late: bool) -> None:
        seen.append((transaction.name, transaction.outcome, late))

    with FakeJanus(slow) as janus, Connection(janus.url, observer=observe) as connection:
        with pytest.raises(TransactionTimeout):
            connection.create(timeout_s=0.05)
        wait_until(lambda: ("janus.destroy", Outcome.OK, False) in seen)
        assert not janus.sessions
        assert seen == [
            ("ws.connect", Outcome.OK, False),
            ("janus.create", Outcome.API_TIMEOUT, False),
            ("janus.create", Outcome.API_TIMEOUT, True),
            ("janus.destroy", Outcome.OK, False),
        ]


def test_silence_times_out_and_the_connection_goes_on() -> None:
    with FakeJanus(lambda r: SILENCE if r["janus"] == "create" else 0.0) as janus, Connection(janus.url) as connection:
        began = time.monotonic()
        with pytest.raises(TransactionTimeout) as slow:
            connection.create(timeout_s=0.1)
        assert 0.1 <= time.monotonic() - began < 1.0
        assert slow.value.timeout_s == 0.1
        assert connection.ping()["janus"] == "pong"
        assert connection.ws_ping(1.0) < 1.0


def test_dropped_connection_ends_everything_with_the_cause() -> None:
    outcomes: list[tuple[str, Outcome | None]] = []
    script = {"ping": SILENCE, "create": DROP}
    with FakeJanus(lambda r: script.get(r["janus"], 0.0)) as janus:
        with Connection(janus.url, observer=lambda t, late: outcomes.append((t.name, t.outcome))) as connection:
            waiting = gevent.spawn(pytest.raises, ConnectionLost, connection.ping)
            gevent.sleep(0.05)
            with pytest.raises(ConnectionLost, match="closed"):
                connection.create()
            waiting.get(timeout=3)
            assert not connection.is_open
            with pytest.raises(ConnectionLost):
                connection.ping()
        assert outcomes[1:] == [
            ("janus.ping", Outcome.LOST_CONNECTION),
            ("janus.create", Outcome.LOST_CONNECTION),
            ("janus.ping", Outcome.DROPPED),
        ]


def test_what_fails_again_and_again_does_not_grow(janus: FakeJanus) -> None:
    connection = Connection(janus.url).open()
    connection.close()
    depths = []
    for ask in (connection.ping, lambda: connection.ws_ping(1.0)):
        for _ in range(5):
            with pytest.raises(ConnectionLost) as lost:
                ask()
            depths.append(len(traceback.extract_tb(lost.value.__traceback__)))
    assert max(depths) == depths[0]


def test_a_connect_that_is_given_up_is_an_attempt_all_the_same() -> None:
    seen: list[tuple[str, Outcome | None]] = []
    with listener() as server:
        url = f"ws://127.0.0.1:{server.getsockname()[1]}"
        connecting = gevent.spawn(Connection(url, observer=lambda t, late: seen.append((t.name, t.outcome))).open)
        gevent.sleep(0.05)
        connecting.kill()
    assert seen == [("ws.connect", Outcome.CUT)]


def test_garbage_is_a_fault_of_the_connection() -> None:
    faults: list[Fault] = []
    with FakeJanus(lambda r: GARBAGE if r["janus"] == "create" else 0.0) as janus:
        with Connection(janus.url, on_fault=faults.append) as connection:
            with pytest.raises(TransactionTimeout):
                connection.create(timeout_s=0.2)
            assert connection.ping()
        assert len(faults) == 1


def test_scripted_error() -> None:
    with FakeJanus(lambda r: ERROR if r["janus"] == "create" else 0.0) as janus, Connection(janus.url) as connection:
        with pytest.raises(CoreError) as refused:
            connection.create()
        assert refused.value.code == 490


def test_closing_cuts_what_is_pending() -> None:
    outcomes: list[Outcome | None] = []
    with FakeJanus(lambda r: SILENCE) as janus, Connection(janus.url) as connection:
        connection.submit("create", on_done=lambda t: outcomes.append(t.outcome))
    assert outcomes == [Outcome.CUT]


def test_parting_waits_for_answers_but_not_for_long() -> None:
    delays: dict[str, float | str] = {"destroy": 0.1, "ping": SILENCE}
    with FakeJanus(lambda request: delays.get(request["janus"], 0.0), reclaim=True) as janus:
        connection = Connection(janus.url).open()
        connection.create().close()
        connection.part()
        assert not connection.is_open and not janus.sessions
        connection.open()
        unanswered = connection.submit("ping")
        connection.part(0.1)
        assert not connection.is_open and unanswered.outcome is Outcome.CUT


def test_who_is_killed_while_parting_has_parted() -> None:
    with FakeJanus(lambda request: SILENCE if request["janus"] == "ping" else 0.0) as janus:
        connection = Connection(janus.url).open()
        unanswered = connection.submit("ping")
        parting = gevent.spawn(connection.part, 10)
        gevent.sleep(0.05)
        assert connection.is_open
        parting.kill()
        assert not connection.is_open and unanswered.outcome is Outcome.CUT


def test_keepalives_are_sent_while_idle(janus: FakeJanus) -> None:
    with Connection(janus.url) as connection, connection.create(keepalive_s=0.1):
        wait_until(lambda: sum(r["janus"] == "keepalive" for r in janus.requests) >= 3)


def test_events_reach_handle_and_session(janus: FakeJanus) -> None:
    with Connection(janus.url) as connection, connection.create() as session:
        handle = session.attach(AudioBridge)
        janus.say({"janus": "webrtcup", "session_id": session.id, "sender": handle.id})
        assert handle.webrtc_up.wait(3)
        janus.say({"janus": "hangup", "session_id": session.id, "sender": handle.id, "reason": "DTLS alert"})
        wait_until(lambda: handle.hung_up == "DTLS alert")
        janus.say({"janus": "timeout", "session_id": session.id})
        wait_until(lambda: session.ended is not None)
        assert handle.ended is session.ended


def test_no_socket_or_secret_is_left(janus: FakeJanus) -> None:
    connection = Connection(janus.url, api_secret="hush").open()
    with pytest.raises(CoreError) as refused:
        connection.request("destroy", fields={"session_id": 1})
    assert "hush" not in str(refused.value) + repr(refused.value)
    connection.close()
    connection.close()


def listener() -> socket.socket:
    server = socket.create_server(("127.0.0.1", 0))
    return server


def test_refused() -> None:
    with listener() as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectFailed, match="refused") as failed:
        Connection(f"ws://127.0.0.1:{port}").open()
    assert failed.value.phase == "tcp"


def test_tcp_open_but_silent() -> None:
    with listener() as server:
        with pytest.raises(ConnectFailed, match="TCP is open but nothing answered") as failed:
            Connection(f"ws://127.0.0.1:{server.getsockname()[1]}", connect_timeout_s=0.2).open()
        assert failed.value.phase == "ws_upgrade"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-x\r\n" * 3])
def test_tcp_open_but_no_websocket(answer: bytes) -> None:
    with listener() as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(4096)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ConnectFailed, match="no Janus WebSocket") as failed:
            Connection(f"ws://127.0.0.1:{server.getsockname()[1]}", connect_timeout_s=2).open()
        thread.join()
        assert failed.value.phase == "ws_upgrade"


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1:8188", "ws://", "ws://127.0.0.1:99999"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UsageError, match="ws://HOST:PORT"):
        Connection(url)


def test_public_addresses_need_a_word() -> None:
    with pytest.raises(UsageError, match="--allow-public"):
        Connection("ws://192.88.99.1:1", connect_timeout_s=0.1).open()
