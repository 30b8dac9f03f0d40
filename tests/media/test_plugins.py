"""Peers against the plugins of a real Janus, offered by us or by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from janusload.lab import Lab, LabOptions
from janusload.media.engine import Engine
from janusload.media.participants import Participant, Peer
from tests.media.conftest import Heard, until
from tests.media.echotest import EchoTest, echotest

pytestmark = pytest.mark.lab


def hears(peer: Participant, packets: int = 40) -> bool:
    return peer.record is not None and peer.record.received >= packets


def follow(janus: EchoTest, handle: int, peer: Peer, **body: object) -> None:
    """Take an offer of Janus's and connect."""
    offer = janus.ask(handle, **body)["jsep"]
    janus.ask(handle, peer.answer(offer), request="start")
    peer.connected()


AUDIO = {"type": "audio", "mid": "a", "codec": "opus", "pt": 111, "port": 0}
VIDEO = {"type": "video", "mid": "v", "codec": "vp8", "pt": 96, "port": 0}


def mountpoint(janus: EchoTest, handle: int, *media: dict[str, object]) -> tuple[int, int]:
    """A new mountpoint, and the port that takes its audio."""
    created = janus.ask(handle, request="create", type="rtp", media=list(media))
    stream = created["plugindata"]["data"]["stream"]
    return stream["id"], next(each["port"] for each in stream["ports"] if each["type"] == "audio")


def recordings(janus: EchoTest, handle: int) -> list[int]:
    return [each["id"] for each in janus.ask(handle, request="list")["plugindata"]["data"]["list"]]


def test_one_socket_on_the_interface_that_routes_to_the_server(lab: Lab, engine: Engine) -> None:
    with engine.peer("routed", route_to=lab.address) as peer:
        sdp = peer.offer()["sdp"]
    (candidate,) = [line for line in sdp.splitlines() if line.startswith("a=candidate:")]
    ours, theirs = candidate.split()[4], lab.address
    assert ours.rpartition(".")[0] == theirs.rpartition(".")[0] and ours != theirs


@pytest.mark.parametrize("codec", ["pcma", "pcmu"])
def test_g711_in_the_audiobridge(lab: Lab, engine: Engine, codec: str) -> None:
    room = {"pcma": 4301, "pcmu": 4302}[codec]
    with echotest(lab.url) as janus:
        keeper = janus.attach("audiobridge")
        janus.ask(keeper, request="create", room=room, sampling_rate=16000, allow_rtp_participants=True)
        with (
            engine.peer(f"{codec}-webrtc", codec=codec, route_to=lab.address) as peer,
            engine.plain(f"{codec}-plain", codec=codec, route_to=lab.address) as plain,
        ):
            handle = janus.attach("audiobridge")
            answer = janus.ask(handle, peer.offer(), request="join", room=room, codec=codec)
            peer.accept(answer["jsep"])
            handle = janus.attach("audiobridge")
            local = plain.open()
            assert local.payload_type == {"pcma": 8, "pcmu": 0}[codec]
            answer = janus.ask(handle, request="join", room=room, codec=codec, rtp=local._asdict())
            plain.connect(**answer["plugindata"]["data"]["rtp"])
            until(lambda: hears(peer) and hears(plain))
            for each in (peer, plain):
                assert each.record is not None
                # 160 bytes of payload, the header, and SRTP's tag
                assert each.record.received_bytes / each.record.received in (172, 188)
                assert each.record.mos is not None and each.record.mos > 4
        janus.ask(keeper, request="destroy", room=room)


@pytest.mark.parametrize("ptime_ms", [40, 60])
def test_longer_packets_through_an_echo(lab: Lab, engine: Engine, ptime_ms: int) -> None:
    with echotest(lab.url) as janus, engine.peer("slow", ptime_ms=ptime_ms, route_to=lab.address) as peer:
        peer.accept(janus.call(janus.attach(), peer.offer()))
        until(lambda: hears(peer, 20))
        assert peer.record is not None
        assert peer.record.lost == 0 and peer.record.jitter_ms is not None and peer.record.jitter_ms < 30


def test_a_subscriber_of_the_videoroom_hears_the_publisher(lab: Lab, engine: Engine, heard: Heard) -> None:
    with (
        echotest(lab.url) as janus,
        engine.peer("publisher", route_to=lab.address) as publisher,
        engine.peer("subscriber", clip="silence", route_to=lab.address) as subscriber,
    ):
        speaking, listening = janus.attach("videoroom"), janus.attach("videoroom")
        janus.ask(speaking, request="create", room=4303)
        feed = janus.ask(speaking, request="join", room=4303, ptype="publisher")["plugindata"]["data"]["id"]
        answer = janus.ask(speaking, publisher.offer(), request="publish", audio=True, video=False)
        publisher.accept(answer["jsep"])
        # to Janus it is no feed before its own side of the handshake is done
        until(lambda: publisher.record and publisher.record.sent > 20)
        wanted = [{"feed": feed}]
        follow(janus, listening, subscriber, request="join", room=4303, ptype="subscriber", streams=wanted)
        until(lambda: hears(subscriber, 150))
        assert subscriber.record is not None and subscriber.record.sent == 0
        assert publisher.record is not None and publisher.record.received == 0
        # who was not promised anything misses nothing
        assert not heard.events("publisher") and not heard.events("subscriber")
        janus.ask(speaking, request="destroy", room=4303)


def test_what_was_recorded_is_played(lab: Lab, engine: Engine) -> None:
    with echotest(lab.url) as janus:
        handle = janus.attach("recordplay")
        with engine.peer("recorded", route_to=lab.address) as peer:
            answer = janus.ask(handle, peer.offer(), request="record", name="audio-test")
            number = answer["plugindata"]["data"]["result"]["id"]
            peer.accept(answer["jsep"])
            until(lambda: peer.record and peer.record.sent > 60)
            janus.ask(handle, request="stop")
        handle = janus.attach("recordplay")
        # it is there once Janus has taken the recording's peer connection down
        until(lambda: number in recordings(janus, handle))
        with engine.peer("player", clip="silence", route_to=lab.address) as peer:
            follow(janus, handle, peer, request="play", id=number)
            # Janus ends it when there is nothing more to play
            assert peer.ended.wait(10)
            assert peer.state == "closed"
        assert peer.record is not None and peer.record.received > 40


def test_a_mountpoint_fed_with_plain_rtp_is_watched(lab: Lab, engine: Engine) -> None:
    with (
        echotest(lab.url) as janus,
        engine.plain("feed", route_to=lab.address) as feed,
        engine.peer("viewer", clip="silence", route_to=lab.address) as viewer,
    ):
        handle = janus.attach("streaming")
        stream, port = mountpoint(janus, handle, AUDIO)
        feed.open()
        feed.connect(lab.address, port)
        follow(janus, handle, viewer, request="watch", id=stream)
        until(lambda: hears(viewer))
        janus.ask(handle, request="destroy", id=stream)


def test_of_a_mountpoint_with_video_the_audio_is_heard(lab: Lab, engine: Engine) -> None:
    """Its offer has two m-lines, and so has our answer."""
    with (
        echotest(lab.url) as janus,
        engine.plain("feed-2", route_to=lab.address) as feed,
        engine.peer("viewer-2", clip="silence", route_to=lab.address) as viewer,
    ):
        handle = janus.attach("streaming")
        stream, port = mountpoint(janus, handle, VIDEO, AUDIO)
        feed.open()
        feed.connect(lab.address, port)
        offer = janus.ask(handle, request="watch", id=stream)["jsep"]
        assert [line[:7] for line in offer["sdp"].splitlines() if line.startswith("m=")] == ["m=video", "m=audio"]
        janus.ask(handle, jsep=viewer.answer(offer), request="start")
        viewer.connected()
        until(lambda: hears(viewer))
        janus.ask(handle, request="destroy", id=stream)


def test_a_janus_with_ice_lite(engine: Engine, tmp_path: Path) -> None:
    """It checks nothing itself: we are in control, whoever offers (RFC 8445 section 6.1.1)."""
    options = LabOptions(settings={"nat": {"ice_lite": True}})
    with (
        Lab(options, tmp_path / "janus.log") as lite,
        echotest(lite.url) as janus,
        engine.peer("echo-lite", route_to=lite.address) as echo,
        engine.plain("feed-lite", route_to=lite.address) as feed,
        engine.peer("viewer-lite", clip="silence", route_to=lite.address) as viewer,
    ):
        echo.accept(janus.call(janus.attach(), echo.offer()))
        until(lambda: hears(echo))
        handle = janus.attach("streaming")
        stream, port = mountpoint(janus, handle, AUDIO)
        feed.open()
        feed.connect(lite.address, port)
        follow(janus, handle, viewer, request="watch", id=stream)
        until(lambda: hears(viewer))
