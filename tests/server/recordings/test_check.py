"""Folders of recordings, and the command that looks at them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from janusload import cli
from janusload.media import sounds
from janusload.media.tones import TONES_HZ
from janusload.server.recordings.check import State, check, recordings_in
from janusload.server.recordings.defects import RecordingUnreadable
from janusload.server.recordings.listen import listen, tones
from tests.server.recordings.recorded import mjr_bytes, rtp, sine, wav_bytes

PACKETS = [rtp(n) for n in range(100)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a-audio.mjr").write_bytes(mjr_bytes(PACKETS))
    (tmp_path / "deep" / "b-audio.mjr.tmp").write_bytes(mjr_bytes(PACKETS)[:-3])
    (tmp_path / "mix.wav").write_bytes(wav_bytes(sine(440, 1, 16_000) * 32767))
    (tmp_path / "1.nfo").write_text("[1]\nname = x\ndate = 2026-11-22\naudio = a-audio.mjr\n")
    (tmp_path / "notes.txt").write_text("no recording")
    return tmp_path


def test_a_folder_is_searched_to_any_depth_and_other_files_are_left_alone(folder: Path) -> None:
    assert [path.name for path in recordings_in([folder])] == ["1.nfo", "a-audio.mjr", "b-audio.mjr.tmp", "mix.wav"]
    assert [check(path).state for path in recordings_in([folder])] == [
        State.WHOLE,
        State.WHOLE,
        State.UNFINISHED,
        State.WHOLE,
    ]


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordingUnreadable, match="is not there"):
        list(recordings_in([tmp_path / "none"]))


def test_recordplays_index_must_name_files_that_are_there(folder: Path) -> None:
    (folder / "1.nfo").write_text("[1]\naudio = gone\nvideo = ../../etc/passwd\n")
    result = check(folder / "1.nfo")
    assert result.state is State.DAMAGED
    assert [d.words for d in result.defects] == [
        "names 'gone' as its audio, which is not there",
        "names '../../etc/passwd' as its video, which is not there",
    ]
    (folder / "1.nfo").write_text("[1]\naudio = " + 300 * "a" + "\n" + 100_000 * "x = y\n")
    long = check(folder / "1.nfo")
    assert (long.state, long.size_bytes, len(long.defects)) == (State.DAMAGED, 600_313, 1)
    (folder / "1.nfo").write_text("no section")
    assert check(folder / "1.nfo").state is State.DAMAGED
    (folder / "1.nfo").write_text("")
    assert check(folder / "1.nfo").state is State.EMPTY


def test_command_says_what_is_wrong_first_and_by_its_exit_code(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["recordings", "check", str(folder)]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("b-audio.mjr.tmp  unfinished")
    assert lines[-1].startswith("1 of 4 recordings are not whole (")
    assert cli.main(["recordings", "check", str(folder / "a-audio.mjr"), str(folder / "mix.wav")]) == 0
    assert "all 2 recordings are whole" in capsys.readouterr().out


def test_missing_packets_fail_only_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gaps.mjr"
    path.write_bytes(mjr_bytes(PACKETS[:50] + PACKETS[52:]))
    assert cli.main(["recordings", "check", str(path)]) == 0
    assert "2 of 100 packets missing" in capsys.readouterr().out
    assert cli.main(["recordings", "check", str(path), "--max-missing", "2.5%"]) == 0
    assert cli.main(["recordings", "check", str(path), "--max-missing", "1%"]) == 3


def test_command_as_json_and_with_ears(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["recordings", "check", "--json", "--listen", str(folder / "mix.wav")]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], row["format"], row["duration_s"], row["defects"]) == ("whole", "wav", 1.0, [])
    assert row["heard"].startswith("440 Hz (-9 dBov)")


def test_an_empty_folder_is_an_error_with_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["recordings", "check", str(tmp_path)]) == 1
    assert "no recordings found" in capsys.readouterr().out


def test_each_tone_of_a_mix_is_heard_with_its_level(tmp_path: Path) -> None:
    mix = sine(440, 3, 16_000, 0.3) + sine(1319, 3, 16_000, 0.03)
    path = tmp_path / "mix.wav"
    path.write_bytes(wav_bytes(mix * 32767))
    heard = listen(path)
    assert heard.seconds == 2.0
    assert [round(tone.hertz) for tone in heard.tones] == [440, 1319]
    assert heard.tones[0].level_dbov == pytest.approx(20 * np.log10(0.3) - 3.01, abs=0.2)
    assert heard.tones[1].level_dbov == pytest.approx(20 * np.log10(0.03) - 3.01, abs=0.2)


@pytest.mark.parametrize("hertz", TONES_HZ)
def test_a_tone_of_which_packets_were_left_out_is_heard_all_the_same(hertz: int) -> None:
    pieces = sine(hertz, 4, 48_000, 0.25).reshape(-1, 960)
    kept = pieces[np.random.default_rng(hertz).random(len(pieces)) > 0.3].reshape(-1)[:96_000]
    heard = tones(kept, 48_000)
    assert min(abs(tone.hertz - hertz) for tone in heard) < 0.01 * hertz


def test_a_voice_has_no_tone() -> None:
    assert tones(np.asarray(sounds.speech(2.0), np.float64), 48_000) == []


def test_noise_and_silence_have_no_tone(tmp_path: Path) -> None:
    path = tmp_path / "noise.wav"
    path.write_bytes(wav_bytes(np.random.default_rng(1).normal(0, 3000, 48_000)))
    assert listen(path).tones == []
    path.write_bytes(wav_bytes(np.zeros(48_000)))
    assert listen(path).tones == []


def test_g711_is_decoded_by_its_table(tmp_path: Path) -> None:
    wave = sine(523, 3, 8000, 0.5) * 32767
    code = np.array([_ulaw(int(value)) for value in wave], np.uint8).tobytes()
    packets = [rtp(n, code[n * 160 : (n + 1) * 160], timestamp=n * 160) for n in range(150)]
    path = tmp_path / "g711.mjr"
    path.write_bytes(mjr_bytes(packets, header=b'{"t":"a","c":"pcmu"}'))
    heard = listen(path)
    assert [round(tone.hertz) for tone in heard.tones[:1]] == [523]
    assert heard.tones[0].level_dbov == pytest.approx(-9.0, abs=0.3)


def _ulaw(sample: int) -> int:
    """ITU-T G.711, encoder."""
    sign, value = (0x80, -sample) if sample < 0 else (0, sample)
    value = min(value, 32_635) + 0x84
    exponent = value.bit_length() - 8
    return ~(sign | exponent << 4 | (value >> (exponent + 3)) & 15) & 0xFF
