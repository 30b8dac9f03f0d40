"""What both versions say unasked, and what shows with media or other settings; verbs are in `test_against_janus`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from janusload.errors import CoreError, PluginError
from janusload.janus.admin_http import HttpAdmin
from janusload.janus.connection import Connection
from janusload.janus.events import (
    Hangup,
    Media,
    Notification,
    PluginEvent,
    Trickle,
    WebrtcUp,
)
from janusload.janus.plugins.audiobridge import AudioBridge
from janusload.janus.plugins.echotest import EchoTest
from janusload.janus.session import Session
from janusload.lab import Lab, LabOptions
from janusload.media.engine import Engine
from tests.janus.plugins.conftest import until

pytestmark = pytest.mark.lab


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


def test_refusals_of_a_jsep_and_the_end_of_a_handle(session: Session) -> None:
    assert session.connection.version() in ((1, 1, 2), (1, 4, 1))
    echo = session.attach("janus.plugin.echotest")
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
    """A Janus with two event loops, lost sessions that may be claimed, and candidates that trickle."""
    general = {"reclaim_session_timeout": 10, "event_loops": 2, "allow_loop_indication": True}
    options = LabOptions(
        janus=request.param, api_secret=True, settings={"general": general, "nat": {"full_trickle": True}}
    )
    with Lab(options, tmp_path_factory.mktemp("special") / "janus.log") as lab:
        yield lab


def test_a_lost_session_is_claimed_by_its_id(special: Lab) -> None:
    lost = Connection(special.url, api_secret=special.api_secret).open()
    session_id = lost.create().id
    lost.close()
    with Connection(special.url, api_secret=special.api_secret) as connection:
        session = connection.claim(session_id)
        session.attach(EchoTest)
        session.destroy()


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
