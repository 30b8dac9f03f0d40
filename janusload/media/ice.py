"""ICE over one UDP socket that belongs to us: aioice does the checks, the pump takes the socket afterwards.

aioice would bind a socket on every interface and read it through asyncio until the end. Here a peer has a socket of
its own, bound where it is wanted; asyncio reads it until the handshake is done, then the pump does, and hands
what is neither RTP, RTCP nor a check of consent (see `consent`) back to aioice (RFC 7983 section 7): DTLS goes on.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

import aioice
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol, get_host_addresses

from janusload.errors import MediaError
from janusload.media.consent import Consent, Credentials

Address = tuple[str, int]

#: RTP and RTCP that came before the pump took the socket: 0.6 s of one stream
EARLY_LIMIT = 32

#: datagrams of DTLS that wait to be read: some handshakes' worth
UNREAD_LIMIT = 64

_LARGEST = 2048
_STAMP = struct.Struct("qq")
#: Linux's numbers on all its common architectures; the socket module does not name them
SO_TIMESTAMPNS = 35
ANCILLARY_BYTES = socket.CMSG_SPACE(_STAMP.size)


def local_addresses(route_to: str | None) -> list[str]:
    """Addresses to gather on: the one that routes to `route_to`, or all of this machine but loopback.

    Raises:
        MediaError: phase `ice`; there is none.
    """
    if route_to is None:
        addresses: list[str] = [
            address
            for address in get_host_addresses(use_ipv4=True, use_ipv6=True)
            if not ipaddress.ip_address(address).is_link_local
        ]
        if not addresses:
            raise MediaError("this machine has no address for media but loopback", phase="ice")
        return addresses
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(route_to).version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # connecting a UDP socket sends nothing: it only asks for the route
            probe.connect((route_to, 9))
            return [probe.getsockname()[0]]
    except (ValueError, OSError) as exc:
        raise MediaError(f"no route to {route_to} for media: {exc}", phase="ice") from exc


def arrival_ns(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """The kernel's receive stamp in Unix nanoseconds, where there is one."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) >= _STAMP.size:
            seconds, rest = _STAMP.unpack_from(data)
            return int(seconds) * 1_000_000_000 + int(rest)
    return None


class PeerSocket(asyncio.DatagramTransport):
    """The UDP socket of a peer, as the transport that aioice's protocol object talks to.

    Attributes:
        sock: the socket; read by asyncio until `lend`.
        early: RTP and RTCP from before that, as (datagram, Unix ns of arrival).
        refused: datagrams that were to go to an address that is not allowed, and were not sent.
        send_errors: datagrams that the kernel did not take.
        strange: datagrams that were nothing that RFC 7983 knows.
        overflowed: RTP and RTCP from before `lend` that there was no more room for.
        silent: whether nothing is sent any more.
        handshaker: where DTLS came from last; None before.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: StunProtocol,
        allowed: Callable[[str], bool],
    ) -> None:
        super().__init__()
        self.sock = sock
        self.early: deque[tuple[bytes, int | None]] = deque(maxlen=EARLY_LIMIT)
        self.refused = 0
        self.send_errors = 0
        self.strange = 0
        self.overflowed = 0
        self.silent = False
        self.handshaker: Address | None = None
        self._loop = loop
        self._protocol: Any = protocol
        self._allowed = allowed
        self._checked: set[str] = set()
        self._give_back: Callable[[Callable[[], None]], None] | None = None
        self._closing = False
        loop.add_reader(sock.fileno(), self._readable)

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send, or drop and count: as a network does, this raises nothing."""
        if self.silent or (self._closing and self.sock.fileno() < 0):
            return
        host = addr[0]
        # peer-reflexive candidates come from the network, so the check belongs here and not only where SDP is read
        if host not in self._checked:
            if not self._allowed(host):
                self.refused += 1
                return
            self._checked.add(host)
        try:
            self.sock.sendto(data, addr)
        except OSError:
            self.send_errors += 1

    def _readable(self) -> None:
        # bounded, so that a flood at one peer does not keep the loop from the others
        for _ in range(16):
            try:
                data, ancillary, _, addr = self.sock.recvmsg(_LARGEST, ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError:
                # an ICMP error of an earlier datagram, as ECONNREFUSED: the checks' own timers deal with it
                continue
            if data and 128 <= data[0] < 192:
                self.overflowed += len(self.early) == EARLY_LIMIT
                self.early.append((data, arrival_ns(ancillary)))
            elif data and (data[0] <= 3 or 20 <= data[0] <= 63):
                self.incoming(data, addr)
            else:
                self.strange += 1

    def incoming(self, data: bytes, addr: Any) -> None:
        """Hand STUN or DTLS to aioice; on the loop's thread only."""
        if not self._closing:
            if 20 <= data[0] <= 63:  # RFC 7983 section 7
                self.handshaker = addr[:2]
            self._protocol.datagram_received(data, addr)

    def lend(self, give_back: Callable[[Callable[[], None]], None]) -> None:
        """Stop reading: somebody else does from now on.

        Args:
            give_back: called when the socket is to be closed; calls its argument, on the loop's thread, when the
                borrower has let go of it.
        """
        self._loop.remove_reader(self.sock.fileno())
        self._give_back = give_back

    def close(self) -> None:
        """Close the socket, after the borrower has let go of it; then the protocol learns that it is lost."""
        if self._closing:
            return
        self._closing = True
        if self._give_back is None:
            self._loop.remove_reader(self.sock.fileno())
            self._loop.call_soon(self._finish)
        else:
            give_back, self._give_back = self._give_back, None
            give_back(self._finish)

    def abort(self) -> None:
        """The same as `close`: nothing is buffered here."""
        self.close()

    def is_closing(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`sockname` and `socket`, as asyncio's own transports know them."""
        known = {"sockname": self.sock.getsockname, "socket": lambda: self.sock}
        return known[name]() if name in known else default  # type: ignore[no-untyped-call]  # aioice is not followed by mypy

    def _finish(self) -> None:
        self.sock.close()
        self._protocol.connection_lost(None)
        # they hold each other; cut, so that no garbage collection has to find them
        self._protocol = None


class SocketConnection(aioice.Connection):  # type: ignore[misc]  # aioice is not followed by mypy
    """An ICE connection whose sockets are made here: host candidates on the given addresses, one component.

    Attributes:
        sockets: one per local address.
        closing: whether it is being closed: by its owner, or by itself when consent has expired.
    """

    def __init__(self, *, controlling: bool, addresses: list[str], allowed: Callable[[str], bool]) -> None:
        super().__init__(ice_controlling=controlling, components=1)
        self.sockets: list[PeerSocket] = []
        self.closing = False
        self._addresses = addresses
        self._allowed = allowed
        #: nobody else keeps the task
        self._expiring: asyncio.Task[None] | None = None

    def data_received(self, data: bytes, component: int) -> None:
        """Take a datagram of DTLS; those that nobody reads are bounded, as anybody may send them before ICE is up."""
        if self._queue.qsize() < UNREAD_LIMIT:
            super().data_received(data, component)

    def hush(self) -> None:
        """Send nothing any more, as a process that is gone."""
        for each in self.sockets:
            each.silent = True

    async def query_consent(self) -> None:
        """Nothing: the pump asks for it, see `consent`."""

    def consent(self, address: Address) -> Consent:
        """Consent on the path to a far end; once ICE has agreed on one, roles are settled."""
        assert self.remote_username is not None and self.remote_password is not None
        return Consent(
            local=Credentials(self.local_username, self.local_password),
            remote=Credentials(self.remote_username, self.remote_password),
            controlling=self.ice_controlling,
            tie_breaker=self._tie_breaker,
            priority=candidate_priority(1, "prflx"),
            address=address,
        )

    def expire(self) -> None:
        """Close, as consent is over."""
        if not self.closing:
            self._expiring = asyncio.create_task(self.close())

    async def gather_candidates(self) -> None:
        """Bind the sockets; their addresses are the candidates.

        Raises:
            MediaError: phase `ice`; no socket could be had, as with too many open files.
        """
        loop = asyncio.get_running_loop()
        for address in self._addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                sock = socket.socket(family, socket.SOCK_DGRAM)
            except OSError as exc:
                raise MediaError(f"no socket for media: {exc.strerror}", phase="ice") from exc
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
                sock.bind((address, 0))
            except OSError as exc:
                sock.close()
                raise MediaError(f"no socket for media on {address}: {exc.strerror}", phase="ice") from exc
            protocol: Any = StunProtocol(self)
            transport = PeerSocket(loop, sock, protocol, self._allowed)
            protocol.connection_made(transport)
            host, port = sock.getsockname()[:2]
            protocol.local_candidate = aioice.Candidate(
                foundation=candidate_foundation("host", "udp", host),
                component=1,
                transport="udp",
                # RFC 8445 section 5.1.2.2 wants them different; the first address is the one we would rather use
                priority=candidate_priority(1, "host", 65535 - len(self.sockets)),
                host=host,
                port=port,
                type="host",
            )
            self.sockets.append(transport)
            self._protocols.append(protocol)
            self._local_candidates.append(protocol.local_candidate)
        self._local_candidates_start = self._local_candidates_end = True

    async def close(self) -> None:
        """Close the sockets, and cut the cycles that hold this object and its protocols: no collector has to."""
        self.closing = True
        await super().close()
        self._check_list.clear()
        self.sockets.clear()

    def nominated(self) -> tuple[PeerSocket, Address]:
        """The socket and remote address for media; after a successful handshake only.

        With several sockets more than one pair may have been nominated, and the far end need not send on the one that
        aioice keeps (seen with Janus when this machine was busy). What counts is where its handshake came from: that
        pair is made the nominated one, so that consent is checked on it as well.
        """
        pair = self._nominated[1]
        if pair.protocol.transport.handshaker != pair.remote_addr:
            for other in self._check_list:
                if other.protocol.transport.handshaker == other.remote_addr:
                    pair = self._nominated[1] = other
                    break
        transport = pair.protocol.transport
        if not isinstance(transport, PeerSocket):
            raise MediaError("ICE chose a path that is not a socket of ours", phase="ice")
        return transport, pair.remote_addr
