from __future__ import annotations

import os
import socket
import wave
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from janusload.errors import MediaError
from janusload.media import clips, sounds
from janusload.media.clips import Clip
from janusload.media.tones import CHIRP_AT_S, TONES_HZ
from tests.media.opus import Decoder


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


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two pieces of sound, -1 to 1."""
    return float(np.dot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other) + 1e-9))


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


def test_every_other_packet_of_speech_can_be_lost_and_is_in_the_next_one(speech: Clip) -> None:
    whole, with_fec, made_up = Decoder(), Decoder(), Decoder()
    by_fec, by_guess = [], []
    for at, packet in enumerate(speech.packets[:-1]):
        truth = whole.decode(packet)
        if at % 2 == 0:
            with_fec.decode(packet)
            made_up.decode(packet)
            continue
        recovered, guessed = with_fec.decode(speech.packets[at + 1], fec=True), made_up.decode(None)
        if np.linalg.norm(truth) > 20_000:
            by_fec.append(alike(truth, recovered))
            by_guess.append(alike(truth, guessed))
    assert len(by_fec) > 100
    assert np.median(by_fec) > 0.9
    assert np.median(by_fec) > np.median(by_guess) + 0.1


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
    assert set(clip.levels) == {25}


def test_silence_is_silent() -> None:
    clip = clips.make("silence")
    assert set(clip.levels) == {clips.SILENT}
    assert np.max(np.abs(decode(clip))) < 1e-3


@pytest.mark.parametrize("ptime_ms", [20, 40, 60])
def test_longer_packets(ptime_ms: int) -> None:
    clip = clips.encode_opus("x", sounds.tone(1.2, frequency_hz=440), ptime_ms=ptime_ms)
    assert clip.ticks_per_packet == 48 * ptime_ms
    assert len(clip.packets) == len(clip.levels) == 1200 // ptime_ms


@pytest.mark.parametrize(
    "name", ["", "song", "tone", "tone:", "tone:loud", "tone:5", "tone:1e6", "tone:nan", "silence:golden"]
)
def test_an_unknown_clip_is_refused(name: str) -> None:
    with pytest.raises(MediaError, match="there is no clip") as caught:
        clips.make(name)
    assert caught.value.phase == "media"


def test_a_clip_shorter_than_a_packet_is_refused() -> None:
    with pytest.raises(MediaError, match="shorter than one packet"):
        clips.encode_opus("x", sounds.silence(0.01))


def test_a_packet_duration_that_opus_does_not_have_is_refused() -> None:
    with pytest.raises(MediaError, match="cannot be encoded"):
        clips.encode_opus("x", sounds.silence(1), ptime_ms=33)


def test_audio_level_is_in_dbov() -> None:
    full = np.full(960, 32767, dtype=np.int16)
    assert clips.audio_level(full) == 0
    assert clips.audio_level((full / 10).astype(np.int16)) == 20
    assert clips.audio_level(np.zeros(960, dtype=np.int16)) == 127


@pytest.mark.parametrize("codec", ["pcma", "pcmu"])
def test_g711_has_packets_of_exactly_160_bytes(codec: str) -> None:
    clip = clips.make("tone:1000", codec)
    assert (clip.codec, clip.clock_rate, clip.channels, clip.ptime_ms, clip.ticks_per_packet) == (
        codec,
        8000,
        1,
        20,
        160,
    )
    assert {len(packet) for packet in clip.packets} == {160}
    assert len(clip.packets) == len(clip.levels) == 50
    decoder = av.CodecContext.create({"pcma": "pcm_alaw", "pcmu": "pcm_mulaw"}[codec], "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"
    heard = np.concatenate(
        [frame.to_ndarray()[0] for packet in clip.packets for frame in decoder.decode(av.Packet(packet))]
    )
    spectrum = np.abs(np.fft.rfft(heard.astype(float) * np.hanning(len(heard))))
    assert abs(np.argmax(spectrum) * 8000 / len(heard) - 1000) < 3
    assert set(clip.levels[1:-1]) == {25}


def test_silence_with_dtx_sends_little() -> None:
    clip = clips.make("silence:dtx")
    sent = [at for at, packet in enumerate(clip.packets) if packet]
    # 200 ms, then a packet in 400 ms
    assert sent[:12] == [*range(10), 20, 40]
    assert len(sent) / len(clip.packets) < 0.06
    assert len(clip.packets) == 3000


def test_a_chirp_is_where_it_should_be() -> None:
    heard = decode(clips.make("chirp"))
    for falling, half in ((False, heard[:72_000]), (True, heard[96_000:168_000])):
        matched = np.abs(np.correlate(half, sounds.chirp(falling=falling), "valid"))
        # libopus looks 6.5 ms ahead
        assert int(np.argmax(matched)) / 48_000 == pytest.approx(CHIRP_AT_S + 0.0065, abs=0.0005)


def test_tones_are_no_overtones_of_each_other() -> None:
    assert len(TONES_HZ) == 36 and max(TONES_HZ) < 3400
    off = [abs(m * low - high) / high for low in TONES_HZ for high in TONES_HZ for m in (2, 3, 4, 5)]
    assert min(off) > 0.015
    assert min(high / low for low, high in pairwise(TONES_HZ)) > 1.05


def a_wave(path: Path, seconds: float, rate: int = 16_000, channels: int = 2) -> str:
    t = np.arange(int(seconds * rate)) / rate
    both = np.repeat((8000 * np.sin(2 * np.pi * 700 * t)).astype(np.int16), channels)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(both.tobytes())
    return f"file:{path}"


def test_a_file_is_resampled_and_mixed_to_mono(tmp_path: Path) -> None:
    clip = clips.make(a_wave(tmp_path / "a.wav", 1.0))
    assert len(clip.packets) in (49, 50)
    heard = decode(clip)[4800:]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert abs(np.argmax(spectrum) * 48_000 / len(heard) - 700) < 3
    assert {len(packet) for packet in clips.make(a_wave(tmp_path / "b.wav", 0.5), "pcmu").packets} == {160}


def test_a_file_that_is_no_audio_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "notes.txt").write_text("no audio\n" * 100)
    (tmp_path / "empty.wav").write_bytes(b"")
    for name, words in (
        ("noise.bin", "(cannot be read: |has no audio stream)"),
        ("notes.txt", "(cannot be read: |has no audio stream)"),
        ("empty.wav", "cannot be read: "),
        ("none.wav", "cannot be read: No such file"),
        ("", "cannot be read: "),
    ):
        with pytest.raises(MediaError, match=f"{name} {words}") as caught:
            clips.make(f"file:{tmp_path / name}")
        assert caught.value.phase == "media"


def test_what_is_no_file_is_neither_waited_for_nor_fetched(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MediaError, match="pipe cannot be read: it is no regular file"):
        clips.make(f"file:{tmp_path / 'pipe'}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.wav"
        with pytest.raises(MediaError, match="cannot be read: No such file"):
            clips.make(f"file:{url}")
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_file_without_an_audio_stream_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        container.mux(stream.encode())
    with pytest.raises(MediaError, match=r"film\.mkv has no audio stream"):
        clips.make(f"file:{path}")


def test_a_file_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "LONGEST_S", 0.5)
    with pytest.raises(MediaError, match=r"longer than 0\.5 s"):
        clips.make(a_wave(tmp_path / "long.wav", 1.0))


@pytest.mark.parametrize(
    ("codec", "ptime_ms", "words"),
    [("g722", 20, "no codec"), ("opus", 10, "packets of 10 ms"), ("pcma", 40, "packets of 20 ms, not of 40")],
)
def test_what_cannot_be_sent_is_refused(codec: str, ptime_ms: int, words: str) -> None:
    with pytest.raises(MediaError, match=words) as caught:
        clips.make("silence", codec, ptime_ms)
    assert caught.value.phase == "media"


def test_g711_shorter_than_a_packet_is_refused() -> None:
    with pytest.raises(MediaError, match="shorter than one packet"):
        clips.encode_g711("x", sounds.silence(0.01), "pcma")


def test_frames_must_be_of_the_clips_packets() -> None:
    def video(*frames: int) -> Clip:
        return Clip("x", "VP8", 90_000, 1, 40, (b"a", b"b", b"c"), (127,) * 3, frames)

    assert video(2, 1).ticks_per_packet == 3600
    for wrong in ((2,), (2, 2), (3, 0), (4, -1)):
        with pytest.raises(ValueError, match="3"):
            video(*wrong)
