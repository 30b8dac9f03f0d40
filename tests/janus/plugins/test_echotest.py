"""Every verb of the EchoTest on a real Janus."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from janusload.errors import PluginError
from janusload.janus.plugins.echotest import Done, EchoTest
from janusload.janus.session import Session
from janusload.lab import Lab
from janusload.media.engine import Peer
from tests.janus.plugins.conftest import Heard, until

pytestmark = pytest.mark.lab


def test_what_is_sent_comes_back(session: Session, janus: Lab, peer: Callable[..., Peer]) -> None:
    echo = session.attach(EchoTest)
    heard = Heard(echo)
    base = janus.recordings / "echo"
    with peer("echo") as caller:
        started = echo.start(caller.offer(), audio=True, video=False)
        caller.accept(started.jsep)
        until(lambda: caller.record is not None and caller.record.received > 5, what=caller)
        echo.configure(audio=False, record=True, filename=str(base))
        until(lambda: (janus.recordings / "echo-audio.mjr").exists())
        echo.configure(audio=True, record=False)
        echo.hangup()
        assert heard.wait(Done) == Done()


def test_refusals_are_named(session: Session) -> None:
    with pytest.raises(PluginError, match="echotest error 413 INVALID_ELEMENT"):
        session.attach(EchoTest).configure(audio="yes")  # type: ignore[arg-type]
