from __future__ import annotations

import gevent
import pytest

from janusload.lab import Lab
from janusload.media.engine import Engine
from tests.media.conftest import Heard, until
from tests.media.echotest import echotest


@pytest.mark.lab
def test_audio_flows_both_ways_with_a_real_janus(lab: Lab, engine: Engine, heard: Heard) -> None:
    with echotest(lab.url) as janus:
        handle = janus.attach()
        with engine.peer("talker", route_to=lab.address) as peer:
            peer.accept(janus.call(handle, peer.offer()))
            assert peer.state == "connected"
            janus.wait_for("webrtcup", handle)
            assert janus.wait_for("media", handle)["receiving"] is True
            until(lambda: peer.record and peer.record.received > 100 and peer.record.rtt_ms is not None)
        # first this: the signalling here blocks, and with it the greenlet that asks the worker to close
        assert peer.ended.wait(2)
        assert janus.wait_for("hangup", handle)["reason"] == "DTLS alert"
    last = heard.media("talker")[-1]
    assert last.state == "closed"
    assert last.lost == 0
    assert 0 <= last.sent - last.received <= 10
    assert last.rtt_ms is not None and last.rtt_ms < 100
    assert last.remote_lost_share == 0
    assert last.setup_ms is not None and 0 < last.setup_ms < 5000
    assert last.jitter_ms is not None and last.jitter_ms < 20
    health = heard.health()
    assert health and all(each.process == "media-0" and each.rss_bytes > 1e7 and each.fds > 3 for each in health)


@pytest.mark.lab
def test_ten_at_once(lab: Lab, engine: Engine, heard: Heard) -> None:
    with echotest(lab.url) as janus:
        peers = [engine.peer(f"p{index}", route_to=lab.address) for index in range(10)]
        for peer in peers:
            peer.accept(janus.call(janus.attach(), peer.offer()))
        until(lambda: all(peer.record and peer.record.received > 50 for peer in peers))
        for peer in peers:
            peer.close()
        gevent.joinall([gevent.spawn(peer.ended.wait, 2) for peer in peers])
        assert {peer.state for peer in peers} == {"closed"}
    assert all(heard.media(peer.name)[-1].lost == 0 for peer in peers)
