"""Memory and recordings as tables."""

from __future__ import annotations

from janusload import wording
from janusload.report.tables import Table
from janusload.summary import Memory, MemoryGrowth, Summary


def memory(summary: Summary) -> Table:
    """What memory did, what the kernel can take back apart from what it cannot."""
    memory = summary.memory
    if memory is None:
        return Table([], [])
    rows = [["seen of", f"the {memory.source}"], ["growth", _growth(memory)]]
    for words, value in (
        ("what cannot be taken back, before the load", memory.firm_first_mb),
        ("what cannot be taken back, typical", memory.firm_mb),
        ("what cannot be taken back, at most", memory.firm_mb_max),
        ("limit", memory.limit_mb),
        ("page cache at most", memory.file_mb_max),
        ("waiting for the disk (dirty) at most", memory.dirty_mb_max),
        ("on its way to the disk (writeback) at most", memory.writeback_mb_max),
        ("recordings in the page cache at most", memory.recordings_resident_mb_max),
        ("socket buffers at most", memory.sock_mb_max),
        ("slab at most", memory.slab_mb_max),
        ("kernel stacks at most", memory.kernel_stack_mb_max),
        ("kept by the kernel for it, not split up further, typical", memory.kernel_mb),
        ("written to disks", memory.written_mb),
        ("free on the recordings' disk at the end", memory.disk_free_mb),
    ):
        if value is not None:
            rows.append([words, f"{wording.number(value)} MB"])
    if memory.write_mb_per_s is not None:
        rows.append(["recordings grew by", f"{wording.number(memory.write_mb_per_s)} MB/s"])
    for words, count in (("times at the limit", memory.limit_hits), ("killed for memory", memory.oom_kills)):
        if count is not None:
            rows.append([words, f"{count:,}"])
    return Table(["what", "value"], rows, frozenset({0, 1}))


def recordings(summary: Summary) -> Table:
    """What lies in the recordings, and whether that is all that was sent."""
    recordings = summary.recordings
    if recordings is None:
        return Table([], [])
    rows = [
        ["files with audio", f"{recordings.files:,}"],
        ["files that are whole, lists of Record&Play included", f"{recordings.whole:,}"],
        *(
            [f"files that are {state.replace('_', ' ')}", f"{n:,}"]
            for state, n in recordings.states.items()
            if state != "whole"
        ),
        ["size", f"{wording.number(recordings.size_mb)} MB"],
        ["audio in them", f"{wording.number(recordings.hours)} h"],
    ]
    for words, count in (
        ("RTP packets", recordings.packets),
        ("missing", recordings.missing),
        ("of these withheld by the sender, to play a loss", recordings.withheld),
        ("of these sent while muted by the server", recordings.muted),
        ("of these lost on the way or in the server", recordings.lost_on_the_way),
        ("there twice", recordings.duplicated),
        ("reordered", recordings.reordered),
        ("files whose sender is known", recordings.matched),
        ("sent before a file's first packet or after its last", recordings.outside),
        ("files whose sender knows what must be in them", recordings.told),
        ("sent while surely recorded, and missing at a file's beginning or end", recordings.cut),
        ("files listened to for their sender's tone", recordings.voices),
        ("rooms' mixes of which it is known how long they must be", recordings.mixes),
    ):
        if count is not None:
            rows.append([words, f"{count:,}"])
    if recordings.mixes_lack_s is not None:
        rows.append(["missing in these", f"{wording.number(recordings.mixes_lack_s)} s"])
    rows += [[f"fault: {fault.path}", f"{fault.state}: {fault.words}"] for fault in recordings.faults]
    return Table(["what", "value"], rows, frozenset({0, 1}))


def _growth(memory: Memory) -> str:
    if memory.growth is MemoryGrowth.LOAD_CHANGED:
        return "not told: the load grew, and memory with it"
    if memory.growth is MemoryGrowth.TOO_SHORT or memory.growth_ci95_mb_per_h is None:
        return "not known: the run was too short to tell"
    low, high = memory.growth_ci95_mb_per_h
    interval = f"95 % interval {wording.number(low)} to {wording.number(high)} MB/h"
    if memory.growth is MemoryGrowth.GROWS and memory.growth_mb_per_h is not None:
        return f"grows by {wording.number(memory.growth_mb_per_h)} MB/h ({interval})"
    seen = "no growth seen" if low <= 0 else "hardly any growth"
    return f"bounded: {seen} ({interval})"
