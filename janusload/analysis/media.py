"""What the participants sent and heard, from the counters of their peers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from janusload.analysis.quantiles import spread
from janusload.records import PeerEventKind
from janusload.summary import Media

_BIN_NS = 2_000_000_000  # peers report about once a second, each at its own moment


@dataclass(frozen=True)
class Flow:
    """How many participants had audio flowing: connected, and receiving more than at their report before (or sending
    more, where nothing is to be received).

    Attributes:
        begin_ns: beginning of the first bin.
        counts: shape (bins,), participants in each bin of two seconds.
    """

    begin_ns: int
    counts: NDArray[np.int64]

    def at(self, moments_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Participants at moments, of the same shape; 0 outside of what was recorded."""
        slot = (moments_ns - self.begin_ns) // _BIN_NS
        inside = (slot >= 0) & (slot < len(self.counts))
        return np.where(inside, self.counts[np.clip(slot, 0, len(self.counts) - 1)], 0)

    def during(self, begin_ns: int, end_ns: int) -> int:
        """The typical (median) number of participants in a span."""
        moments = np.arange(begin_ns, max(end_ns, begin_ns + 1), _BIN_NS, dtype=np.int64)
        return int(np.median(self.at(moments)))


def flow_of(media: pd.DataFrame) -> Flow | None:
    """Count the participants over time; None if no peer ever reported."""
    if media.empty:
        return None
    reports = in_order(media)
    # who only publishes or records takes part without receiving anything
    grew = (reports["received"].diff() > 0) | (~reports["receives"] & (reports["sent"].diff() > 0))
    grew &= reports["life"].eq(reports["life"].shift())
    flowing = reports[grew & (reports["state"] == "connected")]
    begin_ns = int(reports["t_ns"].min())
    slots = (flowing["t_ns"] - begin_ns) // _BIN_NS
    seen = pd.DataFrame({"slot": slots, "life": flowing["life"]}).drop_duplicates()
    bins = int((reports["t_ns"].max() - begin_ns) // _BIN_NS) + 1
    counts = np.bincount(seen["slot"].to_numpy(np.int64), minlength=bins)
    return Flow(begin_ns, counts.astype(np.int64))


def media_of(media: pd.DataFrame, flow: Flow | None, heard: pd.DataFrame, events: pd.DataFrame) -> Media | None:
    """Sum up the peers from their reports, what listeners heard, and what happened to them; None without peers."""
    if media.empty or flow is None:
        return None
    reports = in_order(media)
    connected = reports["state"] == "connected"
    lives = reports.assign(connected=connected, failed=reports["state"] == "failed").groupby("life")
    received = lives["received"].max()
    lost = int(lives["lost"].last().sum())
    expected = int(received.sum()) + lost
    (mos, mos_p5), (mos_sent, mos_sent_p5) = _scores(reports["mos"]), _scores(reports["mos_sent"])
    return Media(
        participants=int(flow.counts.max(initial=0)),
        peers=len(reports[["writer", "peer"]].drop_duplicates()),
        failed=int(lives["failed"].any().sum()),
        silent=int((lives["connected"].any() & lives["receives"].last() & (received == 0)).sum()),
        loss=lost / expected if expected else None,
        jitter_ms=spread(reports["jitter_ms"][connected]),
        rtt_ms=spread(reports["rtt_ms"][connected]),
        setup_ms=spread(lives["setup_ms"].last()),
        ice_ms=spread(lives["ice_ms"].last()),
        dtls_ms=spread(lives["dtls_ms"].last()),
        first_packet_ms=spread(lives["first_packet_ms"].last()),
        no_media=int((events["kind"] == PeerEventKind.NO_MEDIA).sum()),
        mos=mos,
        mos_p5=mos_p5,
        mos_sent=mos_sent,
        mos_sent_p5=mos_sent_p5,
        heard=_heard(heard),
        mouth_to_ear_ms=spread(heard["delay_ms"]),
    )


def _scores(reported: pd.Series) -> tuple[float | None, float | None]:
    """Mean, and what the worst twentieth did not reach."""
    known = reported.dropna()
    return (None, None) if known.empty else (float(known.mean()), float(known.quantile(0.05)))


def _heard(heard: pd.DataFrame) -> dict[str, int] | None:
    """Looks at one talker by one listener, counted by what should have been heard and what was; None without any."""
    if heard.empty:
        return None
    expected, found = heard["expected"], heard["heard"]
    # a tone without a name may be that of a talker of another process
    known = heard["talker"].astype(str) != ""
    return {
        "expected": int(expected.sum()),
        "heard": int((expected & found).sum()),
        "missing": int((expected & ~found).sum()),
        "unexpected": int((~expected & found & known).sum()),
    }


def in_order(media: pd.DataFrame) -> pd.DataFrame:
    """The reports peer by peer in the order of time, with `life`: a peer that began anew (its counters fell) counts
    as another one."""
    reports = media.sort_values(["writer", "peer", "t_ns"], kind="stable").reset_index(drop=True)
    peer = reports["writer"].cat.codes.astype(np.int64) * (1 << 32) + reports["peer"].cat.codes
    another = peer.ne(peer.shift()) | (reports["sent"].diff() < 0) | (reports["received"].diff() < 0)
    return reports.assign(life=another.cumsum())
