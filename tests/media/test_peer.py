from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from janusload.addresses import is_private
from janusload.errors import MediaError
from janusload.lab import Lab
from janusload.media import consent
from janusload.media.carried import PeerState
from janusload.media.ice import local_addresses
from janusload.media.peer import Peer, SharedCertificate
from janusload.media.pump import Pump
from tests.media.echotest import echotest
from tests.media.flows import CLIP

CERTIFICATE = SharedCertificate.generateCertificate()


class Place:
    """A pump, and peers on it."""

    def __init__(self) -> None:
        self.pump = Pump()
        self.peers: list[Peer] = []
        self.changes: list[tuple[int, PeerState]] = []
        self._numbers = count()

    def peer(self, *, controlling: bool = True, **options: Any) -> Peer:
        settings: dict[str, Any] = {
            "clip": CLIP,
            "fates": None,
            "addresses": ["127.0.0.1"],
            "allowed": is_private,
            "certificate": CERTIFICATE,
        }
        peer = Peer(
            next(self._numbers),
            controlling=controlling,
            pump=self.pump,
            on_change=lambda each: self.changes.append((each.number, each.state)),
            **(settings | options),
        )
        self.peers.append(peer)
        return peer

    async def pair(self, **options: Any) -> tuple[Peer, Peer]:
        caller, callee = self.peer(**options), self.peer(controlling=False, **options)
        await caller.accept(await callee.answer(await caller.offer(), 5), 5)
        await callee.connected()
        return caller, callee


@asynccontextmanager
async def a_place() -> AsyncIterator[Place]:
    faults: list[BaseException] = []
    place = Place()
    place.pump.start(faults.append)
    try:
        yield place
    finally:
        for peer in place.peers:
            await peer.close()
        place.pump.stop()
        assert not faults


def play(scene: Callable[[Place], Awaitable[None]]) -> None:
    async def run() -> None:
        async with a_place() as place, asyncio.timeout(20):
            await scene(place)

    asyncio.run(run())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


def received(peer: Peer) -> int:
    assert peer.flow is not None
    return peer.flow.reception.received


def test_two_peers_talk_and_one_leaves() -> None:
    async def scene(place: Place) -> None:
        caller, callee = await place.pair()
        await until(lambda: received(caller) > 5 and received(callee) > 5)
        assert caller.setup_ms is not None and 0 < caller.setup_ms < 5000
        assert caller.flow is not None and caller.flow.dropped == 0
        await caller.close()
        await caller.close()
        assert caller.state is PeerState.CLOSED and caller.error is None
        await until(lambda: callee.state is PeerState.CLOSED)
        assert callee.error is not None and callee.error.phase == "media"
        assert place.changes.count((callee.number, PeerState.CLOSED)) == 1

    play(scene)


def test_several_interfaces_leave_one_socket() -> None:
    async def scene(place: Place) -> None:
        caller, _ = await place.pair(addresses=["127.0.0.1", "127.0.0.2"])
        await asyncio.sleep(0.05)
        assert [transport.is_closing() for transport in caller._connection.sockets].count(False) == 1

    play(scene)


def test_consent_checks_go_on_through_the_pump(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent, "CHECK_S", 0.05)

    async def scene(place: Place) -> None:
        caller, callee = await place.pair()
        await asyncio.sleep(1.0)
        assert (caller.state, callee.state) == (PeerState.CONNECTED, PeerState.CONNECTED)
        # a host that vanishes without a word
        assert caller.flow is not None
        monkeypatch.setattr(caller.flow.consent, "take", lambda _: b"")
        await until(lambda: callee.state is PeerState.FAILED)
        assert callee.error is not None and callee.error.phase == "ice"
        assert "consent" in str(callee.error)

    play(scene)


@pytest.mark.lab
def test_a_real_janus_consents_for_as_long_as_it_is_asked(each_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent, "CHECK_S", 0.1)

    async def scene(place: Place) -> None:
        with echotest(each_lab.url) as janus:
            peer = place.peer(addresses=local_addresses(each_lab.address))
            answer = janus.call(janus.attach(), {"type": "offer", "sdp": await peer.offer()})
            await peer.accept(answer["sdp"], 10)
            await asyncio.sleep(3.5)
            assert peer.state is PeerState.CONNECTED
            assert peer.flow is not None and peer.flow.consent is not None
            # it answers all the same; nobody hears it
            monkeypatch.setattr(peer.flow.consent, "take", lambda _: b"")
            await until(lambda: peer.state is PeerState.FAILED)
            assert "consent" in str(peer.error)

    play(scene)


def test_a_fingerprint_that_does_not_match_ends_both() -> None:
    async def scene(place: Place) -> None:
        caller, callee = place.peer(), place.peer(controlling=False)
        answer = await callee.answer(await caller.offer(), 5)
        at = answer.index("sha-256 ") + 8
        forged = answer[:at] + ("00" if answer[at : at + 2] != "00" else "11") + answer[at + 2 :]
        with pytest.raises(MediaError, match="fingerprint") as caught:
            await caller.accept(forged, 5)
        assert caught.value.phase == "dtls"
        assert caller.state is PeerState.FAILED
        await until(lambda: callee.state is PeerState.CLOSED)

    play(scene)


def test_no_dtls_in_time() -> None:
    async def scene(place: Place) -> None:
        caller, callee = place.peer(), place.peer(controlling=False)

        async def forever(*_: object) -> None:
            await asyncio.sleep(60)

        callee._dtls.start = forever
        answer = await callee.answer(await caller.offer(), 5)
        with pytest.raises(MediaError, match=r"DTLS was not up within 0.5 s") as caught:
            await caller.accept(answer, 0.5)
        assert caught.value.phase == "dtls"

    play(scene)


def test_no_path_in_time() -> None:
    async def scene(place: Place) -> None:
        caller, callee = place.peer(), place.peer(controlling=False)
        answer = await callee.answer(await caller.offer(), 5)
        await callee.close()
        with pytest.raises(MediaError, match=r"ICE was not up within 0.3 s") as caught:
            await caller.accept(answer, 0.3)
        assert caught.value.phase == "ice"

    play(scene)


@pytest.mark.parametrize("public", ["8.8.8.8", "224.0.0.1"])
def test_a_public_candidate_is_refused(public: str) -> None:
    async def scene(place: Place) -> None:
        caller, callee = place.peer(), place.peer(controlling=False)
        answer = await callee.answer(await caller.offer(), 5)
        with pytest.raises(MediaError, match="neither loopback nor private") as caught:
            await caller.accept(answer.replace(" 127.0.0.1 ", f" {public} "), 5)
        assert caught.value.phase == "ice"
        assert caller.state is PeerState.NEW

    play(scene)


def test_no_candidate_is_refused() -> None:
    async def scene(place: Place) -> None:
        caller, callee = place.peer(), place.peer(controlling=False)
        answer = await callee.answer(await caller.offer(), 5)
        with pytest.raises(MediaError, match="no UDP candidate"):
            await caller.accept(answer.replace("a=candidate", "a=x"), 5)

    play(scene)


def test_things_out_of_order_are_refused() -> None:
    async def scene(place: Place) -> None:
        caller, callee = place.peer(), place.peer(controlling=False)
        with pytest.raises(MediaError, match="neither answered nor been answered"):
            await caller.connected()
        caller.set_sending(False)
        answer = await callee.answer(await caller.offer(), 5)
        await caller.accept(answer, 5)
        with pytest.raises(MediaError, match="takes no answer"):
            await caller.accept(answer, 5)

    play(scene)


def test_closing_while_connecting() -> None:
    async def scene(place: Place) -> None:
        caller, callee = place.peer(), place.peer(controlling=False)
        answer = await callee.answer(await caller.offer(), 5)
        connecting = asyncio.create_task(caller.accept(answer, 5))
        await asyncio.sleep(0.001)
        await caller.close()
        with pytest.raises(MediaError, match="closed while it connected"):
            await connecting
        assert caller.state is PeerState.CLOSED

    play(scene)


def test_pause_and_resume() -> None:
    async def scene(place: Place) -> None:
        caller, callee = await place.pair()
        await until(lambda: received(callee) > 3)
        caller.set_sending(False)
        await asyncio.sleep(0.1)
        before = received(callee)
        await asyncio.sleep(0.2)
        assert received(callee) == before
        caller.set_sending(True)
        await until(lambda: received(callee) > before + 3)
        assert callee.flow is not None and callee.flow.reception.lost == 0

    play(scene)


def test_a_far_end_that_only_listens_is_not_talked_to() -> None:
    async def scene(place: Place) -> None:
        caller, callee = place.peer(), place.peer(controlling=False)
        answer = await callee.answer(await caller.offer(), 5)
        await caller.accept(answer.replace("a=sendrecv", "a=sendonly"), 5)
        await until(lambda: received(caller) > 5)
        assert caller.flow is not None and caller.flow.sent == 0

    play(scene)


def test_closed_peers_leave_no_garbage() -> None:
    async def scene(place: Place) -> None:
        async def one_call() -> None:
            for peer in await place.pair():
                await peer.close()
            place.peers.clear()

        await one_call()
        # the last RTCP report of the pump's list is due within 1.5 s
        await asyncio.sleep(1.6)
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                await one_call()
            await asyncio.sleep(0.05)
            assert gc.collect() < 20
        finally:
            gc.enable()

    play(scene)
