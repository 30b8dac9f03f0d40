"""The gevent side of media: spreads peers over worker processes, asks for them, passes on what they report."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import gevent
import gevent.event

from janusload.errors import MediaError, WorkerLost
from janusload.media import messages
from janusload.media.link import WorkerLink
from janusload.media.messages import Message
from janusload.records import MediaRecord, Record

log = logging.getLogger(__name__)

#: what the engine gives a worker beyond the time that the worker itself has for an answer
GRACE_S = 3.0

_FINAL = ("closed", "failed")


class Engine:
    """Media workers and the peers that they carry.

    Args:
        workers: how many processes; each can use one core.
        on_record: called with a MediaRecord per peer and a HealthRecord per worker about every second; must not block.
        on_lost: called with a worker's number and a reason when its process is gone without having been asked to go.
        public_targets: allow media to addresses that are neither loopback nor private.

    Attributes:
        pids: processes of the workers that run.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        on_record: Callable[[Record], None] = lambda record: None,
        on_lost: Callable[[int, str], None] = lambda worker, reason: None,
        public_targets: bool = False,
    ) -> None:
        self._carriers = [Carrier(number, on_record, on_lost, public_targets) for number in range(workers)]
        self._numbers = itertools.count()

    @property
    def pids(self) -> list[int]:
        return [carrier.link.pid for carrier in self._carriers if carrier.link.alive]

    def start(self, timeout_s: float = 30) -> None:
        """Start the workers; returns when each has said hello.

        Raises:
            MediaError: phase `worker`; one did not. None is left running.
        """
        try:
            for carrier in self._carriers:
                carrier.link.start()
            with gevent.Timeout(timeout_s, MediaError(f"no media worker within {timeout_s:g} s", phase="worker")):
                for carrier in self._carriers:
                    carrier.link.wait_hello()
        except BaseException:
            self.stop(timeout_s=0)
            raise

    def stop(self, timeout_s: float = 5) -> None:
        """End peers and workers; who does not end in time is killed. Again is nothing."""
        for carrier in self._carriers:
            carrier.link.tell_stop()
        deadline = time.monotonic() + timeout_s
        for carrier in self._carriers:
            carrier.link.finish(max(0.0, deadline - time.monotonic()))

    def peer(self, name: str, *, clip: str = "speech", loss: str = "", route_to: str | None = None) -> Peer:
        """A peer on the worker that carries the fewest; nothing is created yet.

        Args:
            name: what its records are called.
            clip: what it says: `speech`, `silence`, `tone` (one of several, by turns) or `tone:HERTZ`.
            loss: packets that are not to leave, as `every:2` or `random:0.1`: see `impairment`.
            route_to: address of the server: media is bound to the interface that routes there, and no other. Without
                it, candidates are gathered on all interfaces but loopback.

        Raises:
            WorkerLost: no worker runs.
        """
        alive = [carrier for carrier in self._carriers if carrier.link.alive]
        if not alive:
            raise WorkerLost("no media worker is running")
        carrier = min(alive, key=lambda each: len(each.peers))
        return Peer(carrier, next(self._numbers), name, {"clip": clip, "loss": loss, "route_to": route_to})


class Peer:
    """One peer connection, as a context manager: leaving the block closes it.

    Attributes:
        state: new, connecting, connected, closed or failed.
        error: why it failed or was closed by the far end; None otherwise.
        record: its latest MediaRecord; None before the first.
        dropped: datagrams that came and were thrown away: forged, replayed, or no media at all.
        ended: set once the state is closed or failed.
    """

    def __init__(self, carrier: Carrier, number: int, name: str, making: dict[str, Any]) -> None:
        self.name = name
        self.number = number
        self.state = "new"
        self.error: MediaError | None = None
        self.record: MediaRecord | None = None
        self.dropped = 0
        self.ended = gevent.event.Event()
        self._carrier = carrier
        self._link = carrier.link
        self._making = making
        self.created = False
        self._closed = False
        carrier.peers[number] = self

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def worker(self) -> int:
        """Number of the worker that carries it."""
        return self._link.number

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
        self._create()
        offer = _sdp(jsep, "offer")
        sdp = self._ask("answer", timeout_s, sdp=offer, timeout_s=connect_timeout_s, **self._making)
        return {"type": "answer", "sdp": sdp, "trickle": False}

    def connected(self, timeout_s: float = 15) -> None:
        """Wait until DTLS is up, after `answer`.

        Raises:
            MediaError: phase `sdp`, `ice`, `dtls` or `worker`.
            WorkerLost: the worker is gone.
        """
        self._ask("connected", timeout_s)

    def pause(self) -> None:
        """Stop sending RTP; RTCP and consent checks go on, so the far end sees silence, not a loss of the path."""
        self._ask("sending", GRACE_S, on=False)

    def resume(self) -> None:
        """Go on sending RTP."""
        self._ask("sending", GRACE_S, on=True)

    def close(self) -> None:
        """Have the worker say goodbye (RTCP BYE, DTLS close_notify) and close the socket.

        Waits for nothing: `ended` tells when it has happened. Again is nothing.
        """
        if self._closed:
            return
        self._closed = True
        if self.created and not self._link.gone:
            self._link.post({"verb": "close", "peer": self.number})
        else:
            self.end("closed")
        self._carrier.forget(self)

    def end(self, state: str, error: MediaError | None = None) -> None:
        """Take the final state; for the engine."""
        if self.state not in _FINAL:
            self.state = state
            self.error = error
        self.ended.set()

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


def _sdp(jsep: dict[str, Any], kind: str) -> str:
    text = jsep.get("sdp") if isinstance(jsep, dict) else None
    if not isinstance(text, str) or jsep.get("type") != kind:
        raise MediaError(f"a jsep {kind} with an SDP was due", phase="sdp")
    return text


class Carrier:
    """A worker as the engine holds it: the link to it, and the peers that it carries.

    Attributes:
        peers: those that were not closed, by number.
    """

    def __init__(
        self,
        number: int,
        on_record: Callable[[Record], None],
        on_lost: Callable[[int, str], None],
        public_targets: bool,
    ) -> None:
        self.link = WorkerLink(number, on_said=self._said, on_end=self._end, public_targets=public_targets)
        self.peers: dict[int, Peer] = {}
        self._closing: dict[int, Peer] = {}
        self._on_record = on_record
        self._on_lost = on_lost

    def forget(self, peer: Peer) -> None:
        """A peer was closed: it counts no more, but its last record is still to come."""
        if self.peers.pop(peer.number, None) is not None and peer.created and not self.link.gone:
            self._closing[peer.number] = peer

    def _said(self, message: Message) -> None:
        match message["say"]:
            case "media":
                for row in message["rows"]:
                    self._media(row)
            case "health":
                self._pass_on(messages.health_record(message, worker=self.link.number))
            case "state":
                self._state(message)

    def _media(self, row: list[Any]) -> None:
        number = row[0]
        peer = self.peers.get(number) or self._closing.get(number)
        if peer is None:
            return
        peer.record, peer.dropped = messages.media_record(row, peer=peer.name, worker=self.link.number)
        self._pass_on(peer.record)
        if peer.record.state in _FINAL and number in self._closing:
            del self._closing[number]
            peer.end(peer.record.state)

    def _state(self, said: Message) -> None:
        peer = self.peers.get(said["peer"]) or self._closing.get(said["peer"])
        if peer is None:
            return
        if said["state"] in _FINAL:
            # a peer that we close ends with its last record, see _media
            if said["peer"] in self.peers:
                error = MediaError(said["reason"], phase=said["phase"]) if "reason" in said else None
                peer.end(said["state"], error)
        else:
            peer.state = said["state"]

    def _pass_on(self, record: Record) -> None:
        try:
            self._on_record(record)
        except Exception:
            # a receiver's fault must not end the reader, and with it all peers of the worker
            log.exception("a receiver of media records failed")

    def _end(self, error: WorkerLost, reason: str | None) -> None:
        """The worker is gone, and everything that it carried with it; `reason` where nobody had asked it to go."""
        state = "closed" if reason is None else "failed"
        for peer in [*self.peers.values(), *self._closing.values()]:
            if peer.state not in _FINAL and peer.record is not None:
                peer.record = peer.record._replace(t_ns=time.monotonic_ns(), state=state)
                self._pass_on(peer.record)
            peer.end(state, error)
        self.peers.clear()
        self._closing.clear()
        if reason is not None:
            try:
                self._on_lost(self.link.number, reason)
            except Exception:
                log.exception("a receiver of lost media workers failed")
