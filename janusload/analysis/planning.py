"""What a server that records needs: from one measured run to N participants for H hours.

Recommended memory limit = what the kernel cannot take back at the planned load, with headroom, and the dirty pages of
one write-back window at the planned write rate (measurement.md section 6).
"""

from __future__ import annotations

from dataclasses import dataclass

from janusload.errors import UsageError
from janusload.summary import Summary

#: the kernel writes dirty pages out after at most so long (vm.dirty_expire_centisecs, plus one wake-up of the flusher)
WRITE_BACK_WINDOW_S = 35.0
#: on top of what was measured, for what was not
HEADROOM = 0.25


@dataclass(frozen=True)
class RecordingPlan:
    """What N participants need.

    Attributes:
        basis: the measurement that it stands on, in words.
        disk_mb_per_s: what the disk must take all the time.
        disk_gb: what lies there after the hours.
        firm_mb: memory that the kernel cannot take back, and what it keeps for itself where that is not split up.
        dirty_mb: page cache that waits for the disk at most.
        memory_limit_mb: recommended.
        full_after_h: when the free space is used up; None without a figure for it.
    """

    participants: int
    hours: float
    basis: str
    disk_mb_per_s: float
    disk_gb: float
    firm_mb: float
    dirty_mb: float
    memory_limit_mb: float
    full_after_h: float | None


def plan_recording(
    summary: Summary, participants: int, hours: float, *, free_bytes: float | None = None
) -> RecordingPlan:
    """Scale a run with recordings to another number of participants, in proportion.

    Args:
        free_bytes: space for recordings; None: what was left on the disk of that run's.

    Raises:
        UsageError: the run has no recordings, participants or memory readings to scale from.
    """
    memory, media = summary.memory, summary.media
    if memory is None or memory.write_mb_per_s is None or media is None or not media.participants:
        raise UsageError("that run cannot be scaled: it needs recordings, participants and readings of the server")
    factor = participants / media.participants
    base_mb = memory.firm_first_mb if memory.firm_first_mb is not None else 0.0
    kernel_mb = memory.kernel_mb or 0.0
    firm_mb = base_mb + max(0.0, memory.firm_mb - base_mb) * factor + kernel_mb * max(1.0, factor)
    rate = memory.write_mb_per_s * factor
    dirty_mb = rate * WRITE_BACK_WINDOW_S
    free_mb = memory.disk_free_mb if free_bytes is None else free_bytes / 1e6
    basis = (
        f"{media.participants} participants, {memory.write_mb_per_s:.3f} MB/s of recordings, "
        f"{memory.firm_mb:.1f} MB that cannot be taken back ({base_mb:.1f} MB of it before they came)"
    )
    if kernel_mb:
        basis += f", {kernel_mb:.1f} MB of the kernel's own"
    return RecordingPlan(
        participants=participants,
        hours=hours,
        basis=basis,
        disk_mb_per_s=rate,
        disk_gb=rate * hours * 3.6,
        firm_mb=firm_mb,
        dirty_mb=dirty_mb,
        memory_limit_mb=firm_mb * (1 + HEADROOM) + dirty_mb,
        full_after_h=None if free_mb is None or rate == 0 else free_mb / rate / 3600,
    )
