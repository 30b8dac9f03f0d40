from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janusload.media import clips, hearing, sounds
from janusload.media.hearing import Listener, Recording, Sound, find_chirps, find_tones
from janusload.media.tones import TONES_HZ

MS = 1_000_000
SECONDS = hearing.WINDOW_S


def packets(
    clip: clips.Clip,
    *,
    first: int = 0,
    count: int = 110,
    timestamp: int = 0,
    without: frozenset[int] = frozenset(),
    ssrc: int = 7,
) -> list[tuple[bytes, int]]:
    """RTP of a clip from its packet `first` on, as it arrives: packet k at k times its duration."""
    return [
        (
            struct.pack("!BBHII", 0x80, 111, at, (timestamp + at * clip.ticks_per_packet) & 0xFFFFFFFF, ssrc)
            + clip.packets[(first + at) % len(clip.packets)],
            10**18 + at * clip.ptime_ms * MS,
        )
        for at in range(count)
        if at not in without
    ]


def look(clip: clips.Clip, **how: int | frozenset[int]) -> hearing.Heard:
    return Recording(clip.codec, 5, 9, 10**18, packets(clip, **how)).look()  # type: ignore[arg-type]


@pytest.mark.parametrize("codec", ["opus", "pcma", "pcmu"])
def test_a_tone_is_heard_at_its_level(codec: str) -> None:
    heard = look(clips.make(f"tone:{TONES_HZ[7]}", codec))
    assert [hertz for hertz, _ in heard.tones] == [TONES_HZ[7]]
    # 0.08 of full scale
    assert heard.tones[0][1] == pytest.approx(20 * np.log10(0.08) - 3.01, abs=0.5)
    assert (heard.from_ns, heard.until_ns, heard.packets, heard.chirps) == (5, 9, 110, [])


@pytest.mark.parametrize("codec", ["opus", "pcma"])
def test_a_chirp_is_heard_when_it_came(codec: str) -> None:
    # packet 25 of the clip begins with the chirp, and is the 8th here; libopus adds 6.5 ms of its own
    heard = look(clips.make("chirp", codec), first=17)
    moment_ms = pytest.approx(8 * 20 + (6.5 if codec == "opus" else 0), abs=0.5)
    assert [(at / MS, falling) for at, falling in heard.chirps] == [(moment_ms, False)]
    assert heard.tones == []
    # the falling one is two seconds behind
    heard = look(clips.make("chirp", codec), first=117)
    assert [(at / MS, falling) for at, falling in heard.chirps] == [(moment_ms, True)]


@pytest.mark.parametrize("clip", ["speech", "silence"])
def test_what_is_neither_is_not_taken_for_it(clip: str) -> None:
    for codec in ("opus", "pcmu"):
        for first in (0, 100, 200):
            heard = look(clips.make(clip, codec), first=first)
            assert (heard.tones, heard.chirps) == ([], [])


def test_many_are_told_apart_in_one_mix() -> None:
    mixed = sounds.chirps() + 0.5 * sounds.speech(4.0)
    talking = TONES_HZ[::5]
    for hertz in talking:
        mixed = mixed + np.tile(sounds.tone(1.0, frequency_hz=hertz), 4)
    heard = look(clips.encode_opus("mix", mixed))
    assert tuple(hertz for hertz, _ in heard.tones) == talking
    assert all(level == pytest.approx(-25, abs=1.5) for _, level in heard.tones)
    assert len(heard.chirps) == 1


@given(quiet_db=st.floats(-25, 0), hertz=st.sampled_from(TONES_HZ), noise=st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_levels_are_right_over_noise(quiet_db: float, hertz: int, noise: int) -> None:
    source = np.random.default_rng(noise)
    amplitude = 0.3 * 10 ** (quiet_db / 20)
    t = np.arange(int(SECONDS * 16_000)) / 16_000
    samples = amplitude * np.sin(2 * np.pi * hertz * t + noise) + source.normal(0, 0.001, len(t))
    assert find_tones(samples, 16_000) == [(hertz, pytest.approx(20 * np.log10(amplitude) - 3.01, abs=0.3))]


def test_too_quiet_and_too_short_is_nothing() -> None:
    assert find_tones(0.0005 * sounds.tone(2.0, frequency_hz=TONES_HZ[0]) / 0.08, 48_000) == []
    assert find_chirps(np.zeros(100), 48_000) == []
    assert find_chirps(np.zeros(48_000), 48_000) == []


def test_lost_packets_are_silence_and_shift_nothing() -> None:
    clip = clips.make("chirp")
    whole = look(clip, first=17)
    holed = look(clip, first=17, without=frozenset(range(40, 60)) | {2})
    assert holed.chirps == [(pytest.approx(whole.chirps[0][0], abs=MS), False)]


def test_timestamps_may_wrap_and_packets_come_in_disorder_and_twice() -> None:
    clip = clips.make("chirp")
    straight = packets(clip, first=17, timestamp=2**32 - 40 * 960)
    bent = [*straight[:5], straight[6], straight[5], straight[5], *straight[7:]]
    sounds_ = [Sound.decoded("opus", each) for each in (straight, bent)]
    assert sounds_[0] is not None and sounds_[1] is not None
    assert len(sounds_[0].samples) == len(sounds_[1].samples) == 110 * 960
    assert np.array_equal(sounds_[0].samples, sounds_[1].samples)
    assert sounds_[0].arrived_ns(960 * 30 + 480) == 10**18 + 610 * MS


def test_the_latest_source_is_listened_to() -> None:
    old = packets(clips.make(f"tone:{TONES_HZ[0]}"), count=30, ssrc=1)
    new = packets(clips.make(f"tone:{TONES_HZ[9]}"), count=100, ssrc=2)
    heard = Recording("opus", 0, 0, 0, old + new).look()
    assert [hertz for hertz, _ in heard.tones] == [TONES_HZ[9]]


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(struct.pack("!BBHII", 0x80, 111, 1, 2, 3), id="empty"),
        pytest.param(struct.pack("!BBHII", 0x90, 111, 1, 2, 3) + b"\xbe\xde", id="extension cut short"),
        pytest.param(struct.pack("!BBHII", 0xA0, 111, 1, 2, 3) + b"ab\xff", id="all padding"),
        pytest.param(struct.pack("!BBHII", 0x80, 111, 1, 2, 3) + b"\xff\xff\xff", id="no Opus"),
    ],
)
def test_what_cannot_be_decoded_is_silence(packet: bytes) -> None:
    assert Recording("opus", 0, 0, 0, [(packet, 0)]).look().packets == 0


def test_headers_of_every_form_are_read() -> None:
    clip = clips.make(f"tone:{TONES_HZ[3]}")
    plain = packets(clip)
    forms = []
    for at, (packet, arrived_ns) in enumerate(plain):
        fixed, payload = bytearray(packet[:12]), packet[12:]
        match at % 3:
            case 1:
                fixed[0] |= 0x11
                payload = b"\0\0\0\1" + b"\xbe\xde\0\1abcd" + payload
            case 2:
                fixed[0] |= 0x20
                payload = payload + b"\0\0\3"
        forms.append((bytes(fixed) + payload, arrived_ns))
    expected, found = (Sound.decoded("opus", each) for each in (plain, forms))
    assert expected is not None and found is not None
    assert np.array_equal(expected.samples, found.samples)


def test_a_listener_keeps_what_comes_while_it_looks() -> None:
    listener = Listener("opus")
    listener.tap(b"before", 1)
    listener.begin()
    for number in range(1000):
        listener.tap(b"%d" % number, number)
    recording = listener.end()
    listener.tap(b"after", 1)
    assert len(recording.packets) == 220 and recording.packets[-1] == (b"999", 999)
    assert recording.from_ns <= recording.until_ns
    listener.begin()
    assert listener.end().packets == []
