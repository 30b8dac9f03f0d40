"""A plain-RTP participant inside a media worker: one UDP socket, the clip, and nothing else.

The AudioBridge takes such participants when `join` has an `rtp`; see janus.plugin.audiobridge.jcfg's
`allow_rtp_participants`. They send and read no RTCP: the AudioBridge takes whatever comes to that port for RTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import Callable

from janusload.errors import MediaError
from janusload.media.carried import Carried, PeerState, nowhere
from janusload.media.clips import Clip
from janusload.media.flow import Tap
from janusload.media.ice import SO_TIMESTAMPNS
from janusload.media.impairment import Fates
from janusload.media.pump import Pump
from janusload.media.sdp import LARGEST_PAYLOAD_TYPE


class PlainPeer(Carried):
    """RTP to and from one address, without encryption: connected as soon as it knows where to send."""

    def __init__(
        self,
        number: int,
        *,
        clip: Clip,
        fates: Fates | None,
        tap: Tap | None = None,
        payload_type: int,
        address: str,
        allowed: Callable[[str], bool],
        pump: Pump,
        on_change: Callable[[Carried], None],
    ) -> None:
        super().__init__(number, clip=clip, fates=fates, tap=tap, on_change=on_change)
        self.receives = True
        self._payload_type = payload_type
        self._address = address
        self._allowed = allowed
        self._pump = pump
        self._sock: socket.socket | None = None
        self._ending: asyncio.Future[None] | None = None

    def open(self) -> tuple[str, int, int]:
        """Bind the socket: our address and port, and the payload type that we send.

        Raises:
            MediaError: phase `ice`; no socket could be had, as with too many open files.
        """
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        try:
            sock = self._sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            sock.bind((self._address, 0))
        except OSError as exc:
            if self._sock is not None:
                self._sock.close()
            raise MediaError(f"no socket for media on {self._address}: {exc.strerror}", phase="ice") from exc
        host, port = sock.getsockname()[:2]
        return host, port, self._payload_type

    def connect(self, ip: str, port: int, payload_type: int | None) -> None:
        """Begin to send to an address and to receive from it.

        Raises:
            MediaError: phase `ice`; it is not allowed, or there is no way to it. Phase `media`; no such payload type.
        """
        if self._sock is None or self.state is not PeerState.NEW:
            raise MediaError(f"the plain-RTP participant is {self.state} and cannot be connected", phase="ice")
        if not self._allowed(ip):
            raise MediaError(
                f"the address {ip} is neither loopback nor private: media goes there only when public targets are"
                " allowed explicitly",
                phase="ice",
            )
        payload_type = self._payload_type if payload_type is None else payload_type
        if not 0 <= payload_type <= LARGEST_PAYLOAD_TYPE:
            raise MediaError(
                f"the far end wants a payload type of {payload_type}, and 127 is the largest", phase="media"
            )
        try:
            # only what comes from there is received
            self._sock.connect((ip, port))
        except (OSError, OverflowError) as exc:
            raise MediaError(f"no way to {ip} port {port} for media: {exc}", phase="ice") from exc
        self.flow = self._pump.flow(
            sock=self._sock,
            tx=None,
            rx=None,
            clip=self.clip,
            fates=self._fates,
            tap=self._tap,
            ssrc=secrets.randbits(32),
            cname="",
            payload_type=payload_type,
            audio_level_id=None,
            incoming=nowhere,
        )
        self.flow.sending = not self.paused
        self.answered_unix_ns = time.time_ns()
        self._pump.add(self.flow)
        self._change(PeerState.CONNECTED)

    async def close(self, *, silently: bool = False) -> None:
        """Close the socket, once the pump has let go of it; again is nothing. There is no goodbye to be said."""
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_future()
            self._change(PeerState.CLOSED)
            self._let_go(self._ending)
        await asyncio.shield(self._ending)

    def _let_go(self, ending: asyncio.Future[None]) -> None:
        if self.flow is None:
            self._finish(ending)
            return
        loop = asyncio.get_running_loop()

        def released() -> None:
            # the loop is closed where the worker ended without waiting for us
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._finish, ending)

        self._pump.release(self.flow, released, silently=True)

    def _finish(self, ending: asyncio.Future[None]) -> None:
        if self._sock is not None:
            self._sock.close()
        if not ending.done():
            ending.set_result(None)
