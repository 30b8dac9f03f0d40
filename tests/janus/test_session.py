"""Sessions and handles against a scripted server: verbs as they go over the wire, events, claiming, keeping alive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from janusload.errors import ConnectionLost, CoreError, TransactionTimeout, UsageError
from janusload.janus import session as sessions
from janusload.janus.connection import Connection
from janusload.janus.events import Detached, Hangup, Media, PluginEvent, SessionTimeout, Trickle, WebrtcUp
from janusload.janus.handle import Handle, Reply
from janusload.janus.plugins.audiobridge import AudioBridge
from tests.fake_janus import ERROR, SILENCE, FakeJanus
from tests.janus.waiting import wait_until


@pytest.fixture
def janus() -> Iterator[FakeJanus]:
    with FakeJanus() as server:
        yield server


def sent(janus: FakeJanus, verb: str) -> list[dict[str, Any]]:
    """The requests of this verb, without what is the same in all."""
    return [
        {key: value for key, value in request.items() if key not in ("janus", "transaction", "session_id", "handle_id")}
        for request in janus.requests
        if request["janus"] == verb
    ]


# -- verbs ------------------------------------------------------------------------------------------------------------


def test_every_verb_as_it_goes_over_the_wire(janus: FakeJanus) -> None:
    candidate = {"candidate": "candidate:1 1 udp 1 10.0.0.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0}
    with Connection(janus.url, token="t0ken") as connection, connection.create(session_id=2**53 - 1) as session:
        assert session.id == 2**53 - 1
        handle = session.attach(AudioBridge, opaque_id="me", loop_index=1)
        handle.trickle(candidate)
        handle.trickle([candidate, candidate])
        handle.trickle(None)
        session.keepalive()
        handle.hangup()
        handle.detach()
        session.destroy()
    auth = {"token": "t0ken"}
    assert sent(janus, "create") == [{"id": 2**53 - 1, **auth}]
    assert sent(janus, "attach") == [{"plugin": "janus.plugin.audiobridge", "opaque_id": "me", "loop_index": 1, **auth}]
    assert sent(janus, "trickle") == [
        {"candidate": candidate, **auth},
        {"candidates": [candidate, candidate], **auth},
        {"candidate": {"completed": True}, **auth},
    ]
    for verb in ("keepalive", "hangup", "detach", "destroy"):
        assert sent(janus, verb) == [auth]
    for request in janus.requests:
        assert ("handle_id" in request) == (request["janus"] in ("trickle", "hangup", "detach"))


def test_an_id_that_is_taken(janus: FakeJanus) -> None:
    with Connection(janus.url) as connection, connection.create(session_id=77):
        with pytest.raises(CoreError) as taken:
            connection.create(session_id=77)
        assert taken.value.code == 468


def test_a_handle_without_a_facade(janus: FakeJanus) -> None:
    names: list[str] = []
    with (
        Connection(janus.url, observer=lambda t, late: names.append(t.name)) as connection,
        connection.create() as session,
    ):
        handle = session.attach("janus.plugin.echotest")
        assert type(handle) is Handle and (handle.package, handle.short) == ("janus.plugin.echotest", "echotest")
        assert isinstance(handle.message({"request": "join", "room": 1}, jsep={"type": "offer", "sdp": "v=0"}), Reply)
        handle.message({"audio": True}, name="start")
        done = []
        handle.submit({"request": "exists", "room": 1}, on_done=done.append)
        wait_until(lambda: done)
    assert names[3:6] == ["echotest.join", "echotest.start", "echotest.exists"]
    assert janus.requests[2]["jsep"] == {"type": "offer", "sdp": "v=0"}


def test_many_sessions_on_one_connection(janus: FakeJanus) -> None:
    with Connection(janus.url) as connection:
        made = [connection.create() for _ in range(20)]
        assert set(connection.sessions) == janus.sessions == {session.id for session in made}
        for session in made[:10]:
            session.destroy()
        assert set(connection.sessions) == janus.sessions == {session.id for session in made[10:]}


# -- events -----------------------------------------------------------------------------------------------------------


def test_typed_callbacks_reach_the_right_handle_only(janus: FakeJanus) -> None:
    heard: list[tuple[str, Any]] = []
    with Connection(janus.url) as connection, connection.create() as session:
        one, two = session.attach(AudioBridge), session.attach(AudioBridge)
        one.on(Media, lambda event: heard.append(("media", (event.media, event.receiving))))
        one.on(Hangup, lambda event: heard.append(("hangup", event.reason)))
        one.on(PluginEvent, lambda event: heard.append(("event", event.data)))
        one.on(Trickle, lambda event: heard.append(("trickle", event.completed)))
        two.on(WebrtcUp, lambda event: heard.append(("up", event.handle_id)))
        session.on(Detached, lambda event: heard.append(("detached", event.handle_id)))
        session.on(SessionTimeout, lambda event: heard.append(("timeout", event.message["janus"])))
        for message in (
            {"janus": "media", "sender": one.id, "type": "audio", "receiving": True},
            {"janus": "webrtcup", "sender": two.id},
            {"janus": "event", "sender": one.id, "plugindata": {"plugin": "p", "data": {"audiobridge": "event"}}},
            {"janus": "trickle", "sender": one.id, "candidate": {"completed": True}},
            {"janus": "hangup", "sender": one.id, "reason": "DTLS alert"},
            {"janus": "detached", "sender": one.id},
            {"janus": "hangup", "sender": one.id, "reason": "nobody listens any more"},
        ):
            janus.say({**message, "session_id": session.id})
        wait_until(lambda: len(heard) == 7 - 1)
        assert one.ended is not None and list(session.handles) == [two.id] and two.ended is None
        assert two.webrtc_up.is_set() and one.hung_up == "DTLS alert"
        janus.say({"janus": "timeout", "session_id": session.id})
        wait_until(lambda: session.ended is not None)
        assert connection.is_open and two.ended is session.ended
    assert heard == [
        ("media", ("audio", True)),
        ("up", two.id),
        ("event", {"audiobridge": "event"}),
        ("trickle", True),
        ("hangup", "DTLS alert"),
        ("detached", one.id),
        ("timeout", "timeout"),
    ]


# -- late answers and claiming ----------------------------------------------------------------------------------------


def test_a_handle_that_came_late_is_detached() -> None:
    with FakeJanus(lambda r: 0.2 if r["janus"] == "attach" else 0.0) as janus, Connection(janus.url) as connection:
        session = connection.create()
        with pytest.raises(TransactionTimeout):
            session.attach(AudioBridge, timeout_s=0.05)
        wait_until(lambda: sent(janus, "detach"))
        assert not session.handles
        session.destroy()


def test_reconnect_and_claim_are_explicit_and_keep_the_handles() -> None:
    with FakeJanus(reclaim=True) as janus:
        connection = Connection(janus.url).open()
        session = connection.create()
        handle = session.attach(AudioBridge)
        connection.close()
        with pytest.raises(ConnectionLost):
            handle.exists(1)
        assert session.ended is not None and handle.ended is not None
        connection.reconnect()
        assert session.ended is not None and not sent(janus, "claim"), "nothing is claimed by itself"
        assert session.claim() is session
        assert session.ended is None and handle.ended is None and handle.exists(1)
        with Connection(janus.url) as other:
            session.claim(other)
            assert session.connection is other and not connection.sessions and other.sessions == {session.id: session}
            assert handle.exists(1)
            stranger = connection.claim(session.id)
            assert stranger.id == session.id
            with pytest.raises(CoreError) as unknown:
                connection.claim(5)
            assert unknown.value.code == 458
            stranger.destroy()
        connection.close()


# -- keeping alive ----------------------------------------------------------------------------------------------------


def test_the_servers_session_timeout_decides_and_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_ASK_AFTER_S", 0.05)
    with FakeJanus(session_timeout_s=1) as janus, Connection(janus.url) as connection:
        made = [connection.create() for _ in range(5)]
        wait_until(lambda: len(sent(janus, "keepalive")) >= 10)
        assert connection.session_timeout_s == 1
        first = len(sent(janus, "info"))
        assert 1 <= first <= 5
        made.append(connection.create())
        gevent.sleep(0.2)
        assert len(sent(janus, "info")) == first
        with pytest.raises(UsageError, match="too seldom"):
            connection.create(keepalive_s=0.6)
        counts = {
            s.id: sum(r["janus"] == "keepalive" and r["session_id"] == s.id for r in janus.requests) for s in made
        }
        assert all(counts[s.id] for s in made[:5])


def test_a_server_that_does_not_say_is_asked_again_and_kept_alive_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_ASK_AFTER_S", 0.01)
    monkeypatch.setattr(sessions, "_ASK_AGAIN_S", 0.02)
    with FakeJanus(lambda r: ERROR if r["janus"] == "info" else 0.0) as janus, Connection(janus.url) as connection:
        connection.create()
        wait_until(lambda: len(sent(janus, "info")) >= 3 and len(sent(janus, "keepalive")) >= 2)
        connection.create(keepalive_s=0)


def test_no_session_timeout_means_no_keepalive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_ASK_AFTER_S", 0.01)
    with FakeJanus(session_timeout_s=0) as janus, Connection(janus.url) as connection:
        connection.create()
        wait_until(lambda: connection.session_timeout_s == 0)
        gevent.sleep(0.1)
        assert not sent(janus, "keepalive")


def test_a_keepalive_that_finds_no_session_ends_it(janus: FakeJanus) -> None:
    with Connection(janus.url) as connection:
        session = connection.create(keepalive_s=0.05)
        janus.sessions.clear()
        wait_until(lambda: session.ended is not None)
        assert "does not know" in str(session.ended) and not connection.sessions


def test_a_session_that_ends_while_the_server_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_ASK_AFTER_S", 0.01)
    with FakeJanus(lambda r: 0.1 if r["janus"] == "info" else 0.0) as janus, Connection(janus.url) as connection:
        session = connection.create()
        wait_until(lambda: sent(janus, "info"))
        session.destroy()
        wait_until(lambda: connection.session_timeout_s is not None)
        gevent.sleep(0.05)
        assert not sent(janus, "keepalive")


def test_keepalives_that_get_no_answer_go_on(janus: FakeJanus) -> None:
    janus.script = lambda request: SILENCE if request["janus"] == "keepalive" else 0.0
    with Connection(janus.url, timeout_s=0.05) as connection, connection.create(keepalive_s=0.05) as session:
        wait_until(lambda: len(sent(janus, "keepalive")) >= 4)
        assert session.ended is None
