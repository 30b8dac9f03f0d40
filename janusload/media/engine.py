"""The gevent side of media: spreads peers over worker processes, asks for them, passes on what they report."""

from __future__ import annotations

import itertools
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent

from janusload.errors import MediaError, WorkerLost
from janusload.media import messages
from janusload.media.link import WorkerLink
from janusload.media.messages import Message, TickChoice
from janusload.media.mixes import Mixes, Voice
from janusload.media.participants import FINAL, Participant, Peer, PlainPeer
from janusload.records import PeerEventKind, PeerEventRecord, Record

log = logging.getLogger(__name__)

#: peers that listen at the same time without having been asked to one by one: they are all listened to in a minute, and
#: the others are left to the C tick
MOST_LISTENERS = 50

#: an impairment, as text or as a table: see `impairment`
Impair = str | Mapping[str, object]


class Engine:
    """Media workers and the peers that they carry.

    Args:
        workers: how many processes; each can use one core.
        on_record: called with a MediaRecord per peer and a HealthRecord per worker about every second, and with a
            PeerEventRecord within a second of audio that was due having stayed away for two; must not block.
        on_lost: called with a worker's number and a reason when its process is gone without having been asked to go.
        public_targets: allow media to addresses that are neither loopback nor private.
        tick: a `TickChoice`, what runs the RTP: the C tick where it can be had, unless it says otherwise. Without it
            the environment's JANUSLOAD_TICK decides.
        hear_share: share of the peers that listen to what they receive, 0..1; `on_record` gets a HeardRecord for each
            talker that each of them should hear, some times a minute; never more than `MOST_LISTENERS` at a time.

    Attributes:
        pids: processes of the workers that run.
        ticks: what runs the RTP of each of them, `python` or `c`.
        real_time: whether each of them goes first on this machine (see `process.take_real_time`).

    Raises:
        MediaError: phase `worker`; there is no such tick.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        on_record: Callable[[Record], None] = lambda record: None,
        on_lost: Callable[[int, str], None] = lambda worker, reason: None,
        public_targets: bool = False,
        tick: str | None = None,
        hear_share: float = 0.0,
    ) -> None:
        tick = tick or os.environ.get("JANUSLOAD_TICK") or TickChoice.AUTO
        if tick not in list(TickChoice):
            raise MediaError(f"there is no tick {tick!r}; known are {', '.join(TickChoice)}", phase="worker")
        self._mixes = Mixes()
        self._carriers = [
            Carrier(number, on_record, on_lost, public_targets, tick, self._mixes) for number in range(workers)
        ]
        self._hear_share = hear_share
        self._sampled = 0
        self._numbers = itertools.count()

    @property
    def pids(self) -> list[int]:
        return [carrier.link.pid for carrier in self._carriers if carrier.link.alive]

    @property
    def ticks(self) -> list[str]:
        return [carrier.link.hello["tick"] for carrier in self._carriers if carrier.link.alive]

    @property
    def real_time(self) -> list[bool]:
        return [carrier.link.hello["real_time"] for carrier in self._carriers if carrier.link.alive]

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
                    if why := carrier.link.hello["without_c"]:
                        log.info("media worker %d runs the Python tick: %s", carrier.link.number, why)
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

    def peer(
        self,
        name: str,
        *,
        clip: str = "speech",
        codec: str = "opus",
        ptime_ms: int = 20,
        impair: Impair = "",
        loss: str = "",
        mix: str | None = None,
        hear: bool | None = None,
        route_to: str | None = None,
    ) -> Peer:
        """A peer connection on the worker that carries the fewest; nothing is created yet.

        Args:
            name: what its records are called.
            clip: what it says: `speech`, `silence`, `silence:dtx`, `chirp`, `tone` (one of several, by turns),
                `tone:HERTZ` or `file:PATH`.
            codec: `opus`, `pcma` or `pcmu`; only this one is offered.
            ptime_ms: duration of a packet: 20, 40 or 60; 20 for G.711.
            impair: what a bad network does to its packets, as `loss=bursts:0.05:3, delay=40` or as a table: see
                `impairment`.
            loss: the same as `impair` with this `loss` and nothing else.
            mix: name of what it is mixed into, as of a room: who should hear whom. Without one it should hear itself,
                as an echo; with an empty one it is not known what it should hear. Can be set later as well. One
                `chirp` in a mix has its delay from mouth to ear measured; a `tone` is one that few others of it have.
            hear: whether it listens; None leaves that to `hear_share`.
            route_to: address of the server: media is bound to the interface that routes there, and no other. Without
                it, candidates are gathered on all interfaces but loopback.

        Raises:
            MediaError: phase `media`; both `impair` and `loss` were given.
            WorkerLost: no worker runs.
        """
        carrier = self._least()
        making = self._making(clip, codec, ptime_ms, _either(impair, loss), mix, hear, route_to)
        return Peer(carrier, next(self._numbers), self._voice(name, mix, making), making, self._mixes)

    def plain(
        self,
        name: str,
        *,
        clip: str = "speech",
        codec: str = "opus",
        ptime_ms: int = 20,
        impair: Impair = "",
        loss: str = "",
        mix: str | None = None,
        hear: bool | None = None,
        route_to: str = "127.0.0.1",
    ) -> PlainPeer:
        """A plain-RTP participant of an AudioBridge room, without ICE and DTLS; nothing is created yet.

        Args:
            name, clip, codec, ptime_ms, impair, loss, mix, hear: as for `peer`.
            route_to: address of the server; the socket is bound to the interface that routes there.

        Raises:
            MediaError: phase `media`; both `impair` and `loss` were given.
            WorkerLost: no worker runs.
        """
        carrier = self._least()
        making = self._making(clip, codec, ptime_ms, _either(impair, loss), mix, hear, route_to)
        return PlainPeer(carrier, next(self._numbers), self._voice(name, mix, making), making, self._mixes)

    def _making(
        self,
        clip: str,
        codec: str,
        ptime_ms: int,
        impair: Impair,
        mix: str | None,
        hear: bool | None,
        route_to: str | None,
    ) -> dict[str, Any]:
        """What the worker is told to make."""
        if clip == "tone":
            clip = f"tone:{self._mixes.tone(mix)}"
        if hear is None and clip == "chirp":
            hear = False  # others are to hear it: where few listen it must not be the one
        elif hear is None:
            # the first, and then evenly
            hear = math.ceil((self._sampled + 1) * self._hear_share) > math.ceil(self._sampled * self._hear_share)
            hear = hear and sum(carrier.listeners for carrier in self._carriers) < MOST_LISTENERS
            self._sampled += 1
        return {
            "clip": clip,
            "codec": codec,
            "ptime_ms": ptime_ms,
            "impair": impair if isinstance(impair, str) else dict(impair),
            "hear": hear,
            "route_to": route_to,
        }

    def _voice(self, name: str, mix: str | None, making: dict[str, Any]) -> Voice:
        voice = Voice(name, mix, making["clip"])
        self._mixes.join(voice)
        return voice

    def _least(self) -> Carrier:
        """The worker that carries the fewest."""
        alive = [carrier for carrier in self._carriers if carrier.link.alive]
        if not alive:
            raise WorkerLost("no media worker is running")
        return min(alive, key=lambda each: len(each.peers))


def _either(impair: Impair, loss: str) -> Impair:
    if impair and loss:
        raise MediaError("an impairment says itself what is lost: give one or the other", phase="media")
    return impair or loss


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
        tick: str,
        mixes: Mixes,
    ) -> None:
        self._mixes = mixes
        self.link = WorkerLink(number, on_said=self._said, on_end=self._end, public_targets=public_targets, tick=tick)
        self.peers: dict[int, Participant] = {}
        self._closing: dict[int, Participant] = {}
        self._on_record = on_record
        self._on_lost = on_lost

    @property
    def listeners(self) -> int:
        """How many of its peers listen."""
        return sum(peer.hears for peer in self.peers.values())

    def forget(self, peer: Participant) -> None:
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
            case "gone":
                if peer := self._closing.pop(message["peer"], None):
                    peer.end("closed")
            case "event":
                self._event(message)
            case "spoken":
                if peer := self.peers.get(message["peer"]):
                    peer.voice.spoke(message["t_ns"])
            case "heard":
                if peer := self.peers.get(message["peer"]):
                    for record in self._mixes.heard(peer.voice, self.link.number, message):
                        self._pass_on(record)

    def _media(self, row: list[Any]) -> None:
        number = row[0]
        peer = self.peers.get(number) or self._closing.get(number)
        if peer is None:
            return
        peer.record, peer.dropped = messages.media_record(
            row, peer=peer.name, worker=self.link.number, tone_hz=peer.voice.tone_hz
        )
        self._pass_on(peer.record)
        if peer.record.state in FINAL and number in self._closing:
            del self._closing[number]
            peer.end(peer.record.state)

    def _state(self, said: Message) -> None:
        peer = self.peers.get(said["peer"]) or self._closing.get(said["peer"])
        if peer is None:
            return
        if said["state"] in FINAL:
            # a peer that we close ends with its last record, see _media
            if said["peer"] in self.peers:
                error = MediaError(said["reason"], phase=said["phase"]) if "reason" in said else None
                peer.end(said["state"], error)
        else:
            peer.begin(said["state"])

    def _event(self, said: Message) -> None:
        peer = self.peers.get(said["peer"])
        if peer is not None:
            peer.silent = said["kind"] == PeerEventKind.NO_MEDIA
            self._pass_on(PeerEventRecord(said["t_ns"], peer.name, self.link.number, said["kind"], said["seconds"]))

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
            if peer.state not in FINAL and peer.record is not None:
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
