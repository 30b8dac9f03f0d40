"""Memory and recordings as tables."""

from __future__ import annotations

from janusload.report import storage_tables
from janusload.summary import Memory, MemoryGrowth, RecordingFault, Recordings
from tests.report import sample

MEMORY = Memory(
    source="control group",
    growth=MemoryGrowth.BOUNDED,
    growth_mb_per_h=0.4,
    growth_ci95_mb_per_h=(-2.0, 3.0),
    firm_mb=12.0,
    firm_mb_max=13.0,
    limit_mb=64.0,
    limit_hits=1200,
    write_mb_per_s=1.9,
)


def test_nothing_seen_is_no_table() -> None:
    assert storage_tables.memory(sample.summary()).rows == []
    assert storage_tables.recordings(sample.summary()).rows == []


def test_memory_says_whether_it_is_bounded_and_how_surely() -> None:
    rows = storage_tables.memory(sample.summary(memory=MEMORY)).rows
    assert ["growth", "bounded: no growth seen (95 % interval -2 to 3 MB/h)"] in rows
    assert ["limit", "64 MB"] in rows
    assert ["times at the limit", "1,200"] in rows
    assert ["recordings grew by", "1.9 MB/s"] in rows
    growing = MEMORY.model_copy(update={"growth": MemoryGrowth.GROWS, "growth_mb_per_h": 40.0})
    assert storage_tables.memory(sample.summary(memory=growing)).rows[1][1].startswith("grows by 40 MB/h (95 %")
    short = MEMORY.model_copy(update={"growth": MemoryGrowth.TOO_SHORT, "growth_ci95_mb_per_h": None})
    assert "too short" in storage_tables.memory(sample.summary(memory=short)).rows[1][1]


def test_recordings_say_what_is_wrong_with_which_file() -> None:
    fault = RecordingFault(path="a-audio.mjr", state="empty", words="the file has 0 bytes")
    found = Recordings(
        files=2,
        size_mb=1.0,
        hours=0.5,
        whole=1,
        states={"whole": 1, "empty": 1},
        packets=100,
        missing=3,
        faults=[fault],
    )
    rows = storage_tables.recordings(sample.summary(recordings=found)).rows
    assert ["files that are empty", "1"] in rows
    assert ["missing", "3"] in rows
    assert ["fault: a-audio.mjr", "empty: the file has 0 bytes"] in rows
