"""Every verb of the Admin API on both real versions, over HTTP and over a WebSocket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from janusload.errors import CoreError, PluginError
from janusload.janus.admin import AdminApi, StoredToken
from janusload.janus.admin_http import HttpAdmin
from janusload.janus.admin_ws import SUBPROTOCOL, WsAdmin
from janusload.janus.connection import Connection
from janusload.janus.plugins.audiobridge import AudioBridge
from janusload.janus.plugins.echotest import EchoTest
from janusload.janus.protocol import Transaction
from janusload.janus.session import Session
from janusload.lab import Lab, LabOptions
from tests.janus.plugins.conftest import until

pytestmark = pytest.mark.lab


@pytest.fixture(params=["http", "ws"])
def admin(request: pytest.FixtureRequest, each_lab: Lab) -> Iterator[AdminApi]:
    if request.param == "http":
        yield HttpAdmin(each_lab.admin_url, each_lab.admin_secret)
        return
    with Connection(each_lab.admin_ws_url, subprotocol=SUBPROTOCOL) as connection:
        yield WsAdmin(connection, each_lab.admin_secret)


@pytest.fixture
def session(each_lab: Lab) -> Iterator[Session]:
    with Connection(each_lab.url) as connection, connection.create() as session:
        yield session


def test_what_is_there(admin: AdminApi, session: Session) -> None:
    echo = session.attach(EchoTest, opaque_id="somebody")
    admin.ping()
    assert admin.info()["version"] in (1102, 1401)
    status = admin.get_status()
    assert status["session_timeout"] == 60
    assert status["token_auth"] is False
    assert session.id in admin.list_sessions()
    assert admin.list_handles(session.id) == (echo.id,)
    assert admin.loops_info() == ()
    info = admin.handle_info(session.id, echo.id)
    assert (info["handle_id"], info["opaque_id"], info["plugin"]) == (echo.id, "somebody", "janus.plugin.echotest")
    assert "plugin_specific" in admin.handle_info(session.id, echo.id, plugin_only=True)


def test_refusals_are_named(admin: AdminApi, each_lab: Lab) -> None:
    with pytest.raises(CoreError, match=r"admin\.list_handles: Janus error 458 SESSION_NOT_FOUND") as refused:
        admin.list_handles(1)
    assert refused.value.code == 458
    with pytest.raises(CoreError, match="457 INVALID_REQUEST_PATH"):
        admin.request("juggle")
    with pytest.raises(CoreError, match="490 UNKNOWN"):
        admin.list_tokens()
    with pytest.raises(CoreError, match="403 UNAUTHORIZED") as refused:
        HttpAdmin(each_lab.admin_url, "not the secret").get_status()
    assert "not the secret" not in str(refused.value)


def test_plugins_are_asked_without_a_session(admin: AdminApi) -> None:
    room = admin.message_plugin(AudioBridge.create, description="by the admin").room
    assert admin.message_plugin(AudioBridge.exists, room, timeout_s=2.0)
    assert room in [each.room for each in admin.message_plugin(AudioBridge.list)]
    admin.message_plugin(AudioBridge.destroy, room)
    with pytest.raises(
        PluginError, match=r"admin\.audiobridge\.destroy: audiobridge error 485 NO_SUCH_ROOM"
    ) as refused:
        admin.message_plugin(AudioBridge.destroy, room)
    assert (refused.value.plugin, refused.value.code) == ("audiobridge", 485)


def test_new_sessions_are_refused_and_accepted_again(admin: AdminApi, session: Session) -> None:
    admin.accept_new_sessions(False)
    try:
        with pytest.raises(CoreError, match="472 NOT_ACCEPTING_SESSIONS"):
            session.connection.create()
        session.attach(EchoTest)
    finally:
        admin.accept_new_sessions(True)
    session.connection.create().destroy()


def test_session_timeouts(admin: AdminApi, session: Session) -> None:
    admin.set_session_timeout(61)
    try:
        assert admin.get_status()["session_timeout"] == 61
    finally:
        admin.set_session_timeout(60)
    echo = session.attach(EchoTest)
    admin.set_session_timeout(99, session_id=session.id)
    assert admin.handle_info(session.id, echo.id)["session_timeout"] == 99


def test_a_line_in_the_log(admin: AdminApi, each_lab: Lab) -> None:
    admin.custom_logline("step 3 begins", level=3)
    until(lambda: "[WARN] step 3 begins" in each_lab.log_path.read_text())


def test_others_are_hung_up_detached_and_destroyed(admin: AdminApi, session: Session) -> None:
    echo = session.attach(EchoTest)
    admin.hangup_webrtc(session.id, echo.id)
    admin.detach_handle(session.id, echo.id)
    until(lambda: echo.ended is not None)
    admin.destroy_session(session.id)
    assert session.id not in admin.list_sessions()


def test_over_a_websocket_requests_are_observed_under_a_name_of_their_own(lab: Lab) -> None:
    seen: list[Transaction] = []
    with Connection(
        lab.admin_ws_url, subprotocol=SUBPROTOCOL, observer=lambda transaction, late: seen.append(transaction)
    ) as connection:
        WsAdmin(connection, lab.admin_secret).list_sessions()
    assert [transaction.name for transaction in seen] == ["ws.connect", "admin.list_sessions"]


@pytest.mark.parametrize("janus", ["janus", "1.4.1"])
def test_stored_tokens(tmp_path: Path, janus: str) -> None:
    with Lab(LabOptions(janus=janus, settings={"general": {"token_auth": True}}), tmp_path / "log") as lab:
        admin = HttpAdmin(lab.admin_url, lab.admin_secret)
        assert admin.list_tokens() == ()
        echo, bridge = EchoTest.package, AudioBridge.package
        assert admin.add_token("let-me-in", [echo]) == (echo,)
        assert admin.list_tokens() == (StoredToken("let-me-in", (echo,)),)
        with Connection(lab.url) as stranger, pytest.raises(CoreError, match="403 UNAUTHORIZED"):
            stranger.create()
        with Connection(lab.url, token="let-me-in") as connection, connection.create() as session:
            session.attach(EchoTest)
            with pytest.raises(CoreError, match="405 UNAUTHORIZED_PLUGIN"):
                session.attach(AudioBridge)
            assert set(admin.allow_token("let-me-in", [bridge])) == {echo, bridge}
            session.attach(AudioBridge)
            assert admin.disallow_token("let-me-in", [echo]) == (bridge,)
            with pytest.raises(CoreError, match="405"):
                session.attach(EchoTest)
            admin.remove_token("let-me-in")
            with pytest.raises(CoreError, match="403"):
                connection.create()
        assert admin.list_tokens() == ()
