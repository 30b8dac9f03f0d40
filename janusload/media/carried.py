"""What a worker carries, be it a peer connection or plain RTP: its state, its sound, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from janusload.errors import MediaError
from janusload.media.clips import Clip
from janusload.media.flow import Flow, Tap
from janusload.media.ice import Address
from janusload.media.impairment import Fates


class PeerState(StrEnum):
    """Where a peer is; CLOSED and FAILED are final."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"
    FAILED = "failed"


class Carried:
    """Somebody who sends one audio stream and receives one.

    Args:
        number: the engine's number for it.
        clip: what it says.
        fates: what becomes of its packets, see `impairment`; None if all leave at once.
        tap: where the packets go that it receives; None if nobody listens.
        on_change: called with it after each change of its state.

    Attributes:
        state: a `PeerState`.
        error: why it failed or closed by itself, None otherwise.
        flow: its RTP, once connected; stays readable after the end.
        codec: of the clip.
        receives: whether the far end has agreed to send.
        paused: whether it was asked to send nothing; an echo then owes it nothing.
        answered_unix_ns: when the far end's answer was handed over; None before that.
        setup_ms: from then until DTLS was up; `ice_ms` and `dtls_ms` are the parts of it. None where there is no such.
    """

    def __init__(
        self,
        number: int,
        *,
        clip: Clip,
        fates: Fates | None,
        tap: Tap | None,
        on_change: Callable[[Carried], None],
    ) -> None:
        self.number = number
        self.clip = clip
        self.codec = clip.codec
        self.state = PeerState.NEW
        self.error: MediaError | None = None
        self.flow: Flow | None = None
        self.receives = False
        self.paused = False
        self.answered_unix_ns: int | None = None
        self.setup_ms: float | None = None
        self.ice_ms: float | None = None
        self.dtls_ms: float | None = None
        self._fates = fates
        self._tap = tap
        self._on_change = on_change

    def set_sending(self, sending: bool) -> None:
        """Stop or go on sending RTP; RTCP and consent checks go on in either case, where there are such."""
        self.paused = not sending
        if self.flow is not None and sending != self.flow.sending:
            self.flow.begin_talkspurt()
            # a clip that goes on after a pause begins anew, so that it is known when it did
            self.flow.index = 0
            self.flow.sending = sending

    async def close(self, *, silently: bool = False) -> None:
        """Say goodbye, where there is a way to, unless `silently`, and close the socket; again is nothing."""
        raise NotImplementedError

    def _change(self, state: PeerState) -> None:
        self.state = state
        self._on_change(self)


def nowhere(datagram: bytes, source: Address) -> None:
    """Where STUN and DTLS go that nobody is there for."""
