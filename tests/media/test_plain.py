from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest

from janusload.addresses import is_private
from janusload.errors import MediaError
from janusload.lab import Lab
from janusload.media.carried import PeerState
from janusload.media.engine import Engine
from janusload.media.participants import PlainPeer as Participant
from janusload.media.plain import PlainPeer
from janusload.media.pump import Pump
from tests.media.conftest import Heard, until
from tests.media.echotest import EchoTest, echotest
from tests.media.flows import CLIP


def joined(janus: EchoTest, room: int, peer: Participant, **rtp: Any) -> int:
    """Join a room by plain RTP; returns the handle."""
    handle = janus.attach("audiobridge")
    local = peer.open()
    data = janus.ask(handle, request="join", room=room, rtp={**local._asdict(), **rtp})["plugindata"]["data"]
    peer.connect(**data["rtp"])
    return handle


@contextmanager
def a_room(janus: EchoTest, room: int) -> Iterator[None]:
    handle = janus.attach("audiobridge")
    janus.ask(handle, request="create", room=room, sampling_rate=48000, allow_rtp_participants=True)
    yield
    janus.ask(handle, request="destroy", room=room)


@pytest.mark.lab
def test_plain_participants_hear_the_mix_and_count_it(lab: Lab, engine: Engine, heard: Heard) -> None:
    with echotest(lab.url) as janus, a_room(janus, 4101):
        with (
            engine.plain("plain-a", route_to=lab.address) as a,
            engine.plain("plain-b", loss="every:2", route_to=lab.address) as b,
        ):
            assert (a.state, b.state) == ("new", "new")
            for each in (a, b):
                joined(janus, 4101, each, fec=True)
            assert (a.state, b.state) == ("connected", "connected")
            until(lambda: all(each.record and each.record.received > 50 for each in (a, b)))
        assert a.ended.wait(2) and b.ended.wait(2)
    last = heard.media("plain-a")[-1]
    assert (last.state, last.lost, last.rtt_ms, last.setup_ms) == ("closed", 0, None, None)
    assert last.jitter_ms is not None and last.sent > 50
    assert heard.media("plain-b")[-1].sent == pytest.approx(last.sent / 2, abs=30)


def test_two_talk_on_loopback(engine: Engine, heard: Heard) -> None:
    with engine.plain("left") as left, engine.plain("right", clip="silence") as right:
        here, there = left.open(), right.open()
        assert here.ip == "127.0.0.1" and here.payload_type == 111
        left.connect(there.ip, there.port)
        right.connect(here.ip, here.port, 96)
        until(lambda: all(each.record and each.record.received > 20 for each in (left, right)))
        left.pause()
        right.pause()
        until(lambda: left.record and right.record and left.record.sent == right.record.received)
    assert left.ended.wait(2) and right.ended.wait(2)
    assert heard.media("left")[-1].lost == heard.media("right")[-1].lost == 0


def test_a_churn_leaves_nothing_behind(engine: Engine) -> None:
    def life(number: int) -> None:
        with engine.plain(f"churn-{number}", clip="silence") as peer:
            peer.open()
            peer.connect("127.0.0.1", 9)
            peer.close()
            assert peer.ended.wait(5)

    def fds() -> int:
        return len(os.listdir(f"/proc/{engine.pids[0]}/fd"))

    life(0)
    before = fds()
    gevent.joinall([gevent.spawn(life, number) for number in range(1, 101)], raise_error=True)
    assert fds() == before
    assert not engine._carriers[0].peers


@pytest.mark.parametrize(
    ("ip", "port", "words"),
    [("8.8.8.8", 5000, "neither loopback nor private"), ("127.0.0.1", 70_000, "no way to"), ("nowhere", 1, "neither")],
)
def test_a_bad_address_is_refused(engine: Engine, ip: str, port: int, words: str) -> None:
    with engine.plain("p", clip="silence") as peer:
        peer.open()
        with pytest.raises(MediaError, match=words) as caught:
            peer.connect(ip, port)
        assert caught.value.phase == "ice"


def test_what_is_out_of_order_is_refused(engine: Engine) -> None:
    with engine.plain("p", clip="silence") as plain, engine.peer("q", clip="silence", route_to="127.0.0.1") as peer:
        with pytest.raises(MediaError, match="no such peer"):
            plain.connect("127.0.0.1", 9)
        plain.open()
        plain.connect("127.0.0.1", 9)
        with pytest.raises(MediaError, match="cannot be connected"):
            plain.connect("127.0.0.1", 9)
        with pytest.raises(MediaError, match="described already"):
            plain.open()
        peer.offer()
        with pytest.raises(MediaError, match="takes no SDP"):
            plain._ask("accept", 5, sdp="", timeout_s=1)
        with pytest.raises(MediaError, match="connected by SDP"):
            peer._ask("connect", 5, ip="127.0.0.1", port=9, payload_type=None)


def play(scene: Callable[[PlainPeer, Pump], Any], **options: Any) -> None:
    settings: dict[str, Any] = {"clip": CLIP, "fates": None, "payload_type": 111, "address": "127.0.0.1"}

    async def run() -> None:
        pump = Pump()
        pump.start(lambda exc: None)
        peer = PlainPeer(1, allowed=is_private, pump=pump, on_change=lambda _: None, **(settings | options))
        try:
            await scene(peer, pump)
        finally:
            await peer.close()
            pump.stop()

    asyncio.run(run())


def test_what_is_too_short_for_rtp_is_dropped_and_counted() -> None:
    async def scene(peer: PlainPeer, pump: Pump) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
            far.bind(("127.0.0.1", 0))
            _, port, _ = peer.open()
            peer.connect("127.0.0.1", far.getsockname()[1], None)
            assert peer.state is PeerState.CONNECTED and peer.flow is not None
            for datagram in (b"\x80\x6f", b"", b"\x16\xfe\xfd\x00", b"garbage"):
                far.sendto(datagram, ("127.0.0.1", port))
            deadline = time.monotonic() + 5
            while peer.flow.strange < 4:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
            assert far.recv(2048)[1] == 0x80 | 111
            assert peer.flow.reception.received == 0

    play(scene)


def test_without_a_socket_it_says_so() -> None:
    async def scene(peer: PlainPeer, pump: Pump) -> None:
        with pytest.raises(MediaError, match="no socket for media"):
            peer.open()

    play(scene, address="192.0.2.1")


def test_closing_before_it_was_connected() -> None:
    async def scene(peer: PlainPeer, pump: Pump) -> None:
        peer.open()
        await peer.close()
        await peer.close()
        assert peer.state is PeerState.CLOSED

    play(scene)


@pytest.mark.parametrize("payload_type", [-1, 128, 70_000])
def test_a_payload_type_that_does_not_fit_into_a_header_is_refused(payload_type: int) -> None:
    async def scene(peer: PlainPeer, pump: Pump) -> None:
        peer.open()
        with pytest.raises(MediaError, match=f"payload type of {payload_type}") as caught:
            peer.connect("127.0.0.1", 9, payload_type)
        assert caught.value.phase == "media" and peer.flow is None

    play(scene)
