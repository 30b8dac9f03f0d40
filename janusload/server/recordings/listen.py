"""Whose tones are in a recording: some seconds of it are decoded and looked at by frequency.

Each participant of a test can say a tone of its own (`clip = "tone:440"`); a recording that is whole by its packets and
holds the wrong person, or silence, is found only by listening. Opus is decoded by libopus (through PyAV), G.711 by its
table (ITU-T G.711), WAV as it is.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from janusload.server.recordings import mjr, wav
from janusload.server.recordings.defects import RecordingUnreadable
from janusload.server.recordings.frames import find

Samples = np.ndarray[tuple[int], np.dtype[np.float64]]

#: how much is listened to
LISTEN_S = 2.0
#: a line counts from this level on, and this far above the middle of its surroundings
_FLOOR_DBOV = -60.0
_ABOVE_DB = 25.0
#: the same of pieces so short that most have no break in them; voices come to 5 dB, tones without 40 % of their packets
#: to 28 dB
_PIECE_S = 0.1
_PIECE_REACH_HZ = 400.0
_PIECE_ABOVE_DB = 20.0
#: tones that are told; a mix of more is a choir
_AT_MOST = 12
_READ_BYTES = 2**20


class Tone(NamedTuple):
    """A spectral line: frequency in Hz (to about 0.5 Hz), level of the sine in dB relative to full scale."""

    hertz: float
    level_dbov: float


class Heard(NamedTuple):
    """What was heard in `seconds` of a recording, its tones by falling level."""

    seconds: float
    tones: list[Tone]


def listen(path: Path, *, at_share: float = 0.5) -> Heard:
    """Decode up to `LISTEN_S` seconds around `at_share` (0..1) of a recording.

    Raises:
        RecordingUnreadable: it cannot be read, or its codec is none that can be decoded here.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(_READ_BYTES)
            size = path.stat().st_size
            if begin[:4] == b"RIFF":
                samples, rate = _wav(file, size, at_share)
            else:
                samples, rate = _mjr(path, file, begin, size, at_share)
    except OSError as error:
        raise RecordingUnreadable(path, f"cannot be read: {error.strerror or error}") from None
    return Heard(len(samples) / rate, tones(samples, rate)) if len(samples) else Heard(0.0, [])


def tones(samples: Samples, rate: int) -> list[Tone]:
    """Lines that stand out of a spectrum, by falling level; voices and noise have none."""
    if len(samples) < rate // 10:
        return []
    window = np.hanning(len(samples))
    # amplitude of a sine: its line has half of the window's sum
    spectrum = np.abs(np.fft.rfft(samples * window)) / (window.sum() / 2)
    level = 20 * np.log10(np.maximum(spectrum, 1e-9)) - 3.01  # power of a sine of amplitude 1 is -3.01 dBov
    step = rate / len(samples)
    reach = max(4, round(60 / step))
    found: list[Tone] = []
    for at in np.argsort(level)[::-1][:4000].tolist():
        if level[at] < _FLOOR_DBOV or len(found) == _AT_MOST:
            break
        low, high = max(0, at - reach), at + reach + 1
        if at * step < 20 or level[at] < level[low:high].max() or level[at] - np.median(level[low:high]) < _ABOVE_DB:
            continue
        found.append(Tone(round(_peak(level, at) * step, 1), round(float(level[at]), 1)))
    broken = _broken_tone(samples, rate)
    if broken is not None and all(abs(tone.hertz - broken.hertz) > 0.03 * broken.hertz for tone in found):
        found.append(broken)
    return found


def _broken_tone(samples: Samples, rate: int) -> Tone | None:
    """The loudest line by the mean of short pieces: a tone of which pieces are missing is no line any more as a whole.

    A sender that cannot keep up leaves packets out, without a gap in its sequence numbers.
    """
    length = round(_PIECE_S * rate)
    pieces = np.lib.stride_tricks.sliding_window_view(samples, length)[:: length // 2]
    window = np.hanning(length)
    power = (np.abs(np.fft.rfft(pieces * window, axis=1)) / (window.sum() / 2)) ** 2
    level = 10 * np.log10(np.maximum(power.mean(axis=0), 1e-18)) - 3.01
    step = rate / length
    reach = round(_PIECE_REACH_HZ / step)
    at = 2 + int(level[2:].argmax())
    if level[at] < _FLOOR_DBOV or level[at] - np.median(level[max(0, at - reach) : at + reach + 1]) < _PIECE_ABOVE_DB:
        return None
    return Tone(round(_peak(level, at) * step, 1), round(float(level[at]), 1))


def _peak(level: Samples, at: int) -> float:
    """Where between the bins the peak lies: vertex of the parabola through three levels."""
    if not 0 < at < len(level) - 1:
        return float(at)
    before, here, after = (float(level[i]) for i in (at - 1, at, at + 1))
    bend = before - 2 * here + after
    return at + (0.5 * (before - after) / bend if bend else 0.0)


def _wav(file: Any, size: int, at_share: float) -> tuple[Samples, int]:
    read = file.seek(0) or file.read(wav.HEADER_BYTES)
    if len(read) < wav.HEADER_BYTES:
        return np.empty(0), 1
    channels, rate = struct.unpack_from("<HI", read, 22)
    if channels not in (1, 2) or not 8000 <= rate <= 192_000:
        return np.empty(0), 1
    frame = 2 * channels
    frames = (size - wav.HEADER_BYTES) // frame
    wanted = min(frames, int(LISTEN_S * rate))
    file.seek(wav.HEADER_BYTES + frame * int((frames - wanted) * at_share))
    pcm = np.frombuffer(file.read(wanted * frame), "<i2")
    pcm = pcm[: len(pcm) - len(pcm) % channels]
    return pcm.reshape(-1, channels).mean(axis=1) / 32768, rate


def _mjr(path: Path, file: Any, begin: bytes, size: int, at_share: float) -> tuple[Samples, int]:
    header, layout, offset = mjr.header_of(path, begin)
    if header is None or layout is None:
        return np.empty(0), 1
    file.seek(max(offset, int((size - _READ_BYTES) * at_share)))
    data = np.frombuffer(file.read(_READ_BYTES), np.uint8)
    found = find(data, layout, last=False, at_most_damages=100)
    payloads = []
    for start, length in zip(found.starts.tolist(), found.lengths.tolist(), strict=True):
        payload = _payload(data[start + layout.header_bytes :][:length].tobytes())
        if payload:
            payloads.append(payload)
    if header.codec == "opus":
        return _opus(payloads), 48_000
    if header.codec in ("pcma", "pcmu"):
        pcm = b"".join(payloads)[: int(LISTEN_S * 8000)]
        return _G711[header.codec][np.frombuffer(pcm, np.uint8)], 8000
    raise RecordingUnreadable(path, f"has the codec {header.codec!r}, which is not decoded here")


def _payload(packet: bytes) -> bytes:
    """Payload of an RTP packet without its extension and padding (RFC 3550 section 5); empty if it is none."""
    if len(packet) < 12 or packet[0] >> 6 != 2:
        return b""
    at = 12 + 4 * (packet[0] & 15)
    if packet[0] & 0x10:
        at += 4 + 4 * int.from_bytes(packet[at + 2 : at + 4], "big")
    end = len(packet) - (packet[-1] if packet[0] & 0x20 else 0)
    return packet[at:end]


def _opus(payloads: list[bytes]) -> Samples:
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate = 48_000
    decoder.layout = "mono"
    pieces: list[Samples] = []
    wanted = int((LISTEN_S + 0.2) * 48_000)
    for payload in payloads:
        try:
            for frame in decoder.decode(av.Packet(payload)):
                pcm = np.asarray(frame.to_ndarray(), dtype=np.float64)
                if frame.format.name.startswith("s16"):
                    pcm = pcm / 32768
                # packed stereo comes as one row of alternating samples
                if not frame.format.is_planar and frame.layout.nb_channels > 1:
                    pcm = pcm.reshape(-1, frame.layout.nb_channels).T
                pieces.append(pcm.mean(axis=0))
        except av.FFmpegError:
            continue  # a packet that does not decode is silence; the packets were counted elsewhere
        if sum(len(piece) for piece in pieces) >= wanted:
            break
    # the decoder begins in the middle: its first packets still swing in
    return np.concatenate(pieces)[int(0.2 * 48_000) :] if pieces else np.empty(0)


def _expand_alaw(code: int) -> float:
    code ^= 0x55
    exponent, mantissa = (code >> 4) & 7, code & 15
    value = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << (exponent - 1)
    return (value if code & 0x80 else -value) / 32768


def _expand_ulaw(code: int) -> float:
    code = ~code & 0xFF
    value = (((code & 15) << 3) + 0x84 << ((code >> 4) & 7)) - 0x84
    return (-value if code & 0x80 else value) / 32768


_G711 = {
    "pcma": np.array([_expand_alaw(code) for code in range(256)]),
    "pcmu": np.array([_expand_ulaw(code) for code in range(256)]),
}
