from __future__ import annotations

import av
import numpy as np
import pytest

from janusload.errors import MediaError
from janusload.media import clips
from janusload.media.clips import Clip


def decode(clip: Clip) -> np.ndarray:
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate = 48_000
    decoder.layout = "mono"
    frames = [frame for packet in clip.packets for frame in decoder.decode(av.Packet(packet))]
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return samples.astype(float) / (32768 if samples.dtype == np.int16 else 1)


def has_fec(packet: bytes) -> bool:
    """Whether a 20 ms mono SILK or hybrid packet carries the frame before it again (RFC 6716 section 4.2.4)."""
    return packet[0] >> 3 < 16 and len(packet) > 1 and bool(packet[1] & 0x40)


@pytest.fixture(scope="module")
def speech() -> Clip:
    return clips.make("speech")


def test_speech_is_voiced_and_protected(speech: Clip) -> None:
    assert (speech.codec, speech.clock_rate, speech.channels, speech.ptime_ms) == ("opus", 48_000, 2, 20)
    assert speech.ticks_per_packet == 960
    assert len(speech.packets) == len(speech.levels) == 400
    # one 20 ms frame per packet (RFC 6716 section 3.1: code 0)
    assert {packet[0] & 3 for packet in speech.packets} == {0}
    voiced = [packet for packet, level in zip(speech.packets, speech.levels, strict=True) if level < 50]
    assert len(voiced) > 300
    assert sum(map(has_fec, voiced)) / len(voiced) > 0.7
    bit_rate = sum(map(len, speech.packets)) * 8 / 8
    assert 14_000 < bit_rate < 32_000


def test_speech_has_pauses_and_sound(speech: Clip) -> None:
    assert max(speech.levels) == clips.SILENT
    assert min(speech.levels) < 25
    heard = decode(speech)
    assert np.sqrt(np.mean(heard**2)) > 0.02


def test_a_tone_is_heard_at_its_frequency() -> None:
    clip = clips.make("tone:440")
    heard = decode(clip)[4800:]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    peak = np.argmax(spectrum) * 48_000 / len(heard)
    assert abs(peak - 440) < 3
    assert set(clip.levels) == {19}


def test_silence_is_silent() -> None:
    clip = clips.make("silence")
    assert set(clip.levels) == {clips.SILENT}
    assert np.max(np.abs(decode(clip))) < 1e-3


@pytest.mark.parametrize("ptime_ms", [20, 40, 60])
def test_longer_packets(ptime_ms: int) -> None:
    clip = clips.encode_opus("x", clips.tone(1.2, frequency_hz=440), ptime_ms=ptime_ms)
    assert clip.ticks_per_packet == 48 * ptime_ms
    assert len(clip.packets) == len(clip.levels) == 1200 // ptime_ms


@pytest.mark.parametrize("name", ["", "song", "tone", "tone:", "tone:loud", "tone:5", "tone:1e6", "tone:nan"])
def test_an_unknown_clip_is_refused(name: str) -> None:
    with pytest.raises(MediaError, match="there is no clip") as caught:
        clips.make(name)
    assert caught.value.phase == "media"


def test_a_clip_shorter_than_a_packet_is_refused() -> None:
    with pytest.raises(MediaError, match="shorter than one packet"):
        clips.encode_opus("x", clips.silence(0.01))


def test_a_packet_duration_that_opus_does_not_have_is_refused() -> None:
    with pytest.raises(MediaError, match="cannot be encoded"):
        clips.encode_opus("x", clips.silence(1), ptime_ms=33)


def test_audio_level_is_in_dbov() -> None:
    full = np.full(960, 32767, dtype=np.int16)
    assert clips.audio_level(full) == 0
    assert clips.audio_level((full / 10).astype(np.int16)) == 20
    assert clips.audio_level(np.zeros(960, dtype=np.int16)) == 127
