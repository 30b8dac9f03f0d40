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
        matched=_total(matched, "files"),
        withheld=_total(matched, "withheld"),
        lost_on_the_way=_total(matched, "lost"),
        outside=_total(matched, "outside"),
        faults=[
            RecordingFault(path=str(row.path), state=str(row.state), words=str(row.wrong))
            for row in bad.head(_FAULTS_TOLD).itertuples()
        ],
    )


def _matched(packets: pd.DataFrame, media: pd.DataFrame) -> pd.DataFrame | None:
    """The MJRs of each sender, known by its RTP source, beside its own account; None where no sender told its source.

    Columns: `files`; `withheld` and `lost`: packets missing in the files because the sender played a loss, and for
    other reasons; `outside`: sequence numbers that it used and that are not in the span of any file. Janus counts the
    packets of a recording from 1 on (seen), so whether those came before or after cannot be told.
    """
    senders = media[media["ssrc"].notna() & (media["used"] > 0)]
    if senders.empty:
        return None
    last = senders.sort_values("t_ns", kind="stable").groupby("ssrc").last()[["used", "sent"]]
    # a sender may have been recorded several times, by stopping and starting
    files = packets.assign(files=1).groupby("ssrc")[["packets", "duplicated", "missing", "files"]].sum()
    pairs = files.join(last, how="inner")
    span = pairs["packets"] - pairs["duplicated"] + pairs["missing"]
    share: Any = span / pairs["used"].replace(0, np.nan)
    withheld = np.minimum(pairs["missing"], ((pairs["used"] - pairs["sent"]) * share).round())
    outside = (pairs["used"] - span).clip(lower=0)
    lost = pairs["missing"] - withheld
    return pd.DataFrame({"files": pairs["files"], "withheld": withheld, "lost": lost, "outside": outside})


def _total(matched: pd.DataFrame | None, column: str) -> int | None:
    return None if matched is None else int(matched[column].sum())
