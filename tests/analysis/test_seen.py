"""The process decides what the rungs cannot tell, and what was named live is what the report says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from janusload.analysis.strips import log_of_time
from janusload.analysis.timeline import Axis
from janusload.log_categories import LogCategory
from janusload.records import LogRecord, MarkerKind, MarkerRecord, Record, Rung, ServerRecord, ThreadRecord
from janusload.summary import FailureKind
from tests.analysis.simulated import knee, ns
from tests.analysis.test_failure import ALL, between, failure_of, from_then_on, rungs, stuck

LOCK = "lock 0x7f8a5c48e120 libjanus_audiobridge.so"
CORE = {Rung.PING, Rung.CREATE, Rung.AUDIOBRIDGE_SYNC, Rung.AUDIOBRIDGE_ASYNC}


def seen(
    waits: str, *, state: str = "S", from_s: float = 40.0, until_s: float = 70.0, **facts: int | float | None
) -> list[Record]:
    records: list[Record] = []
    for t_s in np.arange(0.0, until_s).tolist():
        bad = t_s >= from_s
        plain = ServerRecord(ns(t_s), 4.0, None, None, None, None, 30, 40, "S")
        records.append(plain._replace(**facts) if bad else plain)
        records.append(ThreadRecord(ns(t_s), "hloop", state if bad else "S", waits if bad else "", 3))
    return records


def test_a_deadlock_is_told_with_its_lock_and_a_frozen_disk_is_none(tmp_path: Path) -> None:
    when = from_then_on(40.0)
    locked = failure_of(tmp_path / "1", rungs=rungs(CORE, when), law=stuck(when), extra=seen(LOCK))
    assert locked.kind is FailureKind.CORE_STUCK and locked.plugin == "audiobridge"
    assert "libjanus_audiobridge.so" in locked.rule and "not back" in locked.rule
    disk = seen("disk percpu_rwsem_wait", state="D")
    frozen = failure_of(tmp_path / "2", rungs=rungs(CORE, when), law=stuck(when), extra=disk)
    assert frozen.kind is FailureKind.DISK_STUCK and "percpu_rwsem_wait" in frozen.rule


def test_writeback_under_a_limit_and_starvation_without_load(tmp_path: Path) -> None:
    when = from_then_on(40.0)
    full = {"cgroup_bytes": 47_000_000, "cgroup_limit_bytes": 48_000_000, "cgroup_writeback_bytes": 31_000_000}
    dead = set(ALL) - {Rung.TCP}
    extra = seen("disk folio_wait_bit", state="D", **full)
    unwritten = failure_of(tmp_path / "1", rungs=rungs(dead, when), law=stuck(when), extra=extra)
    assert unwritten.kind is FailureKind.MEMORY_WRITEBACK
    throttled = seen("", state="R", cpu_percent=5.0, cpu_limit_percent=5.0, throttled_share=0.9)
    starved = failure_of(tmp_path / "2", rungs=rungs(CORE, when), law=stuck(when), extra=throttled)
    assert starved.kind is FailureKind.CPU_STARVED and "throttled" in starved.rule


def test_out_of_descriptors_with_and_without_a_crash(tmp_path: Path) -> None:
    lines = [LogRecord(ns(39.5), LogCategory.EMFILE, 4)]
    gone = [
        ServerRecord(ns(t), 4.0 if t < 40 else None, None, None, None, None, 30, 40, "S" if t < 40 else "")
        for t in np.arange(0.0, 60.0).tolist()
    ]
    when = from_then_on(40.0)
    crash = failure_of(tmp_path / "1", rungs=rungs(ALL, when), law=stuck(when), extra=[*gone, *lines])
    assert crash.kind is FailureKind.FDS
    quiet = failure_of(tmp_path / "2", rungs=rungs([], when), law=knee(9999), extra=lines)
    assert quiet.kind is FailureKind.FDS
    threads = [LogRecord(ns(39.5), LogCategory.THREAD_FAIL, 1)]
    assert failure_of(tmp_path / "3", rungs=rungs([], when), law=knee(9999), extra=threads).kind is FailureKind.THREADS


def test_a_stall_that_was_named_live_and_ended_while_the_load_went_on(tmp_path: Path) -> None:
    extra = [
        MarkerRecord(ns(32.4), MarkerKind.STALL, label=f"plugin_stuck: x; 2 threads wait for {LOCK}", value=2.0),
        MarkerRecord(ns(36.0), MarkerKind.STALL, label="core_stuck: y of libjanus_audiobridge.so", value=2.5),
        MarkerRecord(ns(41.0), MarkerKind.STALL_END, label="core stuck", value=10.6),
    ]
    failure = failure_of(tmp_path, rungs=rungs([], between(0, 0)), law=knee(9999), extra=extra)
    assert failure.kind is FailureKind.CORE_STUCK and failure.plugin == "audiobridge"
    assert failure.detected_after_s == 2.5 and failure.lasted_s == 7.5


def test_a_stall_is_what_it_was_called_last_before_it_was_over(tmp_path: Path) -> None:
    extra = [
        MarkerRecord(ns(30.46), MarkerKind.STALL, label="core_stuck: tcp and ws_ping answered", value=1.7),
        MarkerRecord(ns(30.47), MarkerKind.STALL, label="process_frozen: TCP connected", value=1.7),
        MarkerRecord(ns(31.46), MarkerKind.STALL, label="unreachable: TCP unanswered", value=2.7),
        MarkerRecord(ns(32.72), MarkerKind.STALL_END, label="unreachable", value=4.0),
    ]
    failure = failure_of(tmp_path, rungs=rungs([], between(0, 0)), law=knee(9999), extra=extra)
    assert failure.kind is FailureKind.UNREACHABLE and failure.rule.startswith("TCP unanswered")


def test_a_debugger_of_ours_has_not_frozen_the_process(tmp_path: Path) -> None:
    extra = [ServerRecord(ns(t), 4.0, None, None, None, None, 30, 40, "t") for t in np.arange(20.0, 26.0).tolist()]
    extra += [ServerRecord(ns(t), 4.0, None, None, None, None, 30, 40, "S") for t in np.arange(26.0, 60.0).tolist()]
    assert failure_of(tmp_path, rungs=rungs([], between(0, 0)), law=knee(9999), extra=extra).kind is FailureKind.NONE


def test_srtp_and_ice_errors_have_rows_of_their_own_before_all_others() -> None:
    def lines(t_s: float, category: LogCategory, count: int) -> LogRecord:
        return LogRecord(ns(t_s), category, count)

    records = [
        lines(0.5, LogCategory.SESSION, 900),
        lines(0.5, LogCategory.LATE_PACKETS, 5),
        lines(1.5, LogCategory.SRTP_SUMMARY, 2),
        lines(1.5, LogCategory.SRTP_UNPROTECT, 1),
        lines(2.5, LogCategory.ICE_FAILED, 4),
    ]
    log = pd.DataFrame(records).astype({"category": "category"})
    found = log_of_time(Axis(ns(0), 1_000_000_000, 3), log)
    assert list(found) == ["SRTP/SRTCP errors", "ICE errors", "late_packets", "other"]
    assert (
        found["SRTP/SRTCP errors"] == [0, 3, 0] and found["ICE errors"] == [0, 0, 4] and found["other"] == [900, 0, 0]
    )
