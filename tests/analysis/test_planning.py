"""From a measured run to a planned one."""

from __future__ import annotations

import pytest

from janusload.analysis.planning import plan_recording
from janusload.errors import UsageError
from janusload.summary import Media, Memory, MemoryGrowth
from tests.report import sample

MEMORY = Memory(
    source="control group",
    growth=MemoryGrowth.BOUNDED,
    firm_first_mb=10.0,
    firm_mb=15.0,
    firm_mb_max=16.0,
    write_mb_per_s=0.2,
)
RUN = sample.summary(memory=MEMORY, media=Media(participants=20))


def test_what_grows_with_participants_is_scaled_and_the_rest_is_not() -> None:
    plan = plan_recording(RUN, 200, 8, free_bytes=1e12)
    assert plan.disk_mb_per_s == pytest.approx(2.0)
    assert plan.disk_gb == pytest.approx(2.0 * 3600 * 8 / 1000)
    assert plan.firm_mb == pytest.approx(10 + 50)
    assert plan.dirty_mb == pytest.approx(70)
    assert plan.memory_limit_mb == pytest.approx(60 * 1.25 + 70)
    assert plan.full_after_h == pytest.approx(1e12 / 2e6 / 3600)
    assert plan.basis.startswith("20 participants, 0.200 MB/s of recordings, 15.0 MB")


def test_without_a_disk_it_is_that_of_the_run_that_gets_full() -> None:
    assert plan_recording(RUN, 200, 8).full_after_h is None
    run = RUN.model_copy(update={"memory": MEMORY.model_copy(update={"disk_free_mb": 72_000.0})})
    assert plan_recording(run, 200, 8).full_after_h == pytest.approx(10)
    assert plan_recording(run, 200, 8, free_bytes=3.6e9).full_after_h == pytest.approx(0.5)


def test_what_the_kernel_keeps_counts_where_it_is_not_split_up() -> None:
    run = RUN.model_copy(update={"memory": MEMORY.model_copy(update={"kernel_mb": 3.0})})
    plan = plan_recording(run, 200, 8)
    assert plan.firm_mb == pytest.approx(10 + 50 + 30)
    assert plan.basis.endswith("3.0 MB of the kernel's own")


@pytest.mark.parametrize("missing", [{"memory": None}, {"media": None}, {"media": Media(participants=0)}])
def test_a_run_without_recordings_cannot_be_scaled(missing: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="cannot be scaled"):
        plan_recording(RUN.model_copy(update=missing), 200, 8)
