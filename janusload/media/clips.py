"""Clips: audio encoded once, as packets that all peers share.

A clip is packets with a codec name, a clock rate and a duration per packet, or per frame of several packets: that is
all the pump knows of it, so that clips of another codec, or of video, can come without touching the pump. The payload
type is the peers' to negotiate.
What the clips sound like is in `sounds`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from janusload.errors import MediaError
from janusload.media import sounds
from janusload.media.sounds import RATE, Samples

Pcm = np.ndarray[tuple[int], np.dtype[np.int16]]

#: level of RFC 6464 that means silence
SILENT = 127

#: bytes that a payload may have: with headers and SRTP's tag it must fit into a datagram that no network cuts up
LARGEST_PAYLOAD = 1400

#: packet durations that the pump's period can keep, in ms
PTIMES = (20, 40, 60)

#: libopus with DTX sends all of the first 200 ms of silence and then one packet in 400 ms, to keep the line's noise
#: (silk/define.h: NB_SPEECH_FRAMES_BEFORE_DTX, MAX_CONSECUTIVE_DTX); PyAV's encoder has no switch for it
_DTX_AFTER_MS = 200
_DTX_EVERY_MS = 400


@dataclass(frozen=True, slots=True)
class Clip:
    """Encoded audio, or video, to be played in a loop.

    Attributes:
        name: as in `speech` or `tone:440`.
        codec: name in an `rtpmap`, in small letters, as in `opus`.
        clock_rate: RTP clock in Hz.
        channels: as an `rtpmap` has it (RFC 7587 section 7: always 2 for Opus).
        ptime_ms: duration of a packet, or of a frame.
        packets: payloads, in order; where one is empty nothing is sent, but time goes on (DTX).
        levels: audio level of each packet in -dBov, 0 (loudest) to 127 (silence), RFC 6464 section 3.
        frames: of video, how many packets each frame has, in order: they share a timestamp, leave together, and the
            last one has the marker bit (as in RFC 7741 section 4.1). Empty where every packet has its own time.

    Raises:
        ValueError: the frames are not of these packets, or a packet is too large.
    """

    name: str
    codec: str
    clock_rate: int
    channels: int
    ptime_ms: int
    packets: tuple[bytes, ...]
    levels: tuple[int, ...]
    frames: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.frames and (min(self.frames) < 1 or sum(self.frames) != len(self.packets)):
            raise ValueError(f"frames of {sum(self.frames)} packets in all, but there are {len(self.packets)}")
        if (largest := max(map(len, self.packets), default=0)) > LARGEST_PAYLOAD:
            raise ValueError(f"a payload of {largest} bytes, where {LARGEST_PAYLOAD} are the most")

    @property
    def ticks_per_packet(self) -> int:
        """RTP timestamp units that a packet, or a frame, lasts."""
        return self.clock_rate * self.ptime_ms // 1000


def make(name: str, codec: str = "opus", ptime_ms: int = 20) -> Clip:
    """The clip called `name`; takes some 10 ms per second of audio.

    Args:
        name: `speech`, `silence`, `silence:dtx`, `chirp`, `tone:HERTZ` or `file:PATH` (whatever FFmpeg reads).
        codec: `opus`, `pcma` or `pcmu`.
        ptime_ms: 20, 40 or 60; 20 for G.711, as the AudioBridge takes nothing else.

    Raises:
        MediaError: phase `media`; there is no such clip, or the file has no audio that could be read.
    """
    if ptime_ms not in PTIMES:
        raise MediaError(f"packets of {ptime_ms} ms cannot be sent, only of 20, 40 or 60", phase="media")
    samples = sounds.make(name)
    if codec in _COMPANDED:
        if ptime_ms != 20:
            raise MediaError(f"{codec} has packets of 20 ms, not of {ptime_ms}", phase="media")
        return encode_g711(name, samples, codec)
    if codec != "opus":
        raise MediaError(f"there is no codec {codec!r}; known are opus, pcma, pcmu", phase="media")
    clip = encode_opus(name, samples, ptime_ms=ptime_ms)
    return with_dtx(clip) if name == "silence:dtx" else clip


def encode_opus(name: str, samples: Samples, *, bit_rate: int = 24_000, ptime_ms: int = 20) -> Clip:
    """Encode mono samples (48 kHz, -1..1) as Opus with in-band FEC.

    Raises:
        MediaError: phase `media`; the encoder refuses.
    """
    per_packet = RATE * ptime_ms // 1000
    pcm = _pcm(samples)
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


#: FFmpeg's names of G.711's two laws
_COMPANDED = {"pcma": "pcm_alaw", "pcmu": "pcm_mulaw"}
_G711_RATE = 8000
#: samples, and bytes, of 20 ms
_G711_BYTES = 160


def encode_g711(name: str, samples: Samples, codec: str) -> Clip:
    """Encode mono samples (48 kHz, -1..1) as G.711: packets of exactly 160 bytes, which are 20 ms.

    Raises:
        MediaError: phase `media`; it is shorter than a packet.
    """
    resampler = av.AudioResampler(format="s16", layout="mono", rate=_G711_RATE)
    whole = av.AudioFrame.from_ndarray(_pcm(samples).reshape(1, -1), format="s16", layout="mono")
    whole.sample_rate = RATE
    frames = [*resampler.resample(whole), *resampler.resample(None)]
    pcm = np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.int16)
    encoder = av.CodecContext.create(_COMPANDED[codec], "w")
    encoder.sample_rate, encoder.layout, encoder.format = _G711_RATE, "mono", "s16"
    encoder.time_base = Fraction(1, _G711_RATE)
    packets: list[bytes] = []
    levels: list[int] = []
    for start in range(0, len(pcm) - _G711_BYTES + 1, _G711_BYTES):
        chunk = pcm[start : start + _G711_BYTES]
        frame = av.AudioFrame.from_ndarray(chunk.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = _G711_RATE
        packets.append(b"".join(bytes(packet) for packet in encoder.encode(frame)))
        levels.append(audio_level(chunk))
    if not packets:
        raise MediaError(f"the clip {name} is shorter than one packet", phase="media")
    return Clip(name, codec, _G711_RATE, 1, 20, tuple(packets), tuple(levels))


def with_dtx(clip: Clip) -> Clip:
    """A clip of silence as a sender with discontinuous transmission sends it (RFC 7587 section 3.1.3)."""
    first, every = _DTX_AFTER_MS // clip.ptime_ms, _DTX_EVERY_MS // clip.ptime_ms
    sent = [packet if at < first or at % every == 0 else b"" for at, packet in enumerate(clip.packets)]
    return Clip(clip.name, clip.codec, clip.clock_rate, clip.channels, clip.ptime_ms, tuple(sent), clip.levels)


def audio_level(pcm: Pcm) -> int:
    """Level of a packet's samples in -dBov (RFC 6464 section 3)."""
    rms = float(np.sqrt(np.mean(np.square(pcm.astype(np.float64))))) / 32768
    return SILENT if rms <= 0 else min(SILENT, max(0, round(-20 * math.log10(rms))))


def _pcm(samples: Samples) -> Pcm:
    rounded: Pcm = np.clip(samples * 32767, -32768, 32767).astype(np.int16)
    return rounded
