"""Memory and recordings of two runs."""

from __future__ import annotations

from janusload.analysis.compare_storage import storage
from janusload.comparison import Change
from janusload.summary import Memory, MemoryGrowth, MemoryState, Recordings
from tests.report import sample

MEMORY = Memory(
    source="control group",
    growth=MemoryGrowth.BOUNDED,
    firm_mb=14.0,
    firm_mb_max=15.0,
    file_mb_max=46.0,
    recordings_resident_mb_max=45.0,
    state=MemoryState.AT_LIMIT_HARMLESS,
)
RECORDINGS = Recordings(
    files=20, size_mb=80, hours=1, whole=20, states={"whole": 20}, packets=100_000, missing=0, missing_share=0.0
)


def changes(memory: Memory = MEMORY, recordings: Recordings = RECORDINGS) -> dict[str, Change]:
    base = sample.summary(memory=MEMORY, recordings=RECORDINGS)
    new = sample.summary(memory=memory, recordings=recordings)
    return {aspect.name: aspect.change for aspect in storage(base, new)}


def test_the_same_is_the_same() -> None:
    assert set(changes().values()) == {Change.SAME}


def test_less_page_cache_is_better_and_more_is_no_harm() -> None:
    less = changes(MEMORY.model_copy(update={"file_mb_max": 6.0, "recordings_resident_mb_max": 5.0}))
    assert less["page cache, at most"] is Change.BETTER
    assert less["recordings in the page cache, at most"] is Change.BETTER
    assert less["memory that cannot be taken back"] is Change.SAME
    assert set(changes(MEMORY.model_copy(update={"file_mb_max": 400.0})).values()) == {Change.SAME}


def test_memory_that_cannot_be_taken_back_counts_both_ways() -> None:
    assert changes(MEMORY.model_copy(update={"firm_mb": 30.0}))["memory that cannot be taken back"] is Change.WORSE
    assert changes(MEMORY.model_copy(update={"firm_mb": 5.0}))["memory that cannot be taken back"] is Change.BETTER


def test_a_full_limit_is_as_good_as_none_until_writers_wait() -> None:
    assert changes(MEMORY.model_copy(update={"state": MemoryState.BELOW_LIMIT}))["memory limit"] is Change.SAME
    assert changes(MEMORY.model_copy(update={"state": MemoryState.WRITERS_HELD_UP}))["memory limit"] is Change.WORSE


def test_recordings_that_are_not_whole_or_miss_packets_are_worse() -> None:
    bad = RECORDINGS.model_copy(update={"whole": 18, "states": {"whole": 18, "empty": 2}, "missing_share": 0.02})
    found = changes(recordings=bad)
    assert found["recordings not whole"] is Change.WORSE
    assert found["packets missing in recordings"] is Change.WORSE


def test_runs_that_do_not_know_are_not_compared() -> None:
    assert storage(sample.summary(), sample.summary(memory=MEMORY, recordings=RECORDINGS)) == []
