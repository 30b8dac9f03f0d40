"""What a worker tells of its peers once a second: a row of statistics each, and that audio that was due stays away."""

from __future__ import annotations

from typing import Any

from janusload.media import mos
from janusload.media.carried import Carried, PeerState
from janusload.media.flow import Flow
from janusload.media.rtcp import ReportBlock
from janusload.media.tones import CHIRP_AT_S
from janusload.records import PeerEventKind

#: audio that was due and did not come for so long is told of
NO_MEDIA_S = 2.0

#: what Opus is taken to be sent with: a mixer's silence has fewer bits, and is no worse for that
_OPUS_BIT_RATE = 24_000


class Telling:
    """One peer, and what was told of it last."""

    def __init__(self, peer: Carried) -> None:
        self._peer = peer
        self._received = self._lost = 0
        self._reported: ReportBlock | None = None
        #: count of packets, and when it was first seen; -1 while nothing is due
        self._count = -1
        self._grew_ns = 0
        self._silent = False
        self._began_ns = 0

    def row(self, t_ns: int) -> list[Any]:
        """A row of statistics in the order of `messages.MEDIA_FIELDS`."""
        peer, flow = self._peer, self._peer.flow
        set_up = [peer.setup_ms, peer.ice_ms, peer.dtls_ms]
        if flow is None:
            return [peer.number, t_ns, peer.state, *[0] * 6, *[None] * 3, *set_up, *[None] * 4, peer.receives, None, 0]
        reception = flow.reception
        first_ns, begun_ns = reception.first_ns, peer.answered_unix_ns
        return [
            peer.number,
            t_ns,
            peer.state,
            flow.sent,
            reception.received,
            flow.sent_bytes,
            flow.received_bytes,
            reception.lost,
            flow.late,
            reception.jitter_ms,
            flow.rtt_ms,
            flow.remote_lost_share,
            *set_up,
            (first_ns - begun_ns) / 1e6 if first_ns and begun_ns else None,
            self._opinion(flow),
            flow.ssrc,
            flow.used,
            peer.receives,
            self._opinion_of_sent(flow),
            flow.dropped,
        ]

    def _opinion(self, flow: Flow) -> float | None:
        """MOS of what came since the call before; None if nothing did."""
        reception = flow.reception
        received, lost = reception.received - self._received, reception.lost - self._lost
        self._received, self._lost = reception.received, reception.lost
        return self._score(flow, received, lost, reception.jitter_ms or 0.0)

    def _opinion_of_sent(self, flow: Flow) -> float | None:
        """MOS of what the far end had of us between its reports; None if it has said nothing new."""
        before, now = self._reported, flow.reported
        if now is before or now is None:
            return None
        self._reported = now
        # the first tells where the count begins
        if before is None:
            return None
        lost = now.cumulative_lost - before.cumulative_lost
        jitter_ms = now.jitter * 1000 / flow.reception.clock_rate
        return self._score(flow, now.highest - before.highest - lost, lost, jitter_ms)

    def _score(self, flow: Flow, received: int, lost: int, jitter_ms: float) -> float | None:
        """MOS of so many packets; None if none came.

        A listener is taken to have a playout buffer of a packet and twice the jitter, and no use of in-band FEC.
        """
        if received <= 0:
            return None
        lost = max(0, lost)
        one_way_ms = (flow.rtt_ms or 0.0) / 2 + 2 * self._peer.clip.ptime_ms + 2 * jitter_ms
        rating = mos.rating(
            one_way_ms=one_way_ms,
            lost_share=lost / (received + lost),
            ie=mos.equipment(self._peer.codec, _OPUS_BIT_RATE),
            bpl=mos.BPL_OPUS if self._peer.codec == "opus" else mos.BPL_G711,
        )
        return round(mos.opinion(rating), 3)

    def spoken(self) -> int | None:
        """When a chirper's next or latest rising chirp was spoken, monotonic; None if that was told, or never was."""
        flow = self._peer.flow
        if flow is None or self._peer.clip.name != "chirp" or flow.began_ns == self._began_ns:
            return None
        self._began_ns = flow.began_ns
        # a packet leaves when the last of its sound was spoken
        ptime_ns = self._peer.clip.ptime_ms * 1_000_000
        return self._began_ns - ptime_ns + int(CHIRP_AT_S * 1e9)

    def event(self, t_ns: int) -> tuple[PeerEventKind, float] | None:
        """What has happened since the call before, with its seconds: audio stays away, or came again."""
        peer, flow = self._peer, self._peer.flow
        if flow is None or peer.state is not PeerState.CONNECTED or not peer.receives or peer.paused:
            self._count = -1
            return None
        if self._count < 0:
            # due from now on; who was silent before still is, until something comes
            self._count, self._grew_ns = flow.reception.received, t_ns
        elif flow.reception.received != self._count:
            away_s = (t_ns - self._grew_ns) / 1e9
            self._count, self._grew_ns = flow.reception.received, t_ns
            if self._silent:
                self._silent = False
                return PeerEventKind.MEDIA_AGAIN, away_s
        elif not self._silent and t_ns - self._grew_ns >= NO_MEDIA_S * 1e9:
            self._silent = True
            return PeerEventKind.NO_MEDIA, (t_ns - self._grew_ns) / 1e9
        return None
