from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import aioice
import pytest

from janusload.addresses import is_private
from janusload.errors import MediaError
from janusload.media import ice
from janusload.media.ice import PeerSocket, SocketConnection
from tests.media.flows import udp


class Protocol:
    """Stands where aioice's protocol object does."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.lost = False

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


def test_the_interface_that_routes_to_the_server() -> None:
    assert ice.local_addresses("127.0.0.1") == ["127.0.0.1"]


@pytest.mark.parametrize("address", ["example.com", "", "255.255.255.255"])
def test_no_route_is_told(address: str) -> None:
    with pytest.raises(MediaError, match="no route") as caught:
        ice.local_addresses(address)
    assert caught.value.phase == "ice"


def test_without_a_hint_loopback_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["10.0.0.1", "fe80::1", "fd00::1"])
    assert ice.local_addresses(None) == ["10.0.0.1", "fd00::1"]
    monkeypatch.setattr(ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [])
    with pytest.raises(MediaError, match="no address for media"):
        ice.local_addresses(None)


def test_rtp_waits_for_the_pump_and_the_rest_is_aioices() -> None:
    async def play() -> None:
        sock, far, protocol = udp(), udp(), Protocol()
        transport: Any = PeerSocket(asyncio.get_running_loop(), sock, protocol, is_private)  # type: ignore[arg-type]
        for data in (b"\x00stun", b"\x80rtp", b"\x16dtls", b"\x80" * 40, b"", b"\xff"):
            far.sendto(data, sock.getsockname())
        await asyncio.sleep(0.05)
        assert protocol.received == [b"\x00stun", b"\x16dtls"]
        assert [data for data, _ in transport.early] == [b"\x80rtp", b"\x80" * 40]
        assert all(stamp is not None for _, stamp in transport.early)
        for _ in range(ice.EARLY_LIMIT + 5):
            far.sendto(b"\x80flood", sock.getsockname())
        await asyncio.sleep(0.05)
        assert len(transport.early) == ice.EARLY_LIMIT
        assert (transport.strange, transport.overflowed) == (2, 7)
        transport.close()
        transport.close()
        await asyncio.sleep(0.01)
        assert protocol.lost and sock.fileno() == -1
        transport.sendto(b"x", far.getsockname())
        far.close()

    asyncio.run(play())


def test_nothing_is_sent_where_it_is_not_allowed() -> None:
    async def play() -> None:
        sock, far = udp(), udp()
        transport = PeerSocket(asyncio.get_running_loop(), sock, Protocol(), lambda host: host != "127.0.0.1")  # type: ignore[arg-type]
        transport.sendto(b"stun", far.getsockname())
        assert transport.refused == 1
        with pytest.raises(BlockingIOError):
            far.recv(100)
        transport.abort()
        await asyncio.sleep(0.01)
        far.close()

    asyncio.run(play())


def test_what_the_kernel_does_not_take_is_counted() -> None:
    async def play() -> None:
        sock = udp()
        transport = PeerSocket(asyncio.get_running_loop(), sock, Protocol(), lambda host: True)  # type: ignore[arg-type]
        transport.sendto(bytes(70_000), ("127.0.0.1", 9))
        assert transport.send_errors == 1
        transport.close()
        assert transport.is_closing()
        await asyncio.sleep(0.01)

    asyncio.run(play())


def test_a_lent_socket_is_closed_when_it_was_given_back() -> None:
    async def play() -> None:
        sock, protocol = udp(), Protocol()
        transport = PeerSocket(asyncio.get_running_loop(), sock, protocol, is_private)  # type: ignore[arg-type]
        asked: list[Any] = []
        transport.lend(asked.append)
        transport.close()
        await asyncio.sleep(0.01)
        assert len(asked) == 1 and not protocol.lost and sock.fileno() >= 0
        asked[0]()
        assert protocol.lost and sock.fileno() == -1

    asyncio.run(play())


def test_candidates_are_the_sockets_in_order_of_preference() -> None:
    async def play() -> None:
        connection = SocketConnection(controlling=True, addresses=["127.0.0.1", "127.0.0.2"], allowed=is_private)
        await connection.gather_candidates()
        first, second = connection.local_candidates
        assert (first.host, second.host) == ("127.0.0.1", "127.0.0.2")
        assert first.priority > second.priority
        assert [transport.get_extra_info("sockname")[1] for transport in connection.sockets] == [
            first.port,
            second.port,
        ]
        assert connection.sockets[0].get_extra_info("nothing", 5) == 5
        await connection.close()

    asyncio.run(play())


def test_media_takes_the_pair_on_which_the_far_end_shook_hands() -> None:
    """Both pairs may have been nominated, and the far end need not use the one that aioice kept."""

    async def play() -> None:
        connection = SocketConnection(controlling=True, addresses=["127.0.0.1", "127.0.0.2"], allowed=is_private)
        await connection.gather_candidates()
        remote = aioice.Candidate("1", 1, "udp", 1, "127.0.0.9", 9000, "host")
        kept, used = (aioice.ice.CandidatePair(protocol, remote) for protocol in connection._protocols)
        connection._check_list += [kept, used]
        connection._nominated[1] = kept
        assert connection.nominated() == (connection.sockets[0], ("127.0.0.9", 9000))
        connection.sockets[1].incoming(b"\x16hello", ("127.0.0.9", 9000))
        assert connection.nominated() == (connection.sockets[1], ("127.0.0.9", 9000))
        assert connection._nominated[1] is used  # consent is checked there too
        connection.sockets[0].incoming(b"\x16hello", ("127.0.0.9", 9000))
        connection._nominated[1] = kept
        assert connection.nominated()[0] is connection.sockets[0]
        await connection.close()

    asyncio.run(play())


@pytest.mark.parametrize("address", ["127.0.0.1", "203.0.113.77"])
def test_no_socket_is_a_media_error(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    async def play() -> None:
        connection = SocketConnection(controlling=True, addresses=[address], allowed=is_private)
        if address == "127.0.0.1":
            monkeypatch.setattr(ice.socket, "socket", full)
        with pytest.raises(MediaError, match="no socket for media") as caught:
            await connection.gather_candidates()
        assert caught.value.phase == "ice"
        monkeypatch.undo()
        await connection.close()

    asyncio.run(play())


def test_dtls_that_nobody_reads_is_bounded() -> None:
    async def play() -> None:
        connection = ice.SocketConnection(controlling=True, addresses=["127.0.0.1"], allowed=is_private)
        for _ in range(3 * ice.UNREAD_LIMIT):
            connection.data_received(b"\x16dtls", 1)
        assert connection._queue.qsize() == ice.UNREAD_LIMIT
        await connection.close()

    asyncio.run(play())
