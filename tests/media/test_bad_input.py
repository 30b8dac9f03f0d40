"""What the far end and the network may do wrong: a typed error or a counted drop, and the others go on."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from aiortc.rtcdtlstransport import generate_certificate
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from janusload.errors import MediaError
from janusload.media import consent
from janusload.media.carried import PeerState
from janusload.media.peer import Peer, SharedCertificate
from tests.media.test_peer import Place, play, received, until

#: DTLS 1.2 record (RFC 6347 section 4.1) of a fatal handshake_failure alert, in the clear
ALERT = bytes.fromhex("15fefd00000000000000010002" + "0228")


def expired() -> SharedCertificate:
    """A certificate as aiortc makes them, whose time was over a minute ago."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = generate_certificate(key)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(made.subject)
        .issuer_name(made.issuer)
        .public_key(key.public_key())
        .serial_number(made.serial_number)
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(minutes=1))
    )
    return SharedCertificate(key=key, cert=builder.sign(key, hashes.SHA256()))


async def go_on(caller: Peer, callee: Peer) -> None:
    """Both are there and go on to talk."""
    before = received(caller), received(callee)
    await until(lambda: received(caller) > before[0] + 3 and received(callee) > before[1] + 3)
    assert (caller.state, callee.state) == (PeerState.CONNECTED, PeerState.CONNECTED)


def sock_of(peer: Peer) -> socket.socket:
    assert peer.flow is not None
    return peer.flow.sock


def test_an_expired_certificate_is_refused_in_words() -> None:
    async def scene(place: Place) -> None:
        caller, callee = place.peer(), place.peer(controlling=False, certificate=expired())
        answer = await callee.answer(await caller.offer(), 5)
        with pytest.raises(MediaError, match="certificate has expired, on 20") as caught:
            await caller.accept(answer, 5)
        assert caught.value.phase == "dtls"
        await until(lambda: callee.state is PeerState.CLOSED)
        await go_on(*await place.pair())

    play(scene)


def test_an_alert_in_the_handshake_ends_it() -> None:
    class NoCommonCipher(SharedCertificate):
        def _create_ssl_context(self, srtp_profiles: list[object]) -> SSL.Context:
            context = super()._create_ssl_context(srtp_profiles)
            context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256")
            return context

    async def scene(place: Place) -> None:
        caller, callee = place.peer(), place.peer(controlling=False, certificate=NoCommonCipher.generateCertificate())
        answer = await callee.answer(await caller.offer(), 5)
        with pytest.raises(MediaError) as caught:
            await caller.accept(answer, 5)
        assert caught.value.phase == "dtls"
        await until(lambda: callee.state is PeerState.FAILED)
        assert callee.error is not None and callee.error.phase == "dtls"
        await go_on(*await place.pair())

    play(scene)


def test_a_forged_alert_is_not_believed() -> None:
    async def scene(place: Place) -> None:
        caller, callee = await place.pair()
        for _ in range(3):
            sock_of(callee).send(ALERT)
        await go_on(caller, callee)

    play(scene)


def mutations(seed: int, count: int) -> list[bytes]:
    """Datagrams that look like STUN, DTLS, RTP and RTCP, and are none."""
    source = random.Random(seed)
    binding = bytes.fromhex("000100102112a442") + bytes(12) + bytes.fromhex("0006000361623a6300200008000100005e12a443")
    made = []
    for _ in range(count):
        kind = source.randrange(4)
        if kind == 0:
            data = bytearray(binding)
            for _ in range(source.randrange(1, 4)):
                data[source.randrange(len(data))] = source.getrandbits(8)
            data[0] &= 1
        elif kind == 1:
            data = bytearray((source.choice((20, 21, 22, 23, 25)), 0xFE, 0xFD)) + source.randbytes(source.randrange(90))
        else:
            data = bytearray((0x80, source.choice((111, 200, 201, 203)))) + source.randbytes(source.randrange(90))
        made.append(bytes(data[: source.randrange(1, len(data) + 1)]))
    return made


@pytest.mark.parametrize("seed", range(3))
def test_garbage_at_any_moment_changes_nothing(seed: int) -> None:
    async def scene(place: Place) -> None:
        loop = asyncio.get_running_loop()
        untoward: list[object] = []
        loop.set_exception_handler(lambda _, context: untoward.append(context))
        caller, callee = place.peer(), place.peer(controlling=False)
        offer = await caller.offer()
        answer = await callee.answer(offer, 10)
        garbage = mutations(seed, 400)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            connecting = asyncio.create_task(caller.accept(answer, 10))
            for data in garbage[:200]:
                for peer in (caller, callee):
                    for transport in peer._connection.sockets:
                        if transport.sock.fileno() >= 0:
                            stranger.sendto(data, transport.sock.getsockname())
                await asyncio.sleep(0)
            await connecting
            await callee.connected()
        for data in garbage[200:]:
            sock_of(callee).send(data)
            await asyncio.sleep(0)
        await go_on(caller, callee)
        assert caller.flow is not None and caller.flow.dropped > 50
        assert not untoward

    play(scene)


def test_a_remote_port_that_moves_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent, "CHECK_S", 0.05)

    async def scene(place: Place) -> None:
        caller, callee = await place.pair()
        await until(lambda: received(caller) > 3)
        assert callee.flow is not None
        here, there = sock_of(caller).getsockname(), sock_of(callee)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as moved:
            moved.bind(("127.0.0.1", 0))
            moved.connect(here)
            # from now on the far end talks from another port, and hears nothing at the old one
            callee.set_sending(False)
            await asyncio.sleep(0.1)
            before = received(caller)
            there.connect(("127.0.0.1", 9))
            for _ in range(20):
                # the kernel lets nobody in but the address that ICE chose
                with contextlib.suppress(ConnectionRefusedError):
                    moved.send(b"\x80\x6f" + bytes(60))
                await asyncio.sleep(0.01)
            assert received(caller) == before
            await until(lambda: caller.state is PeerState.FAILED)
        assert caller.error is not None and caller.error.phase == "ice" and "consent" in str(caller.error)
        await go_on(*await place.pair())

    play(scene)


@pytest.mark.parametrize("where", ["ice", "dtls"])
def test_what_the_libraries_raise_has_a_name_here(where: str, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    async def scene(place: Place) -> None:
        caller, callee = place.peer(), place.peer(controlling=False)
        answer = await callee.answer(await caller.offer(), 5)
        part: dict[str, Callable[[], object]] = {"ice": lambda: caller._ice, "dtls": lambda: caller._dtls}
        part[where]().start = broken  # type: ignore[attr-defined]
        with pytest.raises(MediaError, match=f"{where.upper()} failed: ZeroDivisionError") as caught:
            await caller.accept(answer, 5)
        assert caught.value.phase == where
        assert caller.state is PeerState.FAILED

    play(scene)
    assert "has no name here" in caplog.text
