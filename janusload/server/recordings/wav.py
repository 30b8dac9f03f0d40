"""WAV files as the AudioBridge writes them: signed 16-bit samples of a room's mix.

Janus 1.1.2 and 1.4.1 write a 44-byte header and bring its sizes up to date every 5 s and at the end. Two quirks, both
seen on real files: the size of the data chunk is that of the whole file, 44 too large, and block-align is 2 even in
stereo. So the length is taken from the file, and the header is only asked whether the file was finished.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from janusload.server.recordings.defects import Defect, DefectKind, RecordingUnreadable

HEADER_BYTES = 44
_CHUNK_BYTES = 4 * 2**20
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
#: full scale of 16 bits
_FULL = 32768.0


@dataclass
class Wav:
    """What a WAV file holds.

    Attributes:
        sampling_rate: Hz; 0 where the header does not say.
        duration_s: from the size of the file.
        peak, rms_dbov: loudest sample (0..1) and level relative to full scale; None without samples.
        silent_share: share of samples that are exactly zero.
    """

    path: Path
    size_bytes: int
    sampling_rate: int = 0
    channels: int = 0
    duration_s: float = 0.0
    peak: float | None = None
    rms_dbov: float | None = None
    silent_share: float | None = None
    defects: list[Defect] = field(default_factory=list)


def read(path: Path) -> Wav:
    """Read all of a WAV file.

    Raises:
        RecordingUnreadable: it cannot be read, or it is no WAV file of 16-bit samples.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return _read(path, file)
    except OSError as error:
        raise RecordingUnreadable(path, f"cannot be read: {error.strerror or error}") from None


def _read(path: Path, file: BinaryIO) -> Wav:
    head = file.read(HEADER_BYTES)
    wav = Wav(path, len(head))
    if not head:
        wav.defects.append(Defect(DefectKind.EMPTY, 0, "the file has 0 bytes: nothing could be written to it"))
        return wav
    if not b"RIFF".startswith(head[:4]) and head[:4] != b"RIFF":
        raise RecordingUnreadable(path, f"is no WAV file: it begins with {head[:4]!r}")
    if len(head) < HEADER_BYTES:
        wav.defects.append(Defect(DefectKind.TRUNCATED, 0, "the file ends inside its header"))
        return wav
    riff, riff_size, wave, fmt, _, coding, channels, rate, _, _, bits, data, data_size = _HEADER.unpack(head)
    if (riff, wave, fmt, data) != (b"RIFF", b"WAVE", b"fmt ", b"data"):
        raise RecordingUnreadable(path, "is no WAV file as Janus writes it: its chunks are others")
    if coding != 1 or bits != 16 or channels not in (1, 2) or not rate:
        words = f"coding {coding}, {bits} bits, {channels} channels, {rate} Hz: Janus writes 16-bit PCM only"
        wav.defects.append(Defect(DefectKind.HEADER, 20, words))
        return wav
    wav.channels, wav.sampling_rate = channels, rate
    _read_samples(wav, file)
    _judge_sizes(wav, riff_size, data_size)
    return wav


def _read_samples(wav: Wav, file: BinaryIO) -> None:
    square = 0.0
    peak = zeros = count = 0
    odd = b""
    while data := file.read(_CHUNK_BYTES):
        wav.size_bytes += len(data)
        data = odd + data
        whole = len(data) - len(data) % 2
        samples = np.frombuffer(data[:whole], "<i2").astype(np.int32)
        odd = data[whole:]
        if not len(samples):
            continue
        count += len(samples)
        peak = max(peak, int(np.abs(samples).max()))
        zeros += int(np.count_nonzero(samples == 0))
        square += float(np.square(samples.astype(np.float64)).sum())
    payload = wav.size_bytes - HEADER_BYTES
    wav.duration_s = payload / (2 * wav.channels * wav.sampling_rate)
    if payload % (2 * wav.channels):
        wav.defects.append(Defect(DefectKind.TRUNCATED, wav.size_bytes, "the file ends inside a sample"))
    if not count:
        wav.defects.append(Defect(DefectKind.NO_PACKETS, HEADER_BYTES, "a header and no sample: nobody was there"))
        return
    wav.peak = peak / _FULL
    wav.silent_share = zeros / count
    wav.rms_dbov = 10 * float(np.log10(square / count / _FULL**2)) if square else None


def _judge_sizes(wav: Wav, riff_size: int, data_size: int) -> None:
    if riff_size == wav.size_bytes - 8 and data_size in (wav.size_bytes, wav.size_bytes - HEADER_BYTES):
        return
    # the sizes have 32 bits: beyond 4 GiB they say nothing
    if wav.size_bytes - 8 > 0xFFFFFFFF:
        return
    kind = DefectKind.TRUNCATED if riff_size > wav.size_bytes - 8 else DefectKind.NOT_FINISHED
    words = (
        f"the header promises {riff_size + 8} bytes, the file has {wav.size_bytes}"
        if kind is DefectKind.TRUNCATED
        else f"the header knows of {riff_size + 8} bytes, the file has {wav.size_bytes}: never finished, or still open"
    )
    wav.defects.append(Defect(kind, 4, words))
