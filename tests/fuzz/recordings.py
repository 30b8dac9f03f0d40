"""Fuzz target (atheris, coverage-guided): whatever may lie in a folder of recordings.

By hand: `make fuzz TARGET=recordings` (FUZZ_SECONDS=600 by default). An input that breaks a rule is left as a file
`crash-...`, and `python -m tests.fuzz.recordings FILE` runs it again.

The rules: nothing is raised but `RecordingUnreadable`, by the readers and by the ears; what is counted never exceeds
what is there; an undamaged file read in chunks of any size has the same frames.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["janusload.server.recordings"]):
    from janusload.server.recordings import mjr, wav
    from janusload.server.recordings.check import check
    from janusload.server.recordings.defects import RecordingUnreadable
    from janusload.server.recordings.listen import LISTEN_S, listen

_HERE = Path(tempfile.mkdtemp(prefix="janusload-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
_WHOLE = 4 * 2**20


def one_input(data: bytes) -> None:
    path = _HERE / {b"RIFF": "a.wav", b"[rec": "a.nfo"}.get(data[:4], "a.mjr")
    path.write_bytes(data)
    checked = check(path)
    assert checked.size_bytes <= len(data)
    if path.suffix == ".nfo":
        return
    with contextlib.suppress(RecordingUnreadable):
        assert 0 <= listen(path).seconds <= LISTEN_S + 0.2
    try:
        if path.suffix == ".wav":
            _check_wav(wav.read(path), data)
        else:
            _check_mjr(path, data)
    except RecordingUnreadable:
        assert checked.state == "unreadable"


def _check_wav(found: wav.Wav, data: bytes) -> None:
    assert found.duration_s >= 0
    assert found.peak is None or 0 <= found.peak <= 1
    assert found.size_bytes <= len(data)


def _check_mjr(path: Path, data: bytes) -> None:
    whole = _read(path, _WHOLE)
    assert whole.frames * 10 + whole.rtp_bytes <= len(data)
    audit = whole.sequence
    assert audit.packets <= whole.frames
    assert audit.duplicated + audit.stale <= audit.packets
    assert audit.missing >= 0 and audit.expected >= audit.missing
    assert len(audit.gaps) <= audit.gap_count
    if not whole.defects:
        # without damage the cuts must not show; after damage a later chunk may know better where to go on
        pieces = _read(path, 97)
        assert (pieces.frames, pieces.rtp_bytes) == (whole.frames, whole.rtp_bytes)
        assert (pieces.sequence.missing, pieces.sequence.duplicated) == (audit.missing, audit.duplicated)


def _read(path: Path, chunk_bytes: int) -> mjr.Mjr:
    mjr.CHUNK_BYTES = chunk_bytes
    return mjr.read(path)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
