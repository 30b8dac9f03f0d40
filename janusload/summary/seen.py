"""The parts of a summary about what else was seen: requests, audio, server, memory, recordings, generator."""

from __future__ import annotations

from enum import StrEnum

from janusload.summary.values import Milliseconds, Part, Quantiles, Share


class RequestSummary(Part):
    """All attempts of one request over the whole run; `curve` as in `Step`."""

    count: int
    outcomes: dict[str, int]
    latency_ms: Quantiles
    late: int = 0
    errors: dict[str, int] = {}
    curve: list[tuple[Milliseconds, Share]] = []


class Media(Part):
    """What the participants sent and heard.

    Attributes:
        participants: the most that had audio flowing at one moment.
        silent: peers that were connected and never received a packet.
        no_media: how often audio that was due stayed away for seconds, over all peers.
        mos: mean opinion score by the E-model, over all peers and all reports; `mos_p5` is what the worst twentieth of
            them did not reach. `mos_sent` and `mos_sent_p5` are the same of what the server had of them, by its RTCP
            reports.
        heard: what listeners made out in what they received, in looks of a few seconds: `expected` talkers who should
            have been heard, `heard` of them, `missing` ones, and `unexpected` ones who were heard though muted or gone.
        mouth_to_ear_ms: from when a chirp was spoken until it could be played.
        ice_ms, dtls_ms, first_packet_ms: parts of the set-up, as in `MediaRecord`.
    """

    participants: int
    peers: int | None = None
    failed: int | None = None
    silent: int | None = None
    loss: Share | None = None
    jitter_ms: Quantiles | None = None
    rtt_ms: Quantiles | None = None
    setup_ms: Quantiles | None = None
    ice_ms: Quantiles | None = None
    dtls_ms: Quantiles | None = None
    first_packet_ms: Quantiles | None = None
    no_media: int | None = None
    mos: float | None = None
    mos_p5: float | None = None
    mos_sent: float | None = None
    mos_sent_p5: float | None = None
    heard: dict[str, int] | None = None
    mouth_to_ear_ms: Quantiles | None = None


class Server(Part):
    """The Janus process, where it could be seen.

    Attributes:
        cpu_percent_max: over five seconds.
        udp_drops: datagrams that the kernel dropped during the run because a socket buffer of Janus was full.
        cannot_see: what stayed unknown, and why, in words.
        known: stalls, deadlocks and crashes that are known of this version.
    """

    version: str | None = None
    cpu_percent_max: float | None = None
    cpu_limit_percent: float | None = None
    throttled_share_max: Share | None = None
    rss_mb_first: float | None = None
    rss_mb_max: float | None = None
    threads_max: int | None = None
    fds_max: int | None = None
    fds_limit: int | None = None
    udp_drops: int | None = None
    cannot_see: list[str] = []
    known: list[str] = []


class MemoryGrowth(StrEnum):
    """What the settled part of a run says of memory that the kernel cannot take back."""

    BOUNDED = "bounded"  # no growth seen; the interval says how much there may be
    GROWS = "grows"
    TOO_SHORT = "too_short"
    LOAD_CHANGED = "load_changed"  # nothing was settled: what grew with the load would be taken for a leak


class MemoryState(StrEnum):
    """What page cache did to a server in a memory limit, from best to worst."""

    BELOW_LIMIT = "below_limit"
    AT_LIMIT_HARMLESS = "at_limit_harmless"  # full of cache that the kernel could take back
    WRITERS_HELD_UP = "writers_held_up"  # full of cache that a slow disk had not taken yet
    OOM_KILLED = "oom_killed"


class Memory(Part):
    """What memory did (measurement.md section 6).

    Attributes:
        source: `control group`, or `process` where only that could be seen.
        firm_mb: typical in the settled part: what the kernel cannot take back (anonymous, sockets, unreclaimable slab,
            kernel stacks); of a process: its anonymous memory.
        firm_first_mb: the same before the load came.
        growth_mb_per_h, growth_ci95_mb_per_h: slope of it by Theil-Sen, and its interval.
        kernel_mb: typical, all that the kernel keeps for the control group (slab, stacks, sockets), where it does not
            split that up (version 1): counts against the limit, part of it can be taken back.
        limit_hits, oom_kills: during the run.
        state, state_words: absent without a limit.
        write_mb_per_s: how fast recordings were written while the load was on.
        disk_free_mb: on their disk at the end.
    """

    source: str
    growth: MemoryGrowth
    growth_mb_per_h: float | None = None
    growth_ci95_mb_per_h: tuple[float, float] | None = None
    firm_first_mb: float | None = None
    firm_mb: float
    firm_mb_max: float
    file_mb_max: float | None = None
    dirty_mb_max: float | None = None
    writeback_mb_max: float | None = None
    sock_mb_max: float | None = None
    slab_mb_max: float | None = None
    kernel_stack_mb_max: float | None = None
    kernel_mb: float | None = None
    limit_mb: float | None = None
    limit_hits: int | None = None
    oom_kills: int | None = None
    state: MemoryState | None = None
    state_words: str | None = None
    written_mb: float | None = None
    write_mb_per_s: float | None = None
    disk_free_mb: float | None = None
    recordings_resident_mb_max: float | None = None


class RecordingFault(Part):
    """A recording that is not whole."""

    path: str
    state: str
    words: str


class Recordings(Part):
    """The recordings of a run, looked at after they were closed.

    Attributes:
        hours: of audio in all of them.
        whole: files without a fault, those without a packet included.
        states: files by how they are; `absent`: Janus agreed to record, and there is no file; `hollow`: nothing is
            in it of what its sender sent while it was surely being recorded; `short`: a room's mix lacks seconds for
            which somebody was there; `wrong_voice`: its sender says a tone that is not heard in it.
        packets, missing: RTP packets in the MJR files, and those that the sequence numbers miss.
        matched: files whose sender is one of this run's, found by its RTP source; absent where no sender told it.
        withheld, muted, lost_on_the_way: of the missing ones in matched files: not sent to play a loss, sent while the
            server was told to take the sender for muted (a packet or two at each end of that may count either way), and
            sent but lost.
        outside: packets that the senders of matched files sent before the first and after the last of a file.
        told: matched files whose sender knows what must be in them, from when its recording was on.
        cut: of `outside`, those that were sent while the recording was surely on: lost at the file's beginning or end.
        voices: files whose sender says a tone that was listened for.
        mixes: rooms' mixes of which it is known how long they must be; `mixes_lack_s`: seconds that are not there.
        faults: the first of those that are not whole.
    """

    files: int
    size_mb: float
    hours: float
    whole: int
    states: dict[str, int]
    packets: int | None = None
    missing: int | None = None
    missing_share: Share | None = None
    duplicated: int | None = None
    reordered: int | None = None
    matched: int | None = None
    withheld: int | None = None
    muted: int | None = None
    lost_on_the_way: int | None = None
    outside: int | None = None
    told: int | None = None
    cut: int | None = None
    voices: int | None = None
    mixes: int | None = None
    mixes_lack_s: float | None = None
    faults: list[RecordingFault] = []


class Gap(Part):
    """A time in which one process of the generator was missing: what was measured then is not of the load asked for.

    Attributes:
        begin_s, end_s: since the start of the run; without an end it never came back.
    """

    process: str
    begin_s: float
    end_s: float | None = None
    words: str


class Generator(Part):
    """Whether the generator kept up, so that its numbers are the server's.

    Attributes:
        reasons: why it did not, in words; empty if it did.
        dropped_lives: lives of a churn that no user was free to begin.
        udp_drops: datagrams that a machine of the generator threw away because a receive buffer was full.
        in_flight: (counted while the run went, rate times latency of its records), on average: Little's law says that
            they are the same. Absent where nothing was counted.
        gaps: when the run is not valid because a process was missing.
        clocks: of workers on other machines: by how many ms their clock was ahead of the master's, as measured and
            taken out, and by how many that may be wrong at most.
    """

    valid: bool
    reasons: list[str]
    cpu_percent_max: dict[str, float] = {}
    lag_p99_ms_max: float | None = None
    schedule_lag_p99_ms_max: float | None = None
    pacing_p99_ms_max: float | None = None
    dropped: int = 0
    dropped_lives: int = 0
    udp_drops: int = 0
    in_flight: tuple[float, float] | None = None
    gaps: list[Gap] = []
    clocks: dict[str, tuple[float, float]] = {}


class Leaks(Part):
    """What was left behind; a count is absent where it could not be asked."""

    sessions: int | None = None
    processes: int | None = None


class Timeline(Part):
    """The run on one time axis, in equal bins; every list has one entry per bin, None where nothing is known.

    Attributes:
        t_s: beginning of the bin, since the start of the run.
        outcomes: attempts of the request under test by outcome, counted by when they were due.
        markers: (t_s, words) of what happened to the run.
        log: lines of each category that the server logged.
        strips: what else is known, by name: `loss` and `not_heard` (shares), `jitter_ms` and `mouth_to_ear_ms` (what
            95 % of the reports kept to), `mos` (what 95 % reached); of the generator's worst process
            `generator_cpu_percent`, `generator_lag_ms`, `schedule_lag_ms`, `pacing_ms`; `recordings_mb` and
            `recordings_cached_mb`.
    """

    bin_s: float
    t_s: list[float]
    offered_per_s: list[float | None]
    participants: list[int | None]
    p50_ms: list[float | None]
    p95_ms: list[float | None]
    outcomes: dict[str, list[int]]
    server_cpu_percent: list[float | None] | None = None
    server_rss_mb: list[float | None] | None = None
    rungs: dict[str, list[bool | None]] = {}
    markers: list[tuple[float, str]] = []
    log: dict[str, list[int]] = {}
    strips: dict[str, list[float | None]] = {}
