"""One peer connection inside a media worker: ICE and DTLS by aiortc's ORTC objects, then RTP by the pump.

Between two of ours a set-up and its end cost 3.7 ms of CPU per peer, with Janus some 9 ms on a busy machine. The
profile is flat: SDP written and read 13 %, aioice's random strings 7 % (a gatherer makes a connection of its own before
it gets ours), OpenSSL's handshake 6 %, the parsing of addresses 6 %, the rest asyncio and STUN in small pieces. The
certificate, its context and its fingerprints are made once for all peers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aiortc import RTCCertificate, RTCIceGatherer
from aiortc.rtcdtlstransport import RTCDtlsTransport, SRTPProtectionProfile
from aiortc.rtcicetransport import RTCIceTransport
from OpenSSL import SSL

from janusload.errors import MediaError
from janusload.media import sdp
from janusload.media.carried import Carried, PeerState, nowhere
from janusload.media.clips import Clip
from janusload.media.flow import Tap
from janusload.media.ice import Address, PeerSocket, SocketConnection
from janusload.media.impairment import Fates
from janusload.media.pump import Pump

log = logging.getLogger(__name__)


class SharedCertificate(RTCCertificate):  # type: ignore[misc]  # aiortc is not followed by mypy
    """The worker's certificate; its OpenSSL context is made once, as making one costs more than a handshake's half."""

    _context: Any = None
    _fingerprints: Any = None

    def getFingerprints(self) -> Any:
        """Hashed once: a set-up asks four times."""
        if self._fingerprints is None:
            self._fingerprints = super().getFingerprints()
        return self._fingerprints

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> Any:
        if self._context is None:
            self._context = super()._create_ssl_context(srtp_profiles)
        return self._context


class Peer(Carried):
    """A peer connection with one audio stream each way: see `Carried`."""

    def __init__(
        self,
        number: int,
        *,
        clip: Clip,
        fates: Fates | None,
        tap: Tap | None = None,
        controlling: bool,
        addresses: list[str],
        allowed: Callable[[str], bool],
        certificate: SharedCertificate,
        pump: Pump,
        on_change: Callable[[Carried], None],
    ) -> None:
        super().__init__(number, clip=clip, fates=fates, tap=tap, on_change=on_change)
        self._allowed = allowed
        self._pump = pump
        self._certificate = certificate
        self._ssrc = secrets.randbits(32)
        self._cname = secrets.token_hex(8)
        self._connection = SocketConnection(controlling=controlling, addresses=addresses, allowed=allowed)
        # no servers: aiortc's default is a public STUN server
        gatherer = RTCIceGatherer(iceServers=[])
        gatherer._connection = self._connection
        self._gatherer = gatherer
        self._ice = RTCIceTransport(gatherer)
        self._dtls = RTCDtlsTransport(self._ice, [certificate])
        self._setup: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._released: asyncio.Future[None] | None = None
        self._silent = False

    async def offer(self) -> str:
        """Bind the sockets and write the offer, with all candidates in it.

        Raises:
            MediaError: phase `ice`; no socket.
        """
        return await self._describe("offer")

    async def answer(self, offer: str, timeout_s: float) -> str:
        """Write the answer to an offer and begin to connect; `connected` waits for that.

        Raises:
            MediaError: phase `sdp` or `ice`.
        """
        remote = self._read(offer, offering=True)
        self._dtls._set_role(remote.role)
        # an agent with ICE-lite leaves the checks to us, whoever offered (RFC 8445 section 6.1.1)
        self._connection.ice_controlling = remote.ice.iceLite
        text = await self._describe("answer", answering=remote)
        self._setup = asyncio.create_task(self._connect(remote, timeout_s))
        return text

    async def accept(self, answer: str, timeout_s: float) -> None:
        """Take the answer to our offer; returns when DTLS is up.

        Raises:
            MediaError: phase `sdp`, `ice` or `dtls`.
        """
        if self.state is not PeerState.NEW or self._setup is not None:
            raise MediaError(f"the peer is {self.state} and takes no answer", phase="sdp")
        remote = self._read(answer, offering=False)
        self._dtls._set_role(remote.role)
        self._setup = asyncio.create_task(self._connect(remote, timeout_s))
        await self.connected()

    async def connected(self) -> None:
        """Wait until DTLS is up.

        Raises:
            MediaError: phase `ice` or `dtls`; or the peer was closed meanwhile.
        """
        if self._setup is None:
            raise MediaError("the peer has neither answered nor been answered", phase="sdp")
        # not to be cancelled with whoever waits for it
        await asyncio.wait([self._setup])
        if self.error is not None:
            raise self.error
        if self._setup.cancelled():
            raise MediaError("the peer was closed while it connected", phase="ice")
        self._setup.result()

    async def close(self, *, silently: bool = False) -> None:
        """Say goodbye (RTCP BYE, DTLS close_notify), unless `silently`, and close the socket; again is nothing."""
        if silently and self._ending is None:
            self._silent = True
            self._connection.hush()
        if self.state not in (PeerState.CLOSED, PeerState.FAILED):
            self._change(PeerState.CLOSED)
        await asyncio.shield(self._end())

    def _read(self, text: str, *, offering: bool) -> sdp.Remote:
        remote = sdp.read(text, offering=offering, codec=self.codec)
        candidates = sdp.udp_candidates(remote)
        if not candidates:
            raise MediaError("the far end offers no UDP candidate", phase="ice")
        for candidate in candidates:
            if not self._allowed(candidate.ip):
                raise MediaError(
                    f"the candidate {candidate.ip} is neither loopback nor private: media goes there only when"
                    " public targets are allowed explicitly",
                    phase="ice",
                )
        return remote

    async def _describe(self, kind: str, answering: sdp.Remote | None = None) -> str:
        await self._gatherer.gather()
        fingerprints = self._certificate.getFingerprints()
        return sdp.describe(
            kind=kind,
            ice=self._gatherer.getLocalParameters(),
            candidates=self._gatherer.getLocalCandidates(),
            fingerprint=next(each for each in fingerprints if each.algorithm == "sha-256"),
            ssrc=self._ssrc,
            cname=self._cname,
            codec=self.codec,
            answering=answering,
        )

    async def _connect(self, remote: sdp.Remote, timeout_s: float) -> None:
        started_ns = time.monotonic_ns()
        self.answered_unix_ns = time.time_ns()
        self.receives = remote.receives
        self._change(PeerState.CONNECTING)
        phase = "ice"
        try:
            async with asyncio.timeout(timeout_s):
                for candidate in sdp.udp_candidates(remote):
                    await self._ice.addRemoteCandidate(candidate)
                await self._ice.addRemoteCandidate(None)
                await self._ice.start(remote.ice)
                if self._ice.state != "completed":
                    raise MediaError("ICE found no path to the far end", phase="ice")
                path_ns = time.monotonic_ns()
                self.ice_ms = (path_ns - started_ns) / 1e6
                phase = "dtls"
                await self._dtls.start(remote.dtls)
                if self._dtls.state != "connected":
                    raise MediaError(self._why_no_dtls(), phase="dtls")
                self._check_validity()
        except TimeoutError:
            self._fail(MediaError(f"{phase.upper()} was not up within {timeout_s:g} s", phase=phase))
        except MediaError as exc:
            self._fail(exc)
        except Exception as exc:
            # whatever aioice, aiortc and OpenSSL raise besides: the far end's doing, and this peer's end alone
            log.exception("an error of %s that has no name here", phase)
            self._fail(MediaError(f"{phase.upper()} failed: {type(exc).__name__}", phase=phase))
        else:
            now_ns = time.monotonic_ns()
            self.setup_ms, self.dtls_ms = (now_ns - started_ns) / 1e6, (now_ns - path_ns) / 1e6
            self._lend(remote)

    def _check_validity(self) -> None:
        """Refuse a certificate that has expired.

        aiortc and browsers look at its fingerprint only; whoever tests a server wants to know before others do.

        Raises:
            MediaError: phase `dtls`.
        """
        ended = self._dtls._ssl.get_peer_certificate(as_cryptography=True).not_valid_after_utc
        if ended < datetime.now(UTC):
            raise MediaError(f"the far end's certificate has expired, on {ended:%Y-%m-%d %H:%M} UTC", phase="dtls")

    def _why_no_dtls(self) -> str:
        if self._dtls.encrypted:
            return "DTLS: the certificate is not the one of the SDP's fingerprint, or no SRTP profile was agreed on"
        return "DTLS: the handshake failed"

    def _lend(self, remote: sdp.Remote) -> None:
        """Give the socket to the pump. No await between the handshake's end and here: aiortc reads SRTP no more."""
        transport, address = self._connection.nominated()
        for other in self._connection.sockets:
            if other is not transport:
                other.close()
        loop, connection = asyncio.get_running_loop(), self._connection
        try:
            # cheaper sends, and the kernel drops what comes from elsewhere
            transport.sock.connect(address)
        except OSError as exc:
            self._fail(MediaError(f"the chosen path to {address[0]} is gone: {exc.strerror}", phase="ice"))
            return

        def incoming(data: bytes, source: Address) -> None:
            loop.call_soon_threadsafe(self._incoming, transport, data, source)

        flow = self._pump.flow(
            sock=transport.sock,
            tx=self._dtls._tx_srtp,
            rx=self._dtls._rx_srtp,
            clip=self.clip,
            fates=self._fates,
            tap=self._tap,
            ssrc=self._ssrc,
            cname=self._cname,
            payload_type=remote.payload_type,
            audio_level_id=remote.audio_level_id,
            incoming=incoming,
            consent=connection.consent(address),
            on_lost=lambda: loop.call_soon_threadsafe(connection.expire),
        )
        flow.sending = remote.sends and not self.paused
        self.flow = flow
        flow.strange, flow.overflowed = transport.strange, transport.overflowed
        transport.lend(self._give_back)
        self._pump.add(flow, transport.early)
        transport.early.clear()
        self._dtls.on("statechange", self._dtls_closed)
        self._change(PeerState.CONNECTED)
        # it may have gone before we listened
        self._dtls_closed()

    def _incoming(self, transport: PeerSocket, data: bytes, source: Address) -> None:
        if self.flow is not None:
            self.flow.handed_back -= 1
        transport.incoming(data, source)

    def _release(self) -> asyncio.Future[None]:
        """Take the socket back from the pump, once; done when the pump has let go of it."""
        if self._released is None:
            loop = asyncio.get_running_loop()
            released: asyncio.Future[None] = loop.create_future()
            self._released = released

            def let_go() -> None:
                loop.call_soon_threadsafe(released.set_result, None)

            if self.flow is None:
                released.set_result(None)
            else:
                self._pump.release(self.flow, let_go, silently=self._silent)
        return self._released

    def _give_back(self, finish: Callable[[], None]) -> None:
        self._release().add_done_callback(lambda _: finish())

    def _dtls_closed(self) -> None:
        if self.state is not PeerState.CONNECTED or self._dtls.state != "closed":
            return
        if self._connection.closing:
            # aiortc calls DTLS closed as well when the path below it is lost
            self._fail(MediaError("the far end stopped answering consent checks (RFC 7675)", phase="ice"))
        else:
            self.error = MediaError("the far end closed the peer connection", phase="media")
            self._change(PeerState.CLOSED)
            self._end()

    def _fail(self, error: MediaError) -> None:
        if self.state in (PeerState.CLOSED, PeerState.FAILED):
            return
        # without its traceback, whose frames would hold this peer in a cycle
        self.error = error.with_traceback(None)
        self._change(PeerState.FAILED)
        self._end()

    def _end(self) -> asyncio.Task[None]:
        if self._ending is None:
            self._ending = asyncio.create_task(self._take_down())
        return self._ending

    async def _take_down(self) -> None:
        if self._setup is not None and not self._setup.done():
            self._setup.cancel()
            await asyncio.wait([self._setup])
        await self._release()
        await self._dtls.stop()
        if self._dtls.encrypted and self._dtls.state == "failed":
            # aiortc leaves without a word when it does not like the certificate; the far end should not have to guess
            with contextlib.suppress(SSL.Error, ConnectionError):
                self._dtls._ssl.shutdown()
                await self._dtls._write_ssl()
        await self._ice.stop()
        # aiortc's objects hold each other in cycles; cut here, so that no garbage collection has to find them
        if self.flow is not None:
            self.flow.incoming = nowhere
        self._dtls.remove_all_listeners()
        self._ice.remove_all_listeners()
