"""The rule for what kind of failure it is: janus-facts Appendix B2 and B3, cause by cause."""

from __future__ import annotations

import signal

import pytest

from janusload.log_categories import LogCategory
from janusload.records import Rung, ServerRecord, ThreadRecord
from janusload.summary import FailureKind
from janusload.verdict import API_RUNGS, Window, judge, locks_of

K = FailureKind
MB = 1_000_000
AB_LOCK = "lock 0x7f8a5c48e120 libjanus_audiobridge.so"
ROOM_LOCK = "lock 0x7f8a200016d0 heap"
ALL = frozenset({Rung.TCP, *API_RUNGS})
CORE = frozenset({Rung.PING, Rung.CREATE, Rung.AUDIOBRIDGE_SYNC, Rung.AUDIOBRIDGE_ASYNC})
PLUGIN = frozenset({Rung.AUDIOBRIDGE_SYNC, Rung.AUDIOBRIDGE_ASYNC})


def reading(state: str = "S", cpu: float | None = 3.0, **known: int | float | None) -> ServerRecord:
    gone = state == ""
    plain = ServerRecord(0, None if gone else cpu, None, None, None, None, 30, 40, state, fds_limit=1024)
    return plain._replace(**known)


def group(kind: str, waits: str = "", threads: int = 1, state: str = "S") -> ThreadRecord:
    return ThreadRecord(0, kind, state, waits, threads)


def window(silent: frozenset[Rung], **seen: object) -> Window:
    return Window(silent, ALL - silent, **seen)  # type: ignore[arg-type]


IDLE = [reading()] * 3
UNWRITTEN = reading("D", cgroup_bytes=47 * MB, cgroup_limit_bytes=48 * MB, cgroup_writeback_bytes=31 * MB)
HEALTHY = [[group("janus", threads=10), group("hloop", threads=4), group("mixer", "sleep")]] * 3


def of(*groups: ThreadRecord) -> list[list[ThreadRecord]]:
    return [[group("janus", threads=8), *groups]] * 3


CAUSES: list[tuple[str, Window, FailureKind | None, str | None]] = [
    ("healthy", window(frozenset(), readings=IDLE, threads=HEALTHY), None, None),
    (
        "the deadlock of 3358",
        window(CORE, readings=IDLE, threads=of(group("hloop", AB_LOCK, 3), group("hloop", "sleep"))),
        K.CORE_STUCK,
        "audiobridge",
    ),
    (
        "plugin lock held",
        window(PLUGIN, readings=IDLE, threads=of(group("pool-janus", AB_LOCK, 2), group("mixer", ROOM_LOCK, 2))),
        K.PLUGIN_STUCK,
        "audiobridge",
    ),
    (
        "handler thread stopped",
        window(frozenset({Rung.AUDIOBRIDGE_ASYNC}), readings=IDLE, threads=HEALTHY),
        K.PLUGIN_STUCK,
        "audiobridge",
    ),
    ("core session lock", window(frozenset({Rung.CREATE}), readings=IDLE, threads=HEALTHY), K.CORE_STUCK, None),
    ("request thread stopped, unseen", window(CORE), K.CORE_STUCK, None),
    (
        "core lock, and the WebSocket thread waits for it too",
        window(ALL - {Rung.TCP}, readings=IDLE, threads=of(group("ws thread", ROOM_LOCK), group("janus", ROOM_LOCK))),
        K.CORE_STUCK,
        None,
    ),
    ("ws thread stopped", window(ALL - {Rung.TCP}, readings=IDLE, threads=HEALTHY), K.PROCESS_FROZEN, None),
    (
        "ws thread stopped, and what was asked lies unread",
        window(ALL - {Rung.TCP}, readings=[reading(tcp_unread_bytes=190)] * 3, threads=HEALTHY),
        K.PROCESS_FROZEN,
        None,
    ),
    (
        "a path that is cut while the host leaves Janus little CPU",
        window(ALL, readings=[reading(tcp_unread_bytes=0)] * 3, threads=of(group("hloop", state="R")), loaded=True),
        K.UNREACHABLE,
        None,
    ),
    (
        "a path that lets nearly nothing through",
        window(ALL - {Rung.TCP}, readings=[reading(tcp_unread_bytes=0)] * 3, threads=HEALTHY),
        K.UNREACHABLE,
        None,
    ),
    ("SIGSTOP", window(ALL - {Rung.TCP}, readings=[reading("T")] * 2), K.PROCESS_FROZEN, None),
    ("SIGSTOP, before any rung was asked", window(frozenset(), readings=[reading("T")] * 2), K.PROCESS_FROZEN, None),
    (
        "freezer",
        window(ALL - {Rung.TCP}, readings=[reading("D")] * 2, threads=[[group("janus", "frozen", 20, "D")]] * 2),
        K.PROCESS_FROZEN,
        None,
    ),
    (
        "frozen disk",
        window(CORE, readings=IDLE, threads=of(group("hloop", "disk percpu_rwsem_wait", 2, "D"))),
        K.DISK_STUCK,
        None,
    ),
    (
        "writeback under a memory limit",
        window(
            ALL - {Rung.TCP},
            readings=2 * [UNWRITTEN],
            threads=of(group("mixer", "disk folio_wait_bit", 3, "D")),
        ),
        K.MEMORY_WRITEBACK,
        None,
    ),
    (
        "writeback under a memory limit, and whoever looks at the threads has to wait",
        window(ALL - {Rung.TCP}, readings=2 * [UNWRITTEN]),
        K.MEMORY_WRITEBACK,
        None,
    ),
    (
        "writers held up in a group of version 2, whose cache could be taken back",
        window(
            CORE,
            readings=2
            * [
                reading(
                    "D",
                    cgroup_bytes=30 * MB,
                    cgroup_limit_bytes=48 * MB,
                    cgroup_dirty_bytes=4 * MB,
                    cgroup_writeback_bytes=3 * MB,
                    cgroup_dirty_limit_bytes=8 * MB,
                )
            ],
            threads=of(group("mixer", "disk balance_dirty_pages", 3, "D")),
        ),
        K.MEMORY_WRITEBACK,
        None,
    ),
    (
        "killed for memory when the disk had just taken what was unwritten",
        window(ALL, readings=[UNWRITTEN, reading(), reading("", oom_kills=1)], signal=signal.SIGKILL),
        K.MEMORY_WRITEBACK,
        None,
    ),
    (
        "killed for memory",
        window(ALL, readings=[reading(oom_kills=2), reading("", oom_kills=3)], signal=signal.SIGKILL),
        K.CRASHED,
        None,
    ),
    (
        "usage at the limit alone is harmless",
        window(frozenset(), readings=[reading(cgroup_bytes=64 * MB, cgroup_limit_bytes=64 * MB, limit_hits=88)] * 3),
        None,
        None,
    ),
    (
        "quota under load",
        window(CORE, readings=[reading("R", 5.0, cpu_limit_percent=5.0, throttled_share=0.9)] * 3, loaded=True),
        K.OVERLOAD,
        None,
    ),
    (
        "quota without a stream",
        window(CORE, readings=[reading("R", 5.0, cpu_limit_percent=5.0, throttled_share=0.9)] * 3),
        K.CPU_STARVED,
        None,
    ),
    (
        "others take the CPU",
        window(CORE, readings=[reading("R", 4.0)] * 3, threads=of(group("janus", "", 1, "R"))),
        K.CPU_STARVED,
        None,
    ),
    (
        "a lock is waited for while the mixers work hard",
        window(CORE, readings=[reading("R", 95.0)] * 3, threads=of(group("pool-janus", AB_LOCK, 5))),
        K.CORE_STUCK,
        "audiobridge",
    ),
    ("cut off", window(ALL, readings=IDLE, threads=HEALTHY), K.UNREACHABLE, None),
    ("crash", window(ALL, readings=[reading(), reading("")], signal=signal.SIGSEGV), K.CRASHED, None),
    (
        "fd abort",
        window(ALL, readings=[reading(), reading("")], signal=signal.SIGTRAP, log={LogCategory.EMFILE: 3}),
        K.FDS,
        None,
    ),
    ("fd abort, log unseen", window(ALL, readings=[reading(fds=1022), reading("")]), K.FDS, None),
    (
        "killed for memory, most of it unwritten",
        window(
            ALL,
            readings=[
                reading(cgroup_bytes=39_000_000, cgroup_limit_bytes=40_000_000, cgroup_writeback_bytes=24_000_000),
                reading(""),
            ],
            signal=signal.SIGKILL,
        ),
        K.MEMORY_WRITEBACK,
        None,
    ),
    ("fds", window(frozenset(), readings=IDLE, log={LogCategory.EMFILE: 1}), K.FDS, None),
    ("threads", window(frozenset(), readings=IDLE, log={LogCategory.THREAD_FAIL: 1}), K.THREADS, None),
    ("threads, log unseen", window(frozenset(), readings=[reading(threads=90, threads_limit=90)]), K.THREADS, None),
    (
        "overload of the request thread, with a quota of more than it can use",
        window(CORE, readings=[reading(cpu=103.0, cpu_limit_percent=400.0)] * 3, loaded=True),
        K.OVERLOAD,
        None,
    ),
    ("only media broke off", window(frozenset({Rung.MEDIA}), readings=IDLE), None, None),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "seen", "kind", "plugin"), CAUSES, ids=[row[0] for row in CAUSES])
def test_each_cause_has_its_kind(cause: str, seen: Window, kind: FailureKind | None, plugin: str | None) -> None:
    finding = judge(seen)
    if kind is None:
        assert finding is None
        return
    assert finding is not None and finding.kind is kind, finding
    assert finding.plugin == plugin
    assert finding.rule and "\n" not in finding.rule and not finding.rule.endswith(".")


def test_the_rule_names_the_signal_the_lock_and_the_disk() -> None:
    by_name = {row[0]: judge(row[1]) for row in CAUSES}

    def rule(cause: str) -> str:
        finding = by_name[cause]
        assert finding is not None
        return finding.rule

    assert "SIGSEGV" in rule("crash")
    assert "0x7f8a5c48e120 of libjanus_audiobridge.so" in rule("plugin lock held")
    assert "sleeps and tries again" in rule("the deadlock of 3358")
    assert "percpu_rwsem_wait" in rule("frozen disk")
    assert "31 MB" in rule("writeback under a memory limit")
    assert "use up the 8 MB that may wait" in rule(
        "writers held up in a group of version 2, whose cache could be taken back"
    )
    assert "throttled" in rule("quota under load")
    assert "killed it for memory" in rule("killed for memory")
    assert "it is the path" in rule("a path that lets nearly nothing through")
    quiet = judge(window(CORE, readings=IDLE, threads=HEALTHY, log_silent=True))
    assert quiet is not None and quiet.rule.endswith("its log has fallen silent")


def test_a_lock_counts_only_if_it_is_waited_for_each_time() -> None:
    waiting, free = [group("pool-janus", AB_LOCK, 5)], [group("pool-janus", "", 5)]
    assert locks_of([waiting, free, waiting]) == [] and locks_of([waiting]) == []
    (lock,) = locks_of([waiting, waiting])
    assert lock.plugin == "audiobridge" and lock.threads == 5
