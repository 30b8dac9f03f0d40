"""What clips sound like: mono samples at 48 kHz, made or read from a file, before they are encoded."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from janusload.errors import MediaError
from janusload.media.tones import CHIRP_AT_S, CHIRP_EVERY_S, CHIRP_S

Samples = np.ndarray[tuple[int], np.dtype[np.float64]]

RATE = 48_000

#: longest file that is taken, in seconds: ten minutes are 2 MB of packets and some seconds of encoding
LONGEST_S = 600.0

#: the chirp's sweep, inside what G.711 passes
_CHIRP_HZ = (500.0, 3000.0)

_FORMANTS = ((700.0, 200.0), (1200.0, 250.0), (2500.0, 400.0))


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


def tone(seconds: float, *, frequency_hz: float) -> Samples:
    """One sine at -25 dBov: ten do not yet overload a mixer. It has whole periods, so that its loop has no click."""
    periods = max(1, round(frequency_hz * seconds))
    t = np.arange(int(seconds * RATE)) / RATE
    wave: Samples = 0.08 * np.sin(2 * np.pi * t * periods / seconds)
    return wave


def chirp(rate: int = RATE, *, falling: bool = False) -> Samples:
    """The chirp itself: a linear sweep that swells and dies (Hann), so that it is found again to a fraction of a ms."""
    t = np.arange(int(CHIRP_S * rate)) / rate
    low, high = _CHIRP_HZ
    sweep = np.sin(2 * np.pi * (low * t + (high - low) * t**2 / (2 * CHIRP_S)))
    shaped: Samples = 0.5 * np.hanning(len(t)) * sweep
    return shaped[::-1] if falling else shaped


def chirps() -> Samples:
    """A `chirp` clip's sound: silence but for a chirp that rises and one that falls."""
    halves = []
    for falling in (False, True):
        half, sound = silence(CHIRP_EVERY_S), chirp(falling=falling)
        start = int(CHIRP_AT_S * RATE)
        half[start : start + len(sound)] = sound
        halves.append(half)
    return np.concatenate(halves)


def silence(seconds: float) -> Samples:
    """Digital silence."""
    return np.zeros(int(seconds * RATE))


def read(path: str) -> Samples:
    """The first audio stream of a file, mixed to mono.

    Raises:
        MediaError: phase `media`; it cannot be read, has no audio, or is too long.
    """
    parts: list[Samples] = []
    seconds = 0.0
    # FFmpeg would open addresses of the network, and wait at a pipe for ever
    if Path(path).exists() and not Path(path).is_file():
        raise MediaError(f"the clip file {path} cannot be read: it is no regular file", phase="media")
    try:
        with av.open(f"file:{path}") as container:
            if not container.streams.audio:
                raise MediaError(f"the clip file {path} has no audio stream", phase="media")
            resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
            for frame in itertools.chain(container.decode(audio=0), (None,)):
                for even in resampler.resample(frame):
                    parts.append(even.to_ndarray()[0].astype(np.float64))
                    seconds += len(parts[-1]) / RATE
                if seconds > LONGEST_S:
                    raise MediaError(f"the clip file {path} is longer than {LONGEST_S:g} s", phase="media")
    except (av.FFmpegError, OSError, ValueError) as exc:
        # FFmpeg's words, without its number and the path that they repeat
        reason = getattr(exc, "strerror", None) or str(exc)
        raise MediaError(f"the clip file {path} cannot be read: {reason}", phase="media") from exc
    if not parts:
        raise MediaError(f"the clip file {path} has an audio stream without any audio", phase="media")
    return np.concatenate(parts)


def _tone(argument: str) -> Samples:
    frequency = float(argument)
    if not 20 <= frequency <= 20_000:
        raise ValueError
    # whole periods of tenths of a hertz
    return tone(1.0 if frequency == round(frequency) else 10.0, frequency_hz=frequency)


def _silence(argument: str) -> Samples:
    if argument not in ("", "dtx"):
        raise ValueError
    # with DTX the clip begins with what comes before it sets in
    return silence(60.0 if argument else 1.0)


_MAKERS: dict[str, Callable[[str], Samples]] = {
    "speech": lambda _: speech(8.0),
    "silence": _silence,
    "chirp": lambda _: chirps(),
    "tone": _tone,
    "file": read,
}


def make(name: str) -> Samples:
    """What the clip called `name` sounds like: see `clips.make`.

    Raises:
        MediaError: phase `media`; there is no such clip.
    """
    kind, _, argument = name.partition(":")
    try:
        return _MAKERS[kind](argument)
    except (KeyError, ValueError) as exc:
        known = "speech, silence, silence:dtx, chirp, tone:HERTZ (20 to 20000), file:PATH"
        raise MediaError(f"there is no clip {name!r}; known are {known}", phase="media") from exc
