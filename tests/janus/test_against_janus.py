"""The core verbs against the real Janus, both versions: ids, claiming, tokens, session timeouts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from janusload.errors import ConnectionLost, CoreError
from janusload.janus.admin_http import HttpAdmin
from janusload.janus.connection import Connection
from janusload.janus.events import Detached, SessionTimeout
from janusload.janus.tokens import signed_token
from janusload.lab import Lab, LabOptions
from tests.janus.waiting import wait_until

pytestmark = pytest.mark.lab

ECHOTEST = "janus.plugin.echotest"
CANDIDATE = {"candidate": "candidate:1 1 udp 1 198.19.0.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0}


@pytest.fixture(scope="module", params=["janus", "1.4.1"], ids=["installed", "1.4.1"])
def strict(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A Janus that wants signed tokens, drops sessions soon, and lets them be claimed."""
    general = {"token_auth": True, "token_auth_secret": "of-the-lab", "reclaim_session_timeout": 10}
    options = LabOptions(janus=request.param, session_timeout_s=4, settings={"general": general})
    with Lab(options, tmp_path_factory.mktemp("strict-lab") / "janus.log") as lab:
        yield lab


def code_of(call: Callable[[], object]) -> int:
    with pytest.raises(CoreError) as refused:
        call()
    return refused.value.code


def test_core_verbs(each_lab: Lab) -> None:
    with Connection(each_lab.url, timeout_s=5) as connection:
        assert connection.ping()["janus"] == "pong"
        assert ECHOTEST in connection.info()["plugins"] and connection.session_timeout_s == 60
        number = 2**53 - 1 - int(time.monotonic())
        with connection.create(session_id=number) as session:
            assert session.id == number
            assert code_of(lambda: connection.create(session_id=number)) == 468
            assert code_of(lambda: session.attach("janus.plugin.of-nobody")) == 460
            handle = session.attach(ECHOTEST, opaque_id="verbs")
            gone: list[Detached] = []
            session.on(Detached, gone.append)
            handle.trickle(CANDIDATE)
            handle.trickle([CANDIDATE, CANDIDATE])
            handle.trickle(None)
            handle.hangup()
            session.keepalive()
            handle.detach()
            wait_until(lambda: gone)
            assert gone[0].handle_id == handle.id
            assert code_of(handle.detach) == 459
            session.destroy()
            assert code_of(session.keepalive) == 458
            assert code_of(session.destroy) == 458
        assert connection.ws_ping(2.0) < 2.0


def test_a_session_moves_to_the_connection_that_claims_it(each_lab: Lab) -> None:
    with Connection(each_lab.url, timeout_s=5) as one, Connection(each_lab.url, timeout_s=5) as two:
        session = one.create()
        handle = session.attach(ECHOTEST)
        session.claim(two)
        assert handle.message({"audio": True, "video": False}, name="start").data["result"] == "ok"
        one.close()
        handle.detach()
        session.destroy()


def test_signed_tokens_and_what_they_allow(strict: Lab) -> None:
    with ExitStack() as stack:

        def connected(token: str | None) -> Connection:
            return stack.enter_context(Connection(strict.url, timeout_s=5, token=token))

        plugins = [ECHOTEST, "janus.plugin.audiobridge", "janus.plugin.videoroom", "janus.plugin.streaming"]
        session = connected(signed_token("of-the-lab", descriptors=plugins)).create()
        session.attach(ECHOTEST).detach()
        assert code_of(lambda: session.attach("janus.plugin.recordplay")) == 405
        session.destroy()
        for token in (None, "nonsense", signed_token("of-another"), signed_token("of-the-lab", valid_s=-60)):
            stranger = connected(token)
            assert code_of(stranger.create) == 403
            stranger.ping()


def test_kept_alive_lost_reconnected_and_claimed(strict: Lab) -> None:
    token = signed_token("of-the-lab", descriptors=[ECHOTEST])
    connection = Connection(strict.url, timeout_s=5, token=token).open()
    neglected, kept = connection.create(keepalive_s=0), connection.create()
    handle = kept.attach(ECHOTEST)
    expired: list[SessionTimeout] = []
    neglected.on(SessionTimeout, expired.append)
    # 4 s without a word, and the watchdog that looks every 2 s needs two looks in 1.1.2
    wait_until(lambda: expired, within_s=15)
    assert isinstance(neglected.ended, ConnectionLost) and kept.ended is None and connection.is_open
    kept.keepalive()
    connection.close()
    assert kept.ended is not None
    connection.reconnect()
    kept.claim()
    assert handle.message({"audio": True, "video": False}, name="start").data["result"] == "ok"
    assert code_of(neglected.claim) == 458
    kept.destroy()
    connection.close()


def test_stored_tokens(tmp_path: Path) -> None:
    with (
        Lab(LabOptions(settings={"general": {"token_auth": True}}), tmp_path / "janus.log") as lab,
        Connection(lab.url, timeout_s=5, token="stored-1") as connection,
    ):
        assert code_of(connection.create) == 403
        admin = HttpAdmin(lab.admin_url, lab.admin_secret)
        admin.add_token("stored-1", [ECHOTEST])
        session = connection.create()
        session.attach(ECHOTEST).detach()
        session.destroy()
        admin.remove_token("stored-1")
        assert code_of(connection.create) == 403
