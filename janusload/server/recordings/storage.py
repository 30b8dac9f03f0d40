"""The folder of the recordings while Janus writes them, and what lies in it afterwards, as records of a run."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from janusload.records import RecordingRecord, StorageRecord
from janusload.server.recordings.check import Checked, check, recordings_in
from janusload.server.recordings.defects import RecordingUnreadable
from janusload.server.recordings.listen import listen
from janusload.server.recordings.page_cache import cached

#: what asking about the page cache may take in one sample
_ASK_AT_MOST_S = 0.05


class StorageWatch:
    """One `StorageRecord` per `sample`; call it about once a second. Only looks.

    Args:
        folder: where Janus writes its recordings; need not be there yet.
        since_s: leave alone what was last written before (Unix time); None to look at all of it.
    """

    def __init__(self, folder: Path, since_s: float | None = None) -> None:
        self._folder = folder
        self._since_s = since_s

    def sample(self) -> StorageRecord:
        """How much lies there, and how much of it in the page cache; None for what could not be asked in time."""
        now_ns = time.monotonic_ns()
        sizes = dict(_sizes(self._folder, self._since_s))
        until_s = time.monotonic() + _ASK_AT_MOST_S
        resident = dirty = writeback = 0
        known = states = True
        for path in sizes:
            told = cached(path) if known and time.monotonic() < until_s else None
            if told is None:
                known = False
                break
            resident += told.resident_bytes
            if told.dirty_bytes is None or told.writeback_bytes is None:
                states = False
            else:
                dirty += told.dirty_bytes
                writeback += told.writeback_bytes
        states = states and known
        return StorageRecord(
            now_ns,
            len(sizes),
            sum(sizes.values()),
            resident if known else None,
            dirty if states else None,
            writeback if states else None,
        )


def account(folder: Path, *, since_s: float | None = None, ears: bool = True) -> Iterator[RecordingRecord]:
    """Look at every recording below a folder, after Janus has closed them.

    Args:
        since_s: leave out what was last written before (Unix time): it is not of this run; None to look at all.
        ears: also decode some seconds of each.
    """
    for path in recent(folder, since_s):
        yield account_of(path, folder, ears=ears)


def recent(folder: Path, since_s: float | None) -> list[Path]:
    """The recordings below a folder that were written since then (Unix time); None: all."""
    return [path for path in recordings_in([folder]) if since_s is None or _written_s(path) >= since_s]


def account_of(path: Path, folder: Path, *, ears: bool = True) -> RecordingRecord:
    """Look at one recording below a folder; see `account`."""
    return _record(check(path), folder, _tones(path) if ears else "")


def _record(result: Checked, folder: Path, tones: str) -> RecordingRecord:
    return RecordingRecord(
        time.monotonic_ns(),
        str(result.path.relative_to(folder)),
        result.format,
        result.state.value,
        result.size_bytes,
        result.packets,
        result.missing,
        result.duplicated,
        result.reordered,
        result.duration_s,
        max(result.ssrcs, key=result.ssrcs.__getitem__, default=None),
        result.first_sequence,
        result.last_sequence,
        "; ".join(defect.words for defect in result.defects[:3]),
        tones,
    )


def _tones(path: Path) -> str:
    if path.suffix == ".nfo":
        return ""
    try:
        heard = listen(path)
    except RecordingUnreadable:
        return ""
    return ", ".join(f"{tone.hertz:.0f} Hz {tone.level_dbov:.0f} dBov" for tone in heard.tones)


def _written_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0  # removed meanwhile


def _sizes(folder: Path, since_s: float | None) -> Iterator[tuple[Path, int]]:
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            try:
                facts = path.stat()
            except OSError:
                continue  # renamed or removed meanwhile
            if since_s is not None and facts.st_mtime < since_s:
                continue
            if stat.S_ISREG(facts.st_mode):  # to open a named pipe would set free whoever waits for a reader
                yield path, facts.st_size
