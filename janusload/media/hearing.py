"""Listening: some peers decode what they receive, now and then, and say which tones and chirps are in it.

No packet counter proves that audio flows through a mixer; a tone that is there, and gone when its talker is muted,
does.

How a look goes: for `WINDOW_S` a listener keeps the packets that come to it, with the kernel's stamps of their arrival;
then they are decoded on one thread, and looked at by frequency (tones) and by a matched filter (the chirp, whose moment
of arrival is the stamp of the packet that it begins in). `listening` says who is looked at when.

Where a moment is spoken of, the chirp is heard when it could be played at once: what a client's own jitter buffer adds
comes on top. It was spoken a packet's duration before that packet could leave.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from typing import NamedTuple

import av
import numpy as np

from janusload.media import sounds
from janusload.media.sounds import Samples
from janusload.media.tones import CHIRP_EVERY_S, CHIRP_S, TONES_HZ

#: how long a look is: one chirp is whole in it, wherever it begins
WINDOW_S = CHIRP_EVERY_S + 2 * CHIRP_S
#: a tone is heard from this level on, and so much above what is around it: a voice's harmonics are not so narrow
_LEAST_DBOV = -55.0
_ABOVE_DB = 15.0
#: where that is looked for, in Hz from the tone
_LINE_HZ, _AROUND_HZ = 1.5, 12.0
#: likeness (normalised correlation) from which on a sound is the chirp
_LEAST_LIKENESS = 0.3

#: packets of 20 ms in a look, and as many again for jitter
_PACKETS_LIMIT = int(WINDOW_S * 50 * 2)
_FIXED = struct.Struct("!BBHII")


class Heard(NamedTuple):
    """What one look found.

    Attributes:
        from_ns, until_ns: of the look, monotonic.
        tones: (frequency in Hz, level in dBov) of those of `TONES_HZ` that were heard.
        chirps: when each could be heard, monotonic ns, and whether it falls.
        packets: how many were listened to.
    """

    from_ns: int
    until_ns: int
    tones: list[tuple[int, float]]
    chirps: list[tuple[int, bool]]
    packets: int


class Listener:
    """Keeps what comes to one flow while a look is open. `tap` runs on the pump's thread, all else on the loop's."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._open = False
        self._packets: deque[tuple[bytes, int]] = deque(maxlen=_PACKETS_LIMIT)
        self._from_ns = 0

    def tap(self, packet: bytes, arrived_ns: int) -> None:
        """Take a decrypted RTP packet and when it arrived, Unix ns."""
        if self._open:
            self._packets.append((packet, arrived_ns))

    def begin(self) -> None:
        """Begin a look."""
        self._packets.clear()
        self._from_ns = time.monotonic_ns()
        self._open = True

    def end(self) -> Recording:
        """End the look; what was kept."""
        self._open = False
        until_ns = time.monotonic_ns()
        return Recording(self._codec, self._from_ns, until_ns, time.time_ns() - until_ns, list(self._packets))


class Recording(NamedTuple):
    """What was kept in a look; `unix_less_monotonic_ns` turns arrivals into moments of the monotonic clock."""

    codec: str
    from_ns: int
    until_ns: int
    unix_less_monotonic_ns: int
    packets: list[tuple[bytes, int]]

    def look(self) -> Heard:
        """Decode and look; takes some 20 ms."""
        sound = Sound.decoded(self.codec, self.packets)
        if sound is None:
            return Heard(self.from_ns, self.until_ns, [], [], 0)
        chirps = [
            (sound.arrived_ns(at) - self.unix_less_monotonic_ns, falling)
            for at, falling in find_chirps(sound.samples, sound.rate)
        ]
        return Heard(self.from_ns, self.until_ns, find_tones(sound.samples, sound.rate), chirps, len(self.packets))


class Sound(NamedTuple):
    """Decoded audio on the line of the RTP clock, silent where packets are missing.

    Attributes:
        samples: at `rate`, -1..1.
        starts, arrivals_ns: of each packet: its first sample, and when it arrived, Unix ns.
    """

    samples: Samples
    rate: int
    starts: np.ndarray[tuple[int], np.dtype[np.int64]]
    arrivals_ns: np.ndarray[tuple[int], np.dtype[np.int64]]

    def arrived_ns(self, at: int) -> int:
        """When sample `at` could be played, Unix ns."""
        packet = int(np.searchsorted(self.starts, at, "right")) - 1
        return int(self.arrivals_ns[packet]) + (at - int(self.starts[packet])) * 1_000_000_000 // self.rate

    @classmethod
    def decoded(cls, codec: str, packets: list[tuple[bytes, int]]) -> Sound | None:
        """Decode packets; None if there is nothing in them that could be."""
        ordered = _in_order(packets)
        if not ordered:
            return None
        decoder, rate = _decoder(codec)
        first = ordered[0][0]
        pieces: list[tuple[int, int, Samples]] = []
        for timestamp, arrived_ns, payload in ordered:
            try:
                frames = decoder.decode(av.Packet(payload))
            except av.FFmpegError:
                # what does not decode is silence; that it came at all is counted elsewhere
                continue
            start = timestamp - first
            for frame in frames:
                piece = _mono(frame.to_ndarray())
                pieces.append((start, arrived_ns, piece))
                start += len(piece)
        limit = int(2 * WINDOW_S * rate)
        pieces = [each for each in pieces if each[0] < limit]
        if not pieces:
            return None
        samples = np.zeros(max(start + len(piece) for start, _, piece in pieces))
        for start, _, piece in pieces:
            samples[start : start + len(piece)] = piece
        starts = np.array([start for start, _, _ in pieces], np.int64)
        return cls(samples, rate, starts, np.array([arrived for _, arrived, _ in pieces], np.int64))


def find_tones(samples: Samples, rate: int) -> list[tuple[int, float]]:
    """Which of `TONES_HZ` are in a sound, and at what level in dBov; by frequency."""
    window = np.hanning(len(samples))
    # padded, so that a line between two of its steps loses nothing to speak of
    size = 1 << (2 * len(samples) - 1).bit_length()
    # scaled so that a sine's line is its amplitude
    lines = np.abs(np.fft.rfft(samples * window, size)) / (window.sum() / 2 + 1e-12)
    step = rate / size
    found = []
    for hertz in TONES_HZ:
        low, high = int((hertz - _LINE_HZ) / step), int((hertz + _LINE_HZ) / step) + 1
        reach = int(_AROUND_HZ / step)
        peak = float(lines[low:high].max())
        around = np.concatenate([lines[max(0, low - reach) : low], lines[high : high + reach]])
        # a sine of amplitude 1 has -3.01 dBov
        level = 20 * float(np.log10(peak + 1e-12)) - 3.01
        beside = 20 * float(np.log10(np.sqrt(np.mean(around**2)) + 1e-12)) - 3.01
        if level >= _LEAST_DBOV and level >= beside + _ABOVE_DB:
            found.append((hertz, round(level, 2)))
    return found


def find_chirps(samples: Samples, rate: int) -> list[tuple[int, bool]]:
    """First samples of the chirps that are whole in a sound, in order, and whether each falls."""
    likenesses = [_likeness(samples, sounds.chirp(rate, falling=falling)) for falling in (False, True)]
    found: list[tuple[int, bool]] = []
    while True:
        falling = bool(likenesses[True].max() > likenesses[False].max())
        at = int(np.argmax(likenesses[falling]))
        if likenesses[falling][at] < _LEAST_LIKENESS:
            return sorted(found)
        found.append((at, falling))
        # the next is a period away; beside this one are only its own shoulders
        near = int(CHIRP_EVERY_S * rate / 2)
        for each in likenesses:
            each[max(0, at - near) : at + near] = 0


def _likeness(samples: Samples, chirp: Samples) -> Samples:
    """How much a sound is like a chirp that begins at each of its samples (normalised correlation)."""
    count = len(samples) - len(chirp) + 1
    if count <= 0:
        return np.zeros(1)
    size = 1 << (len(samples) + len(chirp)).bit_length()
    matched = np.fft.irfft(np.fft.rfft(samples, size) * np.conj(np.fft.rfft(chirp, size)), size)[:count]
    energy = np.concatenate([[0.0], np.cumsum(samples**2)])
    local = energy[len(chirp) :] - energy[: -len(chirp)]
    # the floor keeps what is all but silence from looking like anything
    floor = 1e-4 * float(np.sum(chirp**2))
    likeness: Samples = np.abs(matched) / np.sqrt(np.sum(chirp**2) * np.maximum(local, floor))
    return likeness


def _in_order(packets: list[tuple[bytes, int]]) -> list[tuple[int, int, bytes]]:
    """(timestamp without wraps, arrival, payload) of the latest source's packets, by timestamp, each once."""
    read = []
    for packet, arrived_ns in packets:
        first, _, _, timestamp, ssrc = _FIXED.unpack_from(packet)
        payload = _payload(packet, first)
        if payload:
            read.append((ssrc, timestamp, arrived_ns, payload))
    if not read:
        return []
    ssrc, base = read[-1][0], read[-1][1]
    # modulo 2**32, as timestamps are, around the last one
    line = {
        ((timestamp - base + (1 << 31)) & 0xFFFFFFFF): (arrived_ns, payload)
        for source, timestamp, arrived_ns, payload in reversed(read)
        if source == ssrc
    }
    return [(timestamp, *line[timestamp]) for timestamp in sorted(line)]


def _payload(packet: bytes, first: int) -> bytes:
    """Behind contributing sources and header extension, without padding (RFC 3550 section 5.1); empty if cut short."""
    start = _FIXED.size + 4 * (first & 0x0F)
    if first & 0x10:
        if len(packet) < start + 4:
            return b""
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4])
    end = len(packet) - packet[-1] if first & 0x20 else len(packet)
    return packet[start:end]


def _decoder(codec: str) -> tuple[av.AudioCodecContext, int]:
    name, rate = {"opus": ("libopus", 48_000), "pcma": ("pcm_alaw", 8000), "pcmu": ("pcm_mulaw", 8000)}[codec]
    decoder = av.CodecContext.create(name, "r")
    decoder.sample_rate = rate
    decoder.layout = "mono"
    return decoder, rate


def _mono(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Samples:
    samples: Samples = array.reshape(-1).astype(np.float64)
    return samples / 32768 if array.dtype == np.int16 else samples
