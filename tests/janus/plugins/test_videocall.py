"""Every verb and event of VideoCall on a real Janus: two peers call each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from janusload.errors import PluginError
from janusload.janus.plugins.videocall import Accepted, HungUp, IncomingCall, Update, VideoCall
from janusload.janus.session import Session
from janusload.lab import Lab
from janusload.media.engine import Peer
from tests.janus.plugins.conftest import Heard, until

pytestmark = pytest.mark.lab


def test_a_call(session: Session, janus: Lab, peer: Callable[..., Peer]) -> None:
    ann, bob = session.attach(VideoCall), session.attach(VideoCall)
    assert ann.register("ann").username == "ann"
    bob.register("bob")
    assert {"ann", "bob"} <= set(ann.list().list)
    with pytest.raises(PluginError, match="videocall error 476 USERNAME_TAKEN"):
        session.attach(VideoCall).register("bob")
    at_ann, at_bob = Heard(ann), Heard(bob)
    with peer("ann") as caller, peer("bob") as callee:
        ann.call("bob", caller.offer())
        incoming = at_bob.wait(IncomingCall)
        assert incoming.username == "ann"
        bob.accept(callee.answer(incoming.jsep))
        accepted = at_ann.wait(Accepted)
        assert accepted.username == "bob"
        caller.accept(accepted.jsep)
        callee.connected()
        until(lambda: callee.record is not None and callee.record.received > 5)
        ann.set(audio=True, record=True, filename=str(janus.recordings / "call"))
        until(lambda: list(janus.recordings.glob("call-*.mjr")))
        ann.set(record=False)
        assert ann.plugin_hangup().reason is not None
        assert at_bob.wait(HungUp).username == "ann"
    assert not any(isinstance(event, Update) for event in at_ann.events)


def test_refusals_are_named(session: Session, peer: Callable[..., Peer]) -> None:
    zoe = session.attach(VideoCall)
    with peer("zoe") as caller:
        offer = caller.offer()
        with pytest.raises(PluginError, match="videocall error 473 REGISTER_FIRST"):
            zoe.call("ann", offer)
        zoe.register("zoe")
        with pytest.raises(PluginError, match="videocall error 477 ALREADY_REGISTERED"):
            zoe.register("zoe again")
    # a refused offer leaves the handle without a way to another one: a new handle is needed
    yan = session.attach(VideoCall)
    yan.register("yan")
    with peer("yan") as caller, pytest.raises(PluginError, match="videocall error 478 NO_SUCH_USERNAME"):
        yan.call("nobody", caller.offer())
