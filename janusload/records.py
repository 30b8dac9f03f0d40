"""One record per thing observed: the contract between a run and whatever reads it later.

Every record is a NamedTuple: immutable, and cheap enough to write one per request. Moments are nanoseconds of the
machine's monotonic clock (`CLOCK_MONOTONIC`, shared by all processes of a machine) and end in `_ns`; `meta.json` says
which UTC moment they belong to. A field that may be unknown is None; nothing is ever filled in to look complete.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """How an attempt ended; every attempt has exactly one."""

    OK = "ok"
    API_TIMEOUT = "api_timeout"  # written, and no answer within T of the write
    API_ERROR = "api_error"  # answered with an error, by the core or by a plugin
    LOST_CONNECTION = "lost_connection"  # the WebSocket closed while it was pending
    CONNECT_FAILED = "connect_failed"  # no WebSocket came up; `phase` says how far it got
    DROPPED = "dropped"  # no client could take it: never written
    CUT = "cut"  # the run stopped while it was pending


class Source(StrEnum):
    """Who made the request."""

    ARRIVALS = "arrivals"  # the open-loop stream under test
    USERS = "users"  # closed-loop users
    PROBES = "probes"  # the stall ladder, which also has records of its own
    HOUSEKEEPING = "housekeeping"  # destroys of what the stream created, keepalives, room set-up


class Rung(StrEnum):
    """What the stall ladder asks, from the outside in."""

    TCP = "tcp"
    WS_UPGRADE = "ws_upgrade"
    WS_PING = "ws_ping"
    PING = "ping"
    CREATE = "create"
    AUDIOBRIDGE_SYNC = "audiobridge_sync"
    AUDIOBRIDGE_ASYNC = "audiobridge_async"
    MEDIA = "media"


#: name of the record of a churn's life that was dropped because no user was free to begin it
LIFE = "users.life"


class RequestRecord(NamedTuple):
    """One attempt of one request.

    Attributes:
        attempt: number of the attempt, unique within the process that wrote the file.
        name: `layer.verb`, as in `janus.create` or `audiobridge.join`.
        source: a `Source`.
        step: index of the load step in force when it was due; -1 outside the steps.
        due_ns: when it was meant to be sent (for a closed-loop user: when it was asked for).
        sent_ns: when its WebSocket frame was handed to the kernel; None if that never happened.
        answered_ns: when the frame with the final answer arrived; None without an answer in time.
        timeout_s: T, counted from `sent_ns`.
        outcome: an `Outcome`.
        phase: for `connect_failed` the last phase begun (dns, tcp, tls, ws_upgrade), else empty.
        layer: for `api_error` who refused: `janus` or `plugin`, else empty.
        plugin: short name of the plugin that was asked, as in `audiobridge`, else empty.
        code: the error code; None without one.
        user: the user or connection that made it, as in `talker-3`.
    """

    attempt: int
    name: str
    source: str
    step: int
    due_ns: int
    sent_ns: int | None
    answered_ns: int | None
    timeout_s: float
    outcome: str
    phase: str = ""
    layer: str = ""
    plugin: str = ""
    code: int | None = None
    user: str = ""


class LateRecord(NamedTuple):
    """The answer to an attempt that had already been recorded as `api_timeout`: slow, not lost."""

    attempt: int
    name: str
    sent_ns: int
    answered_ns: int


class ProbeRecord(NamedTuple):
    """One question of the stall ladder.

    Attributes:
        rung: a `Rung`.
        due_ns: when it was meant to be asked.
        answered_ns: when the answer came; None if none came within the deadline.
        deadline_s: how long the rung was given, from `due_ns`.
        ok: whether the rung answered as it should.
        detail: what went wrong, in few words; empty if nothing did.
    """

    rung: str
    due_ns: int
    answered_ns: int | None
    deadline_s: float
    ok: bool
    detail: str = ""


class MediaRecord(NamedTuple):
    """What one peer had sent and received at a moment: counters since the peer began.

    Attributes:
        peer: name of the peer, as in `talker-3`.
        worker: media worker that carries it.
        state: new, connecting, connected, closed or failed.
        sent, received: RTP packets.
        lost: RTP packets from the server that never came (RFC 3550 A.3); never below 0 here.
        late: packets sent more than 5 ms after they were due.
        jitter_ms: interarrival jitter (RFC 3550 6.4.1), None before it is known.
        rtt_ms: round-trip time from RTCP (RFC 3550 6.4.1), None before it is known.
        remote_lost_share: loss that the server reports of what we sent, 0..1, None before it is known.
        setup_ms: from the answer being handed over until DTLS was up; None before that.
        ice_ms, dtls_ms: the two parts of that: until ICE had a path, and from then on.
        first_packet_ms: from the answer being handed over until the first RTP packet arrived; None before that.
        mos: mean opinion score, 1 to 4.5, by the E-model, of what it received since its record before; None where
            nothing was to be received.
        ssrc: RTP source of what it sends (RFC 3550 section 3), by which a recording is known; None before it sends.
        used: sequence numbers used, those included that it withheld to play a loss.
        receives: whether the far end is to send it anything: who only publishes or records hears nothing.
        mos_sent: the same score of what the server had of it, from the server's RTCP reports since its record before;
            None where there was no new one, as for plain RTP.
        tone_hz: of the tone that it says; None if it says something else.
    """

    t_ns: int
    peer: str
    worker: int
    state: str
    sent: int
    received: int
    sent_bytes: int
    received_bytes: int
    lost: int
    late: int
    jitter_ms: float | None = None
    rtt_ms: float | None = None
    remote_lost_share: float | None = None
    setup_ms: float | None = None
    ice_ms: float | None = None
    dtls_ms: float | None = None
    first_packet_ms: float | None = None
    mos: float | None = None
    ssrc: int | None = None
    used: int | None = None
    receives: bool = True
    mos_sent: float | None = None
    tone_hz: float | None = None


class HeardRecord(NamedTuple):
    """What one listener heard, or did not hear, of one talker in the span of audio that ended at `t_ns`.

    Attributes:
        peer: the listener.
        worker: media worker that carries the listener.
        talker: whose sound it is; empty where a tone was heard that nobody in the listener's mix sends.
        expected: whether he should have been heard all through the span: connected, sending and not muted.
        heard: whether he was.
        frequency_hz: of his tone; None for a chirp.
        level_dbov: level of his tone as it was decoded, in dB below the loudest possible; None where it was not heard.
        delay_ms: mouth to ear, from when the chirp would have been spoken to when it could be played; None for tones.
            Of a kind there is one in 4 s: a delay of more is taken for what is above a multiple of that.
    """

    t_ns: int
    peer: str
    worker: int
    talker: str
    expected: bool
    heard: bool
    frequency_hz: float | None = None
    level_dbov: float | None = None
    delay_ms: float | None = None


class PeerEventKind(StrEnum):
    """What happened to a peer."""

    NO_MEDIA = "no_media"  # audio was due and none has come; seconds = for how long already
    MEDIA_AGAIN = "media_again"  # it came again; seconds = how long it had not


class PeerEventRecord(NamedTuple):
    """Something happened to one peer at `t_ns`: see `PeerEventKind`."""

    t_ns: int
    peer: str
    worker: int
    kind: str
    seconds: float | None = None
    detail: str = ""


class ServerRecord(NamedTuple):
    """The Janus process at a moment, where it can be seen.

    Attributes:
        cpu_percent: of one core, over the second before.
        throttled_share: share of the CPU quota's periods in which it was throttled, over the second before.
        rss_bytes, anon_bytes, file_bytes: resident memory and its split.
        state: one letter as in /proc/PID/stat; empty when the process is gone, `?` when nobody could look.
        fds_limit: soft RLIMIT_NOFILE; `threads_limit`: the least of RLIMIT_NPROC and pids.max that is known.
        written_bytes: what it has written to disks since its start (/proc/PID/io); None without the right to see it.
        cpu_limit_percent: CPU quota of its control group, percent of a core; None without one.
        cgroup_bytes, cgroup_limit_bytes: memory charged to its control group, page cache included, and the limit.
        cgroup_anon_bytes .. cgroup_kernel_stack_bytes: how that splits up; `cgroup_slab_bytes` is all of the slab.
        cgroup_kernel_bytes: all that the kernel keeps for the group; version 1 knows no more of its split.
        cgroup_dirty_bytes, cgroup_writeback_bytes: page cache that is not on the disk yet, and that is on its way.
        limit_hits: how often the limit was run into since the group began (memory.events max and high, failcnt).
        oom_kills: processes of the group that the kernel killed for memory.
        udp_drops: datagrams dropped because a socket buffer of the process was full; since the sockets were opened.
        udp_queued_bytes: received and not yet read by the process.
        disk_free_bytes, disk_bytes: file system of the recordings.
        udp_worst_port: local port with the most drops.
        tcp_unread_bytes: what clients sent over TCP that the process has not read yet.
        cgroup_dirty_limit_bytes: how much of the group's page cache may wait for the disk before the kernel holds up
            who writes; None on version 1, where that is the limit itself.
    """

    t_ns: int
    cpu_percent: float | None
    throttled_share: float | None
    rss_bytes: int | None
    anon_bytes: int | None
    file_bytes: int | None
    threads: int | None
    fds: int | None
    state: str
    fds_limit: int | None = None
    threads_limit: int | None = None
    written_bytes: int | None = None
    cpu_limit_percent: float | None = None
    cgroup_bytes: int | None = None
    cgroup_limit_bytes: int | None = None
    cgroup_anon_bytes: int | None = None
    cgroup_file_bytes: int | None = None
    cgroup_dirty_bytes: int | None = None
    cgroup_writeback_bytes: int | None = None
    cgroup_sock_bytes: int | None = None
    cgroup_slab_bytes: int | None = None
    cgroup_slab_unreclaimable_bytes: int | None = None
    cgroup_kernel_stack_bytes: int | None = None
    cgroup_swap_bytes: int | None = None
    limit_hits: int | None = None
    oom_kills: int | None = None
    udp_drops: int | None = None
    udp_queued_bytes: int | None = None
    udp_worst_port: int | None = None
    disk_free_bytes: int | None = None
    disk_bytes: int | None = None
    cgroup_kernel_bytes: int | None = None
    tcp_unread_bytes: int | None = None
    cgroup_dirty_limit_bytes: int | None = None


class ThreadRecord(NamedTuple):
    """Threads of the Janus process that are of one kind, in one state and wait for the same, at a moment.

    Attributes:
        kind: as Janus names its threads, as in `hloop`, `mixer`, `pool-janus`; `janus` for those without a name.
        state: one letter as in /proc/PID/stat.
        waits_for: as in `futex 0x7f.. libjanus_audiobridge.so` (a contended lock, and whose it is),
            `disk folio_wait_bit`, `file openat`, `sleep`; empty for what is healthy: polling, waiting for work.
        threads: how many.
    """

    t_ns: int
    kind: str
    state: str
    waits_for: str
    threads: int


class StorageRecord(NamedTuple):
    """The folder of the recordings at a moment.

    Attributes:
        files, file_bytes: recordings, and how much they hold together.
        resident_bytes: how much of them is in the page cache; None where the kernel does not tell, or where they were
            too many to ask about in time.
        dirty_bytes, writeback_bytes: of that, what is not on the disk yet, and what is on its way there.
    """

    t_ns: int
    files: int
    file_bytes: int
    resident_bytes: int | None = None
    dirty_bytes: int | None = None
    writeback_bytes: int | None = None


class RecordingRecord(NamedTuple):
    """One recording, looked at after it was closed.

    Attributes:
        path: below the folder of the recordings.
        format: mjr, wav or nfo.
        state: whole, no_packets, unfinished, damaged, empty or unreadable.
        packets .. reordered: RTP packets of an MJR, missing ones from its sequence numbers; None for others.
        duration_s: of audio.
        ssrc: the RTP source that has the most packets in it; None for others.
        first_sequence, last_sequence: sequence number of the first packet, and the highest one, as on the wire.
        wrong: what is wrong, in words; empty if nothing is.
        tones: what was heard in it, as in `440 Hz -16 dBov`, by falling level; empty where nothing was listened to.
    """

    t_ns: int
    path: str
    format: str
    state: str
    size_bytes: int
    packets: int | None = None
    missing: int | None = None
    duplicated: int | None = None
    reordered: int | None = None
    duration_s: float | None = None
    ssrc: int | None = None
    first_sequence: int | None = None
    last_sequence: int | None = None
    wrong: str = ""
    tones: str = ""


class TakeRecord(NamedTuple):
    """What a sender knows of a recording of its own, written when that ended in order.

    Attributes:
        peer: the sender; `ssrc`: its RTP source (RFC 3550 section 3).
        name: what the file's name begins with, up to `-audio`; empty for what was muted while no recording of its own
            was on: the room may have recorded it.
        due: packets that it sent while it was surely being recorded; the file may hold a few more. None where it cannot
            say: it plays a bad network, or its worker did not answer.
        muted: packets that it sent while the server may have taken it for muted, and recorded nothing.
    """

    t_ns: int
    peer: str
    ssrc: int
    name: str
    due: int | None
    muted: int = 0


class MixRecord(NamedTuple):
    """What is known of a room's recorded mix, written when its recording ended.

    Attributes:
        room: its number.
        name: what the file's name begins with.
        due_s: for how long somebody was in the room while it was surely recorded; the file may hold a little more. None
            where that cannot be said: somebody was lost on the way.
        spans: in how many pieces.
    """

    t_ns: int
    room: int
    name: str
    due_s: float | None
    spans: int


class LogRecord(NamedTuple):
    """How many lines of one category the Janus log gained in the second before `t_ns`."""

    t_ns: int
    category: str
    lines: int


#: an RTP packet that leaves later than this is half a period off
PACING_LIMIT_MS = 10.0


class HealthRecord(NamedTuple):
    """How well one process of the generator kept up since its record before.

    Attributes:
        process: as in `load` or `media-0`.
        cpu_percent: of one core.
        lag_p99_ms: by how much its event loop (gevent hub or asyncio) woke too late.
        schedule_lag_p99_ms: by how much arrivals left too late; None where it sends none.
        pacing_p99_ms: by how much RTP packets left too late; None where it sends none.
        pacing_due, pacing_late: RTP packets that were due, and those that left more than `PACING_LIMIT_MS` late or
            not at all; they add up to the percentile of a longer span, which those of seconds do not.
        dropped: arrivals that no client could take.
        in_flight: everything on the connections of the stream that waits for an answer, destroys included.
        users: users that are running.
        tick: what runs the RTP of a media worker, `python` or `c`; empty elsewhere.
        exhausted: attempts that failed for want of open files, ports or buffers on this side.
        steal_percent: of all cores, taken by other guests of the host; None where that is not known.
        udp_drops: datagrams that this machine threw away because a receive buffer was full.
        pending: attempts of the stream under test that wait for an answer; None where there is no stream.
    """

    t_ns: int
    process: str
    cpu_percent: float
    rss_bytes: int
    fds: int
    lag_p99_ms: float | None = None
    schedule_lag_p99_ms: float | None = None
    pacing_p99_ms: float | None = None
    dropped: int = 0
    in_flight: int = 0
    users: int = 0
    tick: str = ""
    exhausted: int = 0
    steal_percent: float | None = None
    udp_drops: int = 0
    pending: int | None = None
    pacing_due: int | None = None
    pacing_late: int | None = None


class MarkerKind(StrEnum):
    """What a marker says."""

    PHASE = "phase"  # label: setup, joining, steps, recovery, leaving, end
    STEP_BEGIN = "step_begin"  # step, value = offered load
    STEP_END = "step_end"  # step, value = arrivals offered in it
    RECOVERED = "recovered"  # value = seconds after the load went away
    STALL = "stall"  # label: `KIND: the rule in words`, KIND as in FailureKind; value = since when, seconds ago
    STALL_END = "stall_end"  # label: what was stuck; value = how many seconds it lasted
    LIMITED = "limited"  # label: `generator_limited: why`: the generator is the limit; value = since when, seconds ago
    LIMITED_END = "limited_end"  # it keeps up again; value = how many seconds it did not
    FAULT = "fault"  # label: name of a fault that was brought about on purpose, in force from now on
    FAULT_UNDONE = "fault_undone"  # label: its name
    GAP = "gap"  # label: `PROCESS what happened`: that process is missing; value = since when, seconds ago
    GAP_END = "gap_end"  # label: `PROCESS ...`: it is there again; value = how many seconds it was not
    NOTE = "note"


class MarkerRecord(NamedTuple):
    """Something happened to the run as a whole at `t_ns`."""

    t_ns: int
    kind: str
    step: int = -1
    label: str = ""
    value: float | None = None


Record = (
    RequestRecord
    | LateRecord
    | ProbeRecord
    | MediaRecord
    | HeardRecord
    | PeerEventRecord
    | ServerRecord
    | ThreadRecord
    | StorageRecord
    | RecordingRecord
    | TakeRecord
    | MixRecord
    | LogRecord
    | HealthRecord
    | MarkerRecord
)

#: file stem of each kind of record in a run folder
KINDS: dict[str, type[Record]] = {
    "request": RequestRecord,
    "late": LateRecord,
    "probe": ProbeRecord,
    "media": MediaRecord,
    "heard": HeardRecord,
    "peer_event": PeerEventRecord,
    "server": ServerRecord,
    "thread": ThreadRecord,
    "storage": StorageRecord,
    "recording": RecordingRecord,
    "take": TakeRecord,
    "mix": MixRecord,
    "log": LogRecord,
    "health": HealthRecord,
    "marker": MarkerRecord,
}
