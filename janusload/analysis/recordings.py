"""Recordings of a run: are they whole, and is everything in them that their sender says it sent."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from janusload.summary import RecordingFault, Recordings

#: faulty files that are told one by one
_FAULTS_TOLD = 20
_WHOLE = ("whole", "no_packets")
_ABSENT = "absent"
_HOLLOW = "hollow"
_SHORT = "short"
_WRONG_VOICE = "wrong_voice"
#: by how much a mix may be shorter than the time it was due, for each time that somebody came into an empty room and at
#: the end: the mixer's 20 ms, and what a busy machine adds to when we know of it
_MIX_SLACK_S = 0.2
#: shorter files have too little behind the decoder's first packets
_LEAST_HEARD_S = 1.0
#: what a tone may be off by: 1.8 % was seen where 40 % of the packets had been left out; the next one is 5.8 % away
_SAME_TONE = 0.025


def recordings_of(
    recording: pd.DataFrame, media: pd.DataFrame, take: pd.DataFrame, mix: pd.DataFrame, *, looked: bool
) -> Recordings | None:
    """Sum up the recordings; None where none were looked at.

    Args:
        take: what senders know of recordings of their own; `mix`: what is known of those of rooms.
        looked: whether the folder of the recordings could be seen, though it may hold none.
    """
    wanted = take[take["name"] != ""]
    recording = recording.assign(
        name=recording["path"].astype(str).map(_take_name),
        **{key: recording[key].astype(str) for key in ("state", "wrong")},
    )
    hollow = (recording["packets"] == 0) & recording["name"].isin(wanted["name"][wanted["due"] > 0])
    recording.loc[hollow, ["state", "wrong"]] = _HOLLOW, "its sender sent what belongs into it, and none of it is there"
    voices = _voices(recording, media)
    for index, words in voices[voices != ""].items():
        recording.loc[index, ["state", "wrong"]] = _WRONG_VOICE, words
    mixes = _mixes(recording, mix)
    for index, due_s, lacks_s in mixes:
        if lacks_s > 0 and recording.at[index, "state"] in _WHOLE:
            words = f"{lacks_s:.1f} s of the {due_s:.1f} s are missing for which somebody was in the room"
            recording.loc[index, ["state", "wrong"]] = _SHORT, words
    files = recording[recording["format"] != "nfo"]
    absent = _absent(files, wanted, mix) if looked else []
    if recording.empty and not absent:
        return None
    packets = files[files["packets"].notna()]
    matched = _matched(packets, media, take)
    held = int(packets["packets"].sum() - packets["duplicated"].sum())
    missing = int(packets["missing"].sum())
    states = {str(state): int(n) for state, n in recording.groupby("state").size().items()}
    bad = recording[~recording["state"].isin(_WHOLE)]
    faults = [
        RecordingFault(path=str(row.path), state=str(row.state), words=str(row.wrong)) for row in bad.itertuples()
    ]
    words = "Janus agreed to record it, and there is no such file in the folder of the recordings"
    faults += [RecordingFault(path=name, state=_ABSENT, words=words) for name in absent]
    return Recordings(
        files=len(files),
        size_mb=float(files["size_bytes"].sum()) / 1e6,
        hours=float(files["duration_s"].sum()) / 3600,
        whole=int(recording["state"].isin(_WHOLE).sum()),
        states=states | ({_ABSENT: len(absent)} if absent else {}),
        packets=held if len(packets) else None,
        missing=missing if len(packets) else None,
        missing_share=missing / (held + missing) if held + missing else None,
        duplicated=int(packets["duplicated"].sum()) if len(packets) else None,
        reordered=int(packets["reordered"].sum()) if len(packets) else None,
        matched=_total(matched, "files"),
        withheld=_total(matched, "withheld"),
        muted=_total(matched, "muted"),
        lost_on_the_way=_total(matched, "lost"),
        outside=_total(matched, "outside"),
        told=_told(packets, wanted),
        cut=_total(matched, "cut"),
        voices=len(voices) if len(voices) else None,
        mixes=len(mixes) if mixes else None,
        mixes_lack_s=sum(lacks_s for _, _, lacks_s in mixes) if mixes else None,
        faults=faults[:_FAULTS_TOLD],
    )


def _base_names(recording: pd.DataFrame) -> pd.Series[str]:
    return recording["path"].astype(str).map(lambda path: path.rpartition("/")[2])


def _take_name(path: str) -> str:
    """What was asked for as the name of a file: plugins put `-audio.mjr` or `-audio-0.mjr` behind it."""
    return path.rpartition("/")[2].rpartition("-audio")[0]


def _absent(files: pd.DataFrame, wanted: pd.DataFrame, mix: pd.DataFrame) -> list[str]:
    """What recordings are called that Janus agreed to make and of which there is no file."""
    names = _base_names(files)
    mixes = names[files["format"] == "wav"]
    lost = [
        str(name)
        for name, room in mix.loc[mix["due_s"] > _MIX_SLACK_S, ["name", "room"]].itertuples(index=False)
        # of two who ask at once, one is the first for Janus: the room's mix is in his file
        if not mixes.str.contains(rf"-room-{room}\.wav|^janus-audioroom-{room}-").any()
    ]
    return [str(name) for name in wanted["name"][~wanted["name"].isin(files["name"])]] + lost


def _voices(recording: pd.DataFrame, media: pd.DataFrame) -> pd.Series[str]:
    """What is wrong with the voice in each file that was listened to and whose sender says a tone; empty: it is his."""
    senders = media[media["ssrc"].notna() & media["tone_hz"].notna()]
    tone_of = senders.groupby("ssrc")["tone_hz"].last()
    known = recording[recording["ssrc"].isin(tone_of.index) & (recording["duration_s"] >= _LEAST_HEARD_S)]
    words = {
        index: _voice(float(tone_of[ssrc]), str(tones))
        for index, ssrc, tones in zip(known.index, known["ssrc"], known["tones"], strict=True)
    }
    return pd.Series(words, dtype=object)


def _voice(hertz: float, tones: str) -> str:
    """What is wrong if these tones (as `440 Hz -16 dBov, ...`) are of somebody who says one of so many hertz."""
    if any(abs(float(heard) - hertz) <= _SAME_TONE * hertz for heard in re.findall(r"(\d+) Hz", tones)):
        return ""
    return f"its sender says a tone of {hertz:.0f} Hz, and heard in it is {tones or 'no tone'}"


def _mixes(recording: pd.DataFrame, mix: pd.DataFrame) -> list[tuple[Any, float, float]]:
    """The mixes of which it is known how long they must be: row, for how long that is, and what is lacking; seconds."""
    names = _base_names(recording)
    wavs = recording.loc[recording["format"] == "wav", "duration_s"].astype(float).fillna(0.0)
    found = []
    known = mix[mix["due_s"] > 0]
    for name, spans, due_s in zip(known["name"].astype(str), known["spans"], known["due_s"], strict=True):
        for index, has_s in wavs[names[wavs.index].str.startswith(name)].items():
            lacks_s = due_s - has_s
            found.append((index, due_s, lacks_s if lacks_s > _MIX_SLACK_S * (1 + spans) else 0.0))
    return found


def _matched(packets: pd.DataFrame, media: pd.DataFrame, take: pd.DataFrame) -> pd.DataFrame | None:
    """The MJRs of each sender, known by its RTP source, beside its own account; None where no sender told its source.

    Columns: `files`; `withheld`, `muted` and `lost`: packets missing between the first and the last of a file because
    the sender played a loss, because the server took it for muted, and for other reasons; `cut`: packets that it sent
    while it was surely being recorded and that are missing before the first or behind the last of its file; `outside`:
    sequence numbers that it used and that are not in the span of any file. Janus counts the packets of a recording from
    1 on (seen), so whether those came before or after cannot be told.
    """
    senders = media[media["ssrc"].notna() & (media["used"] > 0)]
    if senders.empty:
        return None
    last = senders.sort_values("t_ns", kind="stable").groupby("ssrc").last()[["used", "sent"]]
    # a sender may have been recorded several times, by stopping and starting
    files = packets.assign(files=1).groupby("ssrc")[["packets", "duplicated", "missing", "files"]].sum()
    pairs = files.join(last, how="inner").join(_short(packets, take), how="left").fillna({"short": 0, "muted": 0})
    span = pairs["packets"] - pairs["duplicated"] + pairs["missing"]
    share: Any = span / pairs["used"].replace(0, np.nan)
    withheld = np.minimum(pairs["missing"], ((pairs["used"] - pairs["sent"]) * share).round())
    muted = np.minimum(pairs["missing"] - withheld, pairs["muted"])
    lost = pairs["missing"] - withheld - muted
    return pd.DataFrame(
        {
            "files": pairs["files"],
            "withheld": withheld,
            "muted": muted,
            "lost": lost,
            "cut": (pairs["short"] - lost).clip(lower=0),
            "outside": (pairs["used"] - span).clip(lower=0),
        }
    )


def _short(packets: pd.DataFrame, take: pd.DataFrame) -> pd.DataFrame:
    """By RTP source: by how many packets its files fall short of what it sent while surely recorded, and what it sent
    while it was muted."""
    pairs = take.astype({"name": str}).merge(packets, on="name", how="left", suffixes=("", "_in_file"))
    held = (pairs["packets"] - pairs["duplicated"]).fillna(0)
    short = (pairs["due"] - held).clip(lower=0).fillna(0).where(pairs["path"].notna(), 0)
    return pairs.assign(short=short).groupby("ssrc")[["short", "muted"]].sum()


def _told(packets: pd.DataFrame, wanted: pd.DataFrame) -> int | None:
    """How many files there are of which the sender knows what must be in them; None where no sender knows."""
    return int(packets["name"].isin(wanted["name"][wanted["due"].notna()]).sum()) if len(wanted) else None


def _total(matched: pd.DataFrame | None, column: str) -> int | None:
    return None if matched is None else int(matched[column].sum())
