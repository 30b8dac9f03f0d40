"""The gevent side of one participant: a peer connection, or plain RTP. What is asked of it goes to its worker."""

from __future__ import annotations

from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import gevent.event

from janusload.errors import MediaError, WorkerLost
from janusload.media.link import WorkerLink
from janusload.media.mixes import Mixes, Voice
from janusload.records import MediaRecord

#: what the engine gives a worker beyond the time that the worker itself has for an answer
GRACE_S = 3.0

#: states that are not left any more
FINAL = ("closed", "failed")


class Carrier(Protocol):
    """What a participant needs of the worker that carries it, as the engine holds that (`engine.Carrier`)."""

    link: WorkerLink
    peers: dict[int, Participant]

    def forget(self, peer: Participant) -> None: ...


class Participant:
    """Somebody who sends and receives RTP, as a context manager: leaving the block closes it.

    Attributes:
        state: new, connecting, connected, closed or failed.
        error: why it failed or was closed by the far end; None otherwise.
        record: its latest MediaRecord; None before the first.
        dropped: datagrams that came and were thrown away: forged, replayed, or no media at all.
        silent: whether audio that is due has not come for two seconds.
        voice: how others of its mix should hear it.
        ended: set once the state is closed or failed.
    """

    def __init__(self, carrier: Carrier, number: int, voice: Voice, making: dict[str, Any], mixes: Mixes) -> None:
        self.name = voice.name
        self.number = number
        self.voice = voice
        self._mixes = mixes
        self.state = "new"
        self.error: MediaError | None = None
        self.record: MediaRecord | None = None
        self.dropped = 0
        self.silent = False
        self.ended = gevent.event.Event()
        self._carrier = carrier
        self._link = carrier.link
        self._making = making
        self.created = False
        self._closed = False
        self._muted = self._paused = False
        carrier.peers[number] = self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def hears(self) -> bool:
        """Whether it listens to what it receives."""
        return bool(self._making["hear"])

    @property
    def worker(self) -> int:
        """Number of the worker that carries it."""
        return self._link.number

    @property
    def mix(self) -> str | None:
        """What it is mixed into: see `Engine.peer`. To be set by who has it join a room, or change rooms."""
        return self.voice.mix

    @mix.setter
    def mix(self, mix: str | None) -> None:
        self._mixes.move(self.voice, mix)

    @property
    def muted(self) -> bool:
        """Whether the far end was told to let nobody hear it; to be set by who tells it. Packets leave all the same."""
        return self._muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self._muted = muted
        self._sound()

    def pause(self) -> None:
        """Stop sending RTP; RTCP and consent checks go on, so the far end sees silence, not a loss of the path."""
        self._ask("sending", GRACE_S, on=False)
        self._paused = True
        self._sound()

    def resume(self) -> None:
        """Go on sending RTP; the clip begins anew."""
        self._ask("sending", GRACE_S, on=True)
        self._paused = False
        self._sound()

    def count(self) -> tuple[int | None, int]:
        """Its RTP source (None before it sends), and how many RTP packets it has sent up to now.

        Raises:
            MediaError: it is closed, or the worker does not answer.
        """
        ssrc, sent = self._ask("count", GRACE_S)
        return ssrc, sent

    def close(self) -> None:
        """Have the worker say goodbye (RTCP BYE and DTLS close_notify, where there are such) and close the socket.

        Waits for nothing: `ended` tells when it has happened. Again is nothing.
        """
        self._leave(silently=False)

    def vanish(self) -> None:
        """Have the worker close the socket without a word: what a server sees of a client that is gone.

        Waits for nothing, as `close`; nothing after it.
        """
        self._leave(silently=True)

    def _leave(self, *, silently: bool) -> None:
        if self._closed:
            return
        self._closed = True
        self.voice.leave()
        if self.created and not self._link.gone:
            self._link.post({"verb": "close", "peer": self.number, "silently": silently})
        else:
            self.end("closed")
        self._carrier.forget(self)

    def begin(self, state: str) -> None:
        """Take a state that is not final; for the engine."""
        self.state = state
        self._sound()

    def end(self, state: str, error: MediaError | None = None) -> None:
        """Take the final state; for the engine."""
        if self.state not in FINAL:
            self.state = state
            self.error = error
        self.voice.leave()
        self.ended.set()

    def _sound(self) -> None:
        """Say whether others should hear it."""
        if not self.voice.gone:
            self.voice.set_audible(self.state == "connected" and not self._muted and not self._paused)

    def _create(self) -> None:
        if self.created:
            raise MediaError(f"the peer {self.name} has been described already", phase="sdp")
        self.created = True

    def _ask(self, verb: str, wait_s: float, /, **arguments: Any) -> Any:
        if self._closed:
            raise MediaError(f"the peer {self.name} is closed", phase="media")
        if isinstance(self.error, WorkerLost):
            raise WorkerLost(str(self.error))
        return self._link.ask({"verb": verb, "peer": self.number, **arguments}, wait_s)


class Peer(Participant):
    """One peer connection: ICE, DTLS, SRTP."""

    def offer(self, timeout_s: float = 10) -> dict[str, Any]:
        """A jsep offer with all candidates in it; then send it, and `accept` what comes back.

        Raises:
            MediaError: phase `ice` (no socket or no route), `media` (no such clip), or `worker` (no answer in time).
            WorkerLost: the worker is gone.
        """
        self._create()
        sdp = self._ask("offer", timeout_s, **self._making)
        return {"type": "offer", "sdp": sdp, "trickle": False}

    def accept(self, jsep: dict[str, Any], timeout_s: float = 15) -> None:
        """Take the answer to our offer; returns when DTLS is up and audio flows.

        Raises:
            MediaError: phase `sdp`, `ice`, `dtls` or `worker`.
            WorkerLost: the worker is gone.
        """
        self._ask("accept", timeout_s + GRACE_S, sdp=_sdp(jsep, "answer"), timeout_s=timeout_s)

    def answer(self, jsep: dict[str, Any], timeout_s: float = 10, connect_timeout_s: float = 15) -> dict[str, Any]:
        """A jsep answer to an offer of the far end; then send it, and wait with `connected`.

        Raises:
            MediaError: phase `sdp`, `ice`, `media` or `worker`.
            WorkerLost: the worker is gone.
        """
        offer = _sdp(jsep, "offer")
        self._create()
        sdp = self._ask("answer", timeout_s, sdp=offer, timeout_s=connect_timeout_s, **self._making)
        return {"type": "answer", "sdp": sdp, "trickle": False}

    def connected(self, timeout_s: float = 15) -> None:
        """Wait until DTLS is up, after `answer`.

        Raises:
            MediaError: phase `sdp`, `ice`, `dtls` or `worker`.
            WorkerLost: the worker is gone.
        """
        self._ask("connected", timeout_s)


class LocalRtp(NamedTuple):
    """Where a plain-RTP participant receives: what the AudioBridge's `join` wants to know in `rtp`."""

    ip: str
    port: int
    payload_type: int


class PlainPeer(Participant):
    """A plain-RTP participant: a UDP socket, no ICE, no DTLS, no RTCP.

    ::

        with engine.plain("caller", clip="speech") as peer:
            local = peer.open()
            joined = bridge.join(room, rtp={**local._asdict(), "fec": True})
            peer.connect(**joined.rtp)

    Cheap to open and close, for a churn of joins; it cannot stand for peers that close PeerConnections.
    """

    def open(self, timeout_s: float = 10) -> LocalRtp:
        """Bind the socket; then `join` with where it is, and `connect` to what comes back.

        Raises:
            MediaError: phase `ice` (no socket or no route), `media` (no such clip), or `worker` (no answer in time).
            WorkerLost: the worker is gone.
        """
        self._create()
        return LocalRtp(*self._ask("open", timeout_s, **self._making))

    def connect(self, ip: str, port: int, payload_type: int | None = None, timeout_s: float = 10) -> None:
        """Send to, and receive from, that address: audio flows when this returns.

        Args:
            payload_type: what the far end expects; None for what `open` said.

        Raises:
            MediaError: phase `ice`; the address is public and that was not allowed, or cannot be reached. Phase
                `media`; no such payload type.
            WorkerLost: the worker is gone.
        """
        self._ask("connect", timeout_s, ip=ip, port=port, payload_type=payload_type)


def _sdp(jsep: dict[str, Any], kind: str) -> str:
    text = jsep.get("sdp") if isinstance(jsep, dict) else None
    if not isinstance(text, str) or jsep.get("type") != kind:
        raise MediaError(f"a jsep {kind} with an SDP was due", phase="sdp")
    return text
