"""Clips: audio encoded once, as packets that all peers share.

A clip is packets with a codec name, a clock rate and a duration per packet: that is all the pump knows of it, so that
clips of another codec, or of video, can come without touching the pump. The payload type is the peers' to negotiate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from janusload.errors import MediaError

Samples = np.ndarray[tuple[int], np.dtype[np.float64]]

RATE = 48_000
#: level of RFC 6464 that means silence
SILENT = 127


@dataclass(frozen=True, slots=True)
class Clip:
    """Encoded audio to be played in a loop.

    Attributes:
        name: as in `speech` or `tone:440`.
        codec: name in an `rtpmap`, as in `opus`.
        clock_rate: RTP clock in Hz.
        channels: as an `rtpmap` has it (RFC 7587 section 7: always 2 for Opus).
        ptime_ms: duration of a packet.
        packets: payloads, in order.
        levels: audio level of each packet in -dBov, 0 (loudest) to 127 (silence), RFC 6464 section 3.
    """

    name: str
    codec: str
    clock_rate: int
    channels: int
    ptime_ms: int
    packets: tuple[bytes, ...]
    levels: tuple[int, ...]

    @property
    def ticks_per_packet(self) -> int:
        """RTP timestamp units that a packet lasts."""
        return self.clock_rate * self.ptime_ms // 1000


def speech(seconds: float, *, pitch_hz: float = 120.0) -> Samples:
    """A voice that says nothing: harmonics of a gliding pitch under formants, four syllables a second, with pauses.

    Voiced all through its syllables, because Opus puts in-band FEC only where there is something to protect.
    """
    t = np.arange(int(seconds * RATE)) / RATE
    # the glide and the syllables have whole periods in a clip, so that its loop has no click
    glide = pitch_hz * (1 + 0.15 * np.sin(2 * np.pi * t * max(1, round(0.5 * seconds)) / seconds))
    phase = 2 * np.pi * np.cumsum(glide) / RATE
    voice = np.zeros_like(t)
    for harmonic in range(1, 24):
        frequency = harmonic * pitch_hz
        # three formants of an open vowel (about 700, 1200 and 2500 Hz) over a falling spectrum
        gain = sum(math.exp(-(((frequency - centre) / width) ** 2)) for centre, width in _FORMANTS) + 0.05
        voice += gain / harmonic**0.5 * np.sin(harmonic * phase)
    syllables = np.clip(np.sin(2 * np.pi * t * max(1, round(4 * seconds)) / seconds) + 0.8, 0.1, None)
    phrases = np.where((t % 4.0) < 3.4, 1.0, 0.0)
    loud = voice * syllables * phrases
    scaled: Samples = loud * (0.3 / float(np.max(np.abs(loud))))
    return scaled


_FORMANTS = ((700.0, 200.0), (1200.0, 250.0), (2500.0, 400.0))


def tone(seconds: float, *, frequency_hz: float) -> Samples:
    """One sine at -16 dBov; of whole periods, so that its loop has no click."""
    periods = max(1, round(frequency_hz * seconds))
    t = np.arange(int(seconds * RATE)) / RATE
    wave: Samples = 0.16 * np.sin(2 * np.pi * t * periods / seconds)
    return wave


def silence(seconds: float) -> Samples:
    """Digital silence."""
    return np.zeros(int(seconds * RATE))


def encode_opus(name: str, samples: Samples, *, bit_rate: int = 24_000, ptime_ms: int = 20) -> Clip:
    """Encode mono samples (48 kHz, -1..1) as Opus with in-band FEC.

    Raises:
        MediaError: phase `media`; the encoder refuses.
    """
    per_packet = RATE * ptime_ms // 1000
    pcm = np.clip(samples * 32767, -32768, 32767).astype(np.int16)
    try:
        encoder = av.CodecContext.create("libopus", "w")
        encoder.sample_rate = RATE
        encoder.layout = "mono"
        encoder.format = "s16"
        encoder.bit_rate = bit_rate
        encoder.time_base = Fraction(1, RATE)
        # FEC is only written when the encoder expects loss (RFC 6716 section 2.1.7)
        encoder.options = {"application": "voip", "frame_duration": str(ptime_ms), "fec": "1", "packet_loss": "20"}
        packets: list[bytes] = []
        levels: list[int] = []
        for start in range(0, len(pcm) - per_packet + 1, per_packet):
            chunk = pcm[start : start + per_packet]
            frame = av.AudioFrame.from_ndarray(chunk.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = RATE
            frame.pts = start
            frame.time_base = Fraction(1, RATE)
            packets += [bytes(packet) for packet in encoder.encode(frame)]
            levels.append(audio_level(chunk))
    except (av.FFmpegError, ValueError) as exc:
        raise MediaError(f"the clip {name} cannot be encoded: {exc}", phase="media") from exc
    if not packets:
        raise MediaError(f"the clip {name} is shorter than one packet", phase="media")
    return Clip(name, "opus", RATE, 2, ptime_ms, tuple(packets), tuple(levels[: len(packets)]))


def audio_level(pcm: np.ndarray[tuple[int], np.dtype[np.int16]]) -> int:
    """Level of a packet's samples in -dBov (RFC 6464 section 3)."""
    rms = float(np.sqrt(np.mean(np.square(pcm.astype(np.float64))))) / 32768
    return SILENT if rms <= 0 else min(SILENT, max(0, round(-20 * math.log10(rms))))


#: tones that `tone` without a frequency goes through: apart from each other by more than Opus blurs, no harmonics
TONES_HZ = (330.0, 415.0, 523.0, 587.0, 740.0, 880.0, 1047.0, 1175.0, 1319.0, 1480.0)

_MAKERS: dict[str, Callable[[str], Samples]] = {
    "speech": lambda _: speech(8.0),
    "silence": lambda _: silence(1.0),
    "tone": lambda frequency: tone(1.0, frequency_hz=float(frequency)),
}


def make(name: str) -> Clip:
    """The clip called `name`: `speech`, `silence` or `tone:HERTZ`. Takes some 10 ms per second of audio.

    Raises:
        MediaError: phase `media`; there is no such clip.
    """
    kind, _, argument = name.partition(":")
    try:
        samples = _MAKERS[kind](argument)
        if kind == "tone" and not 20 <= float(argument) <= 20_000:
            raise ValueError
    except (KeyError, ValueError) as exc:
        known = "speech, silence, tone:HERTZ (20 to 20000)"
        raise MediaError(f"there is no clip {name!r}; known are {known}", phase="media") from exc
    return encode_opus(name, samples)
