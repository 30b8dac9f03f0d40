"""Recordings of a run: are they whole, and is everything in them that their sender says it sent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from janusload.summary import RecordingFault, Recordings

#: faulty files that are told one by one
_FAULTS_TOLD = 20
_WHOLE = ("whole", "no_packets")


def recordings_of(recording: pd.DataFrame, media: pd.DataFrame) -> Recordings | None:
    """Sum up the recordings; None where none were looked at."""
    if recording.empty:
        return None
    files = recording[recording["format"] != "nfo"]
    packets = files[files["packets"].notna()]
    matched = _matched(packets, media)
    held = int(packets["packets"].sum() - packets["duplicated"].sum())
    missing = int(packets["missing"].sum())
    states = recording.groupby("state", observed=True).size()
    bad = recording[~recording["state"].isin(_WHOLE)]
    return Recordings(
        files=len(files),
        size_mb=float(files["size_bytes"].sum()) / 1e6,
        hours=float(files["duration_s"].sum()) / 3600,
        whole=int(recording["state"].isin(_WHOLE).sum()),
        states={str(state): int(count) for state, count in states.items() if count},
        packets=held if len(packets) else None,
        missing=missing if len(packets) else None,
        missing_share=missing / (held + missing) if held + missing else None,
        duplicated=int(packets["duplicated"].sum()) if len(packets) else None,
        reordered=int(packets["reordered"].sum()) if len(packets) else None,
        matched=len(matched) if matched is not None else None,
        withheld=_total(matched, "withheld"),
        lost_on_the_way=_total(matched, "lost"),
        before_the_first=_total(matched, "head"),
        after_the_last=_total(matched, "tail"),
        faults=[
            RecordingFault(path=str(row.path), state=str(row.state), words=str(row.wrong))
            for row in bad.head(_FAULTS_TOLD).itertuples()
        ],
    )


def _matched(packets: pd.DataFrame, media: pd.DataFrame) -> pd.DataFrame | None:
    """Each MJR beside the sender whose RTP source it holds; None where no sender told its source.

    Columns: `withheld` and `lost`: packets missing in the file because the sender played a loss, and for other reasons;
    `head`, `tail`: packets that it used a sequence number for before the first and after the last one in the file.
    """
    senders = media[media["ssrc"].notna() & (media["used"] > 0)]
    if senders.empty:
        return None
    last = senders.sort_values("t_ns", kind="stable").groupby("ssrc").last()
    last = last[["first_sequence", "used", "sent"]].add_prefix("sender_")
    pairs = packets.join(last, on="ssrc", how="inner")
    held = pairs["packets"] - pairs["duplicated"] + pairs["missing"]
    head = (pairs["first_sequence"] - pairs["sender_first_sequence"]) % 65536
    tail = pairs["sender_used"] - head - held
    # sequence numbers wrap: what seems to begin after its own end began before its sender's first report
    sane = (head <= pairs["sender_used"]) & (tail >= 0)
    pairs, held, head, tail = pairs[sane], held[sane], head[sane], tail[sane]
    share: Any = held / pairs["sender_used"].replace(0, np.nan)
    withheld = np.minimum(pairs["missing"], ((pairs["sender_used"] - pairs["sender_sent"]) * share).round())
    return pd.DataFrame({"withheld": withheld, "lost": pairs["missing"] - withheld, "head": head, "tail": tail})


def _total(matched: pd.DataFrame | None, column: str) -> int | None:
    return None if matched is None else int(matched[column].sum())
