"""The core's verbs and events on both real versions of Janus."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator

import gevent
import pytest

from janusload.errors import CoreError, PluginError
from janusload.janus.admin_http import HttpAdmin
from janusload.janus.connection import Connection
from janusload.janus.events import (
    Hangup,
    Media,
    Notification,
    PluginEvent,
    SessionTimeout,
    Trickle,
    WebrtcUp,
)
from janusload.janus.plugins.audiobridge import AudioBridge
from janusload.janus.plugins.echotest import EchoTest
from janusload.janus.session import Session
from janusload.janus.tokens import signed_token
from janusload.lab import Lab, LabOptions
from janusload.media.engine import Engine

pytestmark = pytest.mark.lab

TOKEN_SECRET = "for-signed-tokens"


def until(condition: Callable[[], object], within_s: float = 5.0, what: object = "") -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        gevent.sleep(0.01)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def connection(each_lab: Lab) -> Iterator[Connection]:
    with Connection(each_lab.url) as connection:
        yield connection


@pytest.fixture
def session(connection: Connection) -> Iterator[Session]:
    with connection.create() as session:
        yield session


def test_what_needs_no_session(connection: Connection) -> None:
    assert connection.ping()["janus"] == "pong"
    info = connection.info()
    assert (info["janus"], info["session-timeout"]) == ("server_info", 60)
    assert connection.version() in ((1, 1, 2), (1, 4, 1))
    assert connection.ws_ping(2.0) < 2.0
    with pytest.raises(CoreError, match="457 INVALID_REQUEST_PATH"):
        connection.request("juggle")


def test_sessions(connection: Connection) -> None:
    wanted = secrets.randbelow(2**53)
    session = connection.create(session_id=wanted)
    assert session.id == wanted
    with pytest.raises(CoreError, match="468 SESSION_CONFLICT"):
        connection.create(session_id=wanted)
    session.keepalive()
    session.destroy()
    assert session.ended is not None
    for gone in (lambda: connection.request("keepalive", fields={"session_id": wanted}), session.destroy):
        with pytest.raises(CoreError, match="458 SESSION_NOT_FOUND"):
            gone()


def test_handles(session: Session) -> None:
    echo = session.attach("janus.plugin.echotest", opaque_id="somebody")
    with pytest.raises(PluginError, match="413 INVALID_ELEMENT") as refused:
        echo.message({"audio": 5})
    assert refused.value.name == "echotest.message"
    with pytest.raises(CoreError, match="465 JSEP_INVALID_SDP"):
        echo.message({"audio": True}, jsep={"type": "offer", "sdp": "v=0"})
    with pytest.raises(CoreError, match="464 JSEP_UNKNOWN_TYPE"):
        echo.message({"audio": True}, jsep={"type": "wish", "sdp": "v=0"})
    echo.detach()
    assert echo.ended is not None
    assert echo.id not in session.handles
    with pytest.raises(CoreError, match="459 HANDLE_NOT_FOUND"):
        echo.detach()
    with pytest.raises(CoreError, match="460 PLUGIN_NOT_FOUND"):
        session.attach("janus.plugin.juggler")


def test_a_generic_handle_is_enough_for_any_plugin(session: Session) -> None:
    bridge = session.attach(AudioBridge.package)
    reply = bridge.message({"request": "create"})
    assert reply.data["audiobridge"] == "created"
    ended = []
    bridge.submit({"request": "destroy", "room": reply.data["room"]}, on_done=ended.append)
    until(lambda: ended)
    assert (ended[0].name, ended[0].error) == ("audiobridge.destroy", None)


def test_trickling_and_the_events_of_a_peer_connection(session: Session, each_lab: Lab, engine: Engine) -> None:
    echo = session.attach(EchoTest)
    told: dict[type[Notification], list[Notification]] = {}
    for kind in (WebrtcUp, Media, Hangup, PluginEvent):
        echo.on(kind, told.setdefault(kind, []).append)
    with engine.peer("trickler", route_to=each_lab.address) as peer:
        offer = peer.offer()
        lines = offer["sdp"].splitlines()
        candidates = [line.removeprefix("a=") for line in lines if line.startswith("a=candidate")]
        bare = [line for line in lines if not line.startswith(("a=candidate", "a=end-of-candidates"))]
        one, *others = [{"candidate": each, "sdpMid": "0", "sdpMLineIndex": 0} for each in candidates]
        echo.trickle(one)  # before the offer: kept
        answer = echo.start({"type": "offer", "sdp": "\r\n".join(bare) + "\r\n", "trickle": True})
        echo.trickle([*others, one])
        echo.trickle(None)
        peer.accept(answer.jsep)
        assert echo.webrtc_up.wait(5)
        until(lambda: told[Media])
    assert (told[Media][0].media, told[Media][0].receiving, told[Media][0].mid) == ("audio", True, "0")  # type: ignore[attr-defined]
    until(lambda: told[Hangup])
    assert told[Hangup][0].reason == "DTLS alert" == echo.hung_up  # type: ignore[attr-defined]
    assert told[WebrtcUp]
    assert not echo.webrtc_up.is_set()


def test_hanging_up_is_asynchronous_and_told(session: Session, each_lab: Lab, engine: Engine) -> None:
    echo = session.attach(EchoTest)
    with engine.peer("hung up", route_to=each_lab.address) as peer:
        peer.accept(echo.start(peer.offer()).jsep)
        echo.hangup()
        until(lambda: echo.hung_up == "Janus API")


def test_events_go_to_the_connection_that_claimed_the_session(
    session: Session, connection: Connection, each_lab: Lab
) -> None:
    listener = session.attach(AudioBridge)
    told: list[object] = []
    listener.on_plugin_event = told.append
    room = listener.create().room
    listener.join(room)
    with Connection(each_lab.url) as other, connection.create() as third:
        assert session.claim(other).connection is other
        assert session.id not in connection.sessions
        third.attach(AudioBridge).join(room, display="third")
        until(lambda: told)
        with pytest.raises(CoreError, match="458"):
            other.claim(1)
        listener.destroy(room)
        session.destroy()


# -- what needs other settings ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["janus", "1.4.1"], ids=["installed", "1.4.1"])
def special(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A Janus with short and lost sessions, tokens, two event loops, and candidates that trickle."""
    general = {
        "reclaim_session_timeout": 10,
        "token_auth": True,
        "token_auth_secret": TOKEN_SECRET,
        "event_loops": 2,
        "allow_loop_indication": True,
    }
    options = LabOptions(
        janus=request.param,
        api_secret=True,
        session_timeout_s=2,
        settings={"general": general, "nat": {"full_trickle": True}},
    )
    with Lab(options, tmp_path_factory.mktemp("special") / "janus.log") as lab:
        yield lab


@pytest.fixture(scope="module")
def silent(special: Lab) -> Iterator[tuple[Session, Session]]:
    """A session that is never kept alive, and one that is."""
    with Connection(special.url, api_secret=special.api_secret) as connection:
        connection.info()
        yield connection.create(keepalive_s=0), connection.create()


def test_a_lost_session_is_claimed_by_its_id(special: Lab, silent: tuple[Session, Session]) -> None:
    lost = Connection(special.url, api_secret=special.api_secret).open()
    session_id = lost.create().id
    lost.close()
    with Connection(special.url, api_secret=special.api_secret) as connection:
        session = connection.claim(session_id)
        session.attach(EchoTest)
        session.destroy()


def test_a_connection_is_made_anew_and_its_session_claimed_with_its_handles(special: Lab) -> None:
    connection = Connection(special.url, api_secret=special.api_secret).open()
    session = connection.create()
    bridge = session.attach(AudioBridge)
    connection.close()
    assert session.ended is not None
    connection.reconnect()
    session.claim()
    assert session.ended is None
    assert bridge.ended is None
    assert not bridge.exists(1)
    session.destroy()
    connection.close()


def test_signed_tokens(special: Lab) -> None:
    good = signed_token(TOKEN_SECRET, descriptors=[EchoTest.package])
    with Connection(special.url, token=good) as connection, connection.create() as session:
        session.attach(EchoTest)
        with pytest.raises(CoreError, match="405 UNAUTHORIZED_PLUGIN"):
            session.attach(AudioBridge)
    for bad in (signed_token(TOKEN_SECRET, valid_s=-5), signed_token("another"), "no token"):
        with Connection(special.url, token=bad) as connection:
            assert connection.ping()
            with pytest.raises(CoreError, match="403 UNAUTHORIZED") as refused:
                connection.create()
            assert bad not in str(refused.value)


def test_handles_are_put_into_event_loops(special: Lab) -> None:
    admin = HttpAdmin(special.admin_url, special.admin_secret)
    with Connection(special.url, api_secret=special.api_secret) as connection, connection.create() as session:
        before = {loop.id: loop.handles for loop in admin.loops_info()}
        for _ in range(3):
            session.attach(EchoTest, loop_index=1)
        after = {loop.id: loop.handles for loop in admin.loops_info()}
    grown = {loop: after[loop] - before[loop] for loop in after}
    assert sorted(grown.values()) == [0, 3]


def test_janus_trickles_too_if_it_is_told_to(special: Lab, engine: Engine) -> None:
    with (
        Connection(special.url, api_secret=special.api_secret) as connection,
        connection.create() as session,
        engine.peer("trickled", route_to=special.address) as peer,
    ):
        echo = session.attach(EchoTest)
        told: list[Trickle] = []
        echo.on(Trickle, told.append)
        echo.start(peer.offer())
        until(lambda: told and told[-1].completed, what=told)
        first = told[0].candidate
        assert first is not None
        assert special.address in first["candidate"]


def test_a_session_that_is_not_kept_alive_expires(silent: tuple[Session, Session]) -> None:
    expires, lives = silent
    told: list[Notification] = []
    expires.on_event = told.append
    until(lambda: expires.ended is not None, within_s=10)
    assert "expire" in str(expires.ended)
    assert not told or isinstance(told[-1], SessionTimeout)
    assert lives.ended is None
    lives.keepalive()
