"""Every way in which a peer connection goes, seen from the side that did not ask for it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from janusload.lab import Lab
from janusload.media.engine import Engine
from tests.media.conftest import Heard, until
from tests.media.echotest import EchoTest, echotest

pytestmark = pytest.mark.lab

WAYS: dict[str, Callable[[EchoTest, int], None]] = {
    "hangup": lambda janus, handle: janus.hangup(handle),
    "detach": lambda janus, handle: janus.detach(handle),
    "destroy": lambda janus, handle: janus.destroy(),
    "websocket": lambda janus, handle: janus.close(),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_peer_learns_that_janus_let_it_go(lab: Lab, engine: Engine, heard: Heard, way: str) -> None:
    with echotest(lab.url) as janus, engine.peer(f"left-by-{way}", route_to=lab.address) as peer:
        handle = janus.attach()
        peer.accept(janus.call(handle, peer.offer()))
        # hung up before its own side is up, Janus leaves without a DTLS alert
        janus.wait_for("webrtcup", handle)
        until(lambda: peer.record and peer.record.received)
        WAYS[way](janus, handle)
        assert peer.ended.wait(5)
        assert peer.state == "closed"
        assert peer.error is not None and peer.error.phase == "media"
        assert "far end closed" in str(peer.error)
    until(lambda: heard.media(peer.name)[-1].state == "closed")


def test_a_peer_can_vanish_by_itself(lab: Lab, engine: Engine) -> None:
    with echotest(lab.url) as janus:
        handles = [janus.attach() for _ in range(2)]
        rude, other = (engine.peer(name, route_to=lab.address) for name in ("rude", "other"))
        for handle, peer in zip(handles, (rude, other), strict=True):
            peer.accept(janus.call(handle, peer.offer()))
            janus.wait_for("media", handle)
        rude.vanish()
        rude.vanish()
        assert rude.ended.wait(2) and rude.state == "closed"
        janus.events = [event for event in janus.events if event["janus"] != "media"]
        # no goodbye: all that Janus sees is that no audio comes any more
        assert janus.wait_for("media", handles[0], timeout_s=8)["receiving"] is False
        assert not [event for event in janus.events if event["janus"] == "hangup"]
        assert other.state == "connected"
        other.close()
        assert other.ended.wait(2)
        assert janus.wait_for("hangup", handles[1])["reason"] == "DTLS alert"


def test_janus_sees_a_goodbye_and_misses_who_vanishes_without_a_word(lab: Lab) -> None:
    engine = Engine()
    engine.start()
    try:
        with echotest(lab.url) as janus:
            polite, rude = janus.attach(), janus.attach()
            peers = [engine.peer(name, route_to=lab.address) for name in ("polite", "rude")]
            for handle, peer in zip((polite, rude), peers, strict=True):
                peer.accept(janus.call(handle, peer.offer()))
                janus.wait_for("webrtcup", handle)
                janus.wait_for("media", handle)
            peers[0].close()
            assert peers[0].ended.wait(2)
            assert janus.wait_for("hangup", polite)["reason"] == "DTLS alert"
            os.kill(engine.pids[0], signal.SIGKILL)
            janus.events = [event for event in janus.events if event["janus"] != "media"]
            # no goodbye: all that Janus sees is that no audio comes any more
            assert janus.wait_for("media", rude, timeout_s=8)["receiving"] is False
            assert not [event for event in janus.events if event["janus"] == "hangup" and event["sender"] == rude]
    finally:
        engine.stop()
