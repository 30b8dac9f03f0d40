"""Is a recording whole? Files and folders, whatever Janus wrote there: MJR, WAV, and RecordPlay's .nfo.

Two questions, kept apart: whether the file is whole as Janus wrote it (`state`, `defects`), and whether everything that
was sent is in it (`missing`, and with the sender's own account `match`).
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from janusload.server.recordings import mjr, wav
from janusload.server.recordings.defects import Defect, DefectKind, RecordingUnreadable
from janusload.server.recordings.mjr import Mjr
from janusload.server.recordings.wav import Wav


class State(StrEnum):
    """How a recording is, from best to worst."""

    WHOLE = "whole"
    NO_PACKETS = "no_packets"  # opened, and nobody was recorded: no loss by itself
    UNFINISHED = "unfinished"  # still open, or Janus died: the end is not there
    DAMAGED = "damaged"
    EMPTY = "empty"  # 0 bytes
    UNREADABLE = "unreadable"


_STATE_OF = {
    DefectKind.EMPTY: State.EMPTY,
    DefectKind.NO_PACKETS: State.NO_PACKETS,
    DefectKind.TRUNCATED: State.UNFINISHED,
    DefectKind.NOT_FINISHED: State.UNFINISHED,
    DefectKind.SEQUENCE_JUMP: State.WHOLE,
}
_WORST_FIRST = list(State)[::-1]
#: what is read of an index; Janus writes a few lines
_NFO_READ_BYTES = 2**16
_SUFFIXES = (".mjr", ".wav", ".nfo")


@dataclass(frozen=True)
class Checked:
    """One recording.

    Attributes:
        format: mjr, wav or nfo.
        packets, missing, duplicated, reordered: RTP packets of an MJR; None for others.
        duration_s: of audio: from the RTP timestamps (MJR) or the samples (WAV).
        ssrcs: RTP sources in an MJR, and how many packets each has.
        first_sequence, last_sequence: as on the wire.
        peak: loudest sample of a WAV, 0..1.
    """

    path: Path
    format: str
    state: State
    size_bytes: int
    defects: list[Defect] = field(default_factory=list)
    codec: str = ""
    packets: int | None = None
    missing: int | None = None
    duplicated: int | None = None
    reordered: int | None = None
    stale: int | None = None
    gaps: int | None = None
    longest_gap: int | None = None
    duration_s: float | None = None
    longest_pause_s: float | None = None
    ssrcs: dict[int, int] = field(default_factory=dict)
    first_sequence: int | None = None
    last_sequence: int | None = None
    peak: float | None = None
    silent_share: float | None = None

    @property
    def whole(self) -> bool:
        return self.state in (State.WHOLE, State.NO_PACKETS)


def recordings_in(paths: Iterable[Path]) -> Iterator[Path]:
    """The recordings among files and, to any depth, in folders; in a stable order.

    Raises:
        RecordingUnreadable: a path that is not there.
    """
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file() and _suffix(file) is not None)
        elif path.exists():
            yield path
        else:
            raise RecordingUnreadable(path, "is not there")


def check(path: Path) -> Checked:
    """Look at one recording; what is wrong with it is in the result, never an exception."""
    suffix = _suffix(path) or _by_content(path)
    try:
        if suffix == ".nfo":
            return _check_nfo(path)
        return _of(wav.read(path) if suffix == ".wav" else mjr.read(path))
    except RecordingUnreadable as error:
        size = path.stat().st_size if path.exists() else 0
        return Checked(path, suffix[1:], State.UNREADABLE, size, [Defect(DefectKind.HEADER, 0, error.reason)])


def _suffix(path: Path) -> str | None:
    """`.mjr`, `.wav` or `.nfo`, also under one more suffix: operators choose one for files that are still written."""
    for suffix in path.suffixes[-2:][::-1]:
        if suffix in _SUFFIXES:
            return suffix
    return None


def _by_content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return ".wav" if file.read(4) == b"RIFF" else ".mjr"
    except OSError:
        return ".mjr"


def _of(read: Mjr | Wav) -> Checked:
    state = next(
        (s for s in _WORST_FIRST if any(_STATE_OF.get(d.kind, State.DAMAGED) is s for d in read.defects)), None
    )
    state = state or State.WHOLE
    if isinstance(read, Wav):
        return Checked(
            read.path,
            "wav",
            state,
            read.size_bytes,
            read.defects,
            codec="pcm",
            duration_s=read.duration_s,
            peak=read.peak,
            silent_share=read.silent_share,
        )
    audit = read.sequence
    return Checked(
        read.path,
        "mjr",
        state,
        read.size_bytes,
        read.defects,
        codec=read.header.codec if read.header else "",
        packets=audit.packets,
        missing=audit.missing,
        duplicated=audit.duplicated,
        reordered=audit.reordered,
        stale=audit.stale,
        gaps=audit.gap_count,
        longest_gap=max((gap.packets for gap in audit.gaps), default=0),
        duration_s=read.media_s if read.media_s is not None else read.wall_s,
        longest_pause_s=read.longest_pause_s,
        ssrcs=read.ssrcs,
        first_sequence=audit.first,
        last_sequence=audit.last,
    )


def _check_nfo(path: Path) -> Checked:
    """RecordPlay's index of one recording: the files that it names must be there."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    defects = []
    content = b""
    try:
        with path.open("rb") as file:
            content = file.read(_NFO_READ_BYTES)
        size = path.stat().st_size
        parser.read_string(content.decode("utf-8", errors="replace"))
    except OSError as error:
        raise RecordingUnreadable(path, f"cannot be read: {error.strerror or error}") from None
    except configparser.Error:
        defects.append(Defect(DefectKind.HEADER, 0, "is no index of a recording: it has no section"))
    if not content:
        defects.append(Defect(DefectKind.EMPTY, 0, "the file has 0 bytes: nothing could be written to it"))
    for section in parser.sections():
        for key in ("audio", "video", "data"):
            name = parser.get(section, key, fallback="").strip()
            # a name from a file is only ever looked up beside it
            if name and not os.path.exists(path.parent / Path(name).name):
                defects.append(Defect(DefectKind.DAMAGED, 0, f"names {name!r} as its {key}, which is not there"))
    return Checked(path, "nfo", _worst(defects), size, defects)


def _worst(defects: list[Defect]) -> State:
    states = {_STATE_OF.get(defect.kind, State.DAMAGED) for defect in defects}
    return next((state for state in _WORST_FIRST if state in states), State.WHOLE)
