"""Every verb of NoSIP on a real Janus: two of its handles bridged by each other's plain SDP."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest

from janusload.errors import PluginError
from janusload.janus.plugins.nosip import NoSip
from janusload.janus.session import Session
from janusload.lab import Lab
from janusload.media.engine import Peer
from tests.janus.plugins.conftest import until

pytestmark = pytest.mark.lab


def test_two_handles_are_a_call(session: Session, janus: Lab, peer: Callable[..., Peer]) -> None:
    ann, bob = session.attach(NoSip), session.attach(NoSip)
    with peer("ann") as caller, peer("bob") as callee:
        offer = ann.generate(caller.offer())
        assert offer.type == "offer"
        assert "RTP/AVP 111" in offer.sdp
        at_bob = bob.process("offer", offer.sdp)
        assert at_bob.jsep["type"] == "offer"
        answer = bob.generate(callee.answer(at_bob.jsep))
        assert answer.type == "answer"
        caller.accept(ann.process("answer", answer.sdp).jsep)
        callee.connected()
        until(lambda: callee.record is not None and callee.record.received > 5)
        ann.recording("start", audio=True, peer_audio=True, filename=str(janus.recordings / "bridge"))
        gevent.sleep(0.1)
        ann.recording("stop", audio=True, peer_audio=True)
        names = sorted(path.name for path in janus.recordings.glob("bridge-*.mjr"))
        assert names == ["bridge-peer-audio.mjr", "bridge-user-audio.mjr"]
        if session.connection.version() < (1, 2, 0):
            with pytest.raises(PluginError, match="nosip error 442 INVALID_REQUEST"):
                ann.keyframe(user=True)
        else:
            ann.keyframe(user=True)
        ann.plugin_hangup()
        until(lambda: ann.hung_up == "Close PC", what=ann.hung_up)


def test_refusals_are_named(session: Session) -> None:
    with pytest.raises(PluginError, match="nosip error 443 MISSING_ELEMENT"):
        session.attach(NoSip).process("offer", None)  # type: ignore[arg-type]
