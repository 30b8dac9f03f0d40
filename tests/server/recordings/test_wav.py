"""WAV files with the quirks of those that Janus writes."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from janusload.server.recordings import wav
from janusload.server.recordings.defects import DefectKind, RecordingUnreadable
from tests.server.recordings.recorded import sine, wav_bytes

SECOND = sine(440, 1.0, 16_000) * 32767


def read(tmp_path: Path, content: bytes) -> wav.Wav:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    return wav.read(path)


def test_the_length_comes_from_the_file_not_from_the_header(tmp_path: Path) -> None:
    result = read(tmp_path, wav_bytes(SECOND))
    assert (result.sampling_rate, result.channels, result.duration_s, result.defects) == (16_000, 1, 1.0, [])
    assert result.peak == pytest.approx(0.5, abs=0.001)
    assert result.rms_dbov == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)), abs=0.01)


def test_stereo_has_half_the_duration(tmp_path: Path) -> None:
    assert read(tmp_path, wav_bytes(SECOND, channels=2)).duration_s == 0.5


def test_silence_is_told_apart(tmp_path: Path) -> None:
    result = read(tmp_path, wav_bytes(np.zeros(1000)))
    assert (result.silent_share, result.peak, result.rms_dbov, result.defects) == (1.0, 0.0, None, [])


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", DefectKind.EMPTY),
        (b"RI", DefectKind.TRUNCATED),
        (wav_bytes(SECOND)[:30], DefectKind.TRUNCATED),
        (wav_bytes(SECOND)[:-2], DefectKind.TRUNCATED),
        (wav_bytes(SECOND, riff=16_000), DefectKind.NOT_FINISHED),
        (wav_bytes(np.empty(0)), DefectKind.NO_PACKETS),
        (wav_bytes(SECOND, channels=9), DefectKind.HEADER),
    ],
)
def test_each_fault_has_its_name(tmp_path: Path, content: bytes, kind: DefectKind) -> None:
    assert [defect.kind for defect in read(tmp_path, content).defects] == [kind]


def test_half_a_sample_at_the_end_is_told(tmp_path: Path) -> None:
    kinds = {defect.kind for defect in read(tmp_path, wav_bytes(SECOND) + b"x").defects}
    assert kinds == {DefectKind.TRUNCATED, DefectKind.NOT_FINISHED}


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingUnreadable, match="is no WAV file: it begins with b'MJR0'"):
        read(tmp_path, b"MJR00002")
    with pytest.raises(RecordingUnreadable, match="its chunks are others"):
        read(tmp_path, b"RIFF" + bytes(60))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(head=st.binary(max_size=60), tail=st.binary(max_size=200), begin=st.integers(0, 44))
def test_no_content_is_an_exception_but_ours(tmp_path: Path, head: bytes, tail: bytes, begin: int) -> None:
    content = wav_bytes(SECOND[:50])[:begin] + head + tail
    with contextlib.suppress(RecordingUnreadable):
        assert read(tmp_path, content).size_bytes <= len(content)
