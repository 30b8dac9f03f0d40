"""The one summary object: what a run came to. `analysis` makes it, `report` renders it, other tools read its JSON.

What is not known is absent from the JSON; nothing is filled in. `summary.json` carries `schema` = 1; a key that is
there keeps its meaning until that number changes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = 1

Milliseconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def load_unit(axis: str, request: str) -> str:
    """An axis as it follows a number: `requests/s`, `janus.create/s` where another request is asked about, `users`."""
    return "requests/s" if axis == f"{request} per second" else axis.replace(" per second", "/s")


class Verdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class OnsetStatus(StrEnum):
    """measurement.md section 3: how the search for the onset ended."""

    FOUND = "found"
    UNCONFIRMED = "unconfirmed"
    NO_ONSET = "no_onset"
    FROM_START = "from_start"
    LOWER_UNPROVEN = "lower_unproven"
    GENERATOR_LIMITED = "generator_limited"
    TRANSPORT_LIMITED = "transport_limited"
    ABORTED = "aborted"
    INSUFFICIENT_DATA = "insufficient_data"


class FailureKind(StrEnum):
    NONE = "none"
    OVERLOAD = "overload"
    PLUGIN_STUCK = "plugin_stuck"
    CORE_STUCK = "core_stuck"
    PROCESS_FROZEN = "process_frozen"
    DISK_STUCK = "disk_stuck"
    MEMORY_WRITEBACK = "memory_writeback"
    CPU_STARVED = "cpu_starved"
    FDS = "fds"
    THREADS = "threads"
    CRASHED = "crashed"
    UNREACHABLE = "unreachable"
    GENERATOR_LIMITED = "generator_limited"

    @property
    def is_stall(self) -> bool:
        """Whether the server stopped working, and was not merely given more than it could do."""
        kinds = FailureKind
        return self not in (kinds.NONE, kinds.OVERLOAD, kinds.CPU_STARVED, kinds.GENERATOR_LIMITED)


class Quantile(_Part):
    """A Kaplan-Meier quantile in milliseconds; with `at_least` the value is only a lower bound (`>= T`)."""

    value: Milliseconds
    at_least: bool = False
    ci95: tuple[Milliseconds, Milliseconds] | None = None


class Quantiles(_Part):
    p50: Quantile | None = None
    p95: Quantile | None = None
    p99: Quantile | None = None


class Rate(_Part):
    """A timeout rate: x of n, with its one-sided Wilson bounds (as in measurement.md section 3)."""

    timeouts: int
    attempts: int
    value: Share
    lower: Share
    upper: Share


class Step(_Part):
    """One plateau of load.

    Attributes:
        offered, achieved: load on the axis (for arrivals: requests due, and written, per second).
        begin_s, end_s: since the start of the run; `settled_s` is where counting began.
        counted: whether the step takes part in the onset; if not, `left_out` says why.
        curve: (latency in ms, share answered within it), ascending: the Kaplan-Meier curve of the step, up to T.
    """

    index: int
    offered: float
    achieved: float
    begin_s: float
    settled_s: float
    end_s: float
    rate: Rate
    latency_ms: Quantiles
    outcomes: dict[str, int]
    participants: int | None = None
    server_cpu_percent: float | None = None
    counted: bool = True
    left_out: str | None = None
    curve: list[tuple[Milliseconds, Share]] = []


class Onset(_Part):
    """Where the request begins timing out.

    Attributes:
        request: what was measured, as in `janus.create`.
        axis: what `load` counts, as in `janus.create per second`.
        load_bracket: (highest load credibly below p0, lowest credibly above); an open end is None.
        latency_ms: latency at the onset (point 5 of measurement.md section 3).
        bracket_ms: the deciding quantile (p95 unless said otherwise) at both ends of the bracket.
        load_ci95: 95 % interval of `load`; that of the latency stands with each quantile. Both assume only that
            timeouts and latency do not fall with load, nothing about what lies between two steps.
        share_without_onset: share of the bootstrap's replicates of this run that have no such bracket.
        explanation: one sentence about what the status means here and what would help.
    """

    status: OnsetStatus
    request: str
    axis: str
    timeout_s: float
    p0: Share
    quantile: Share
    explanation: str
    load_bracket: tuple[float | None, float | None] | None = None
    load: float | None = None
    latency_ms: Quantiles | None = None
    bracket_ms: tuple[Quantile | None, Quantile | None] | None = None
    samples_per_step: int | None = None
    rate_upper: Share | None = None
    load_ci95: tuple[float, float] | None = None
    share_without_onset: Share | None = None

    @property
    def unit(self) -> str:
        """The axis as it follows a number in a sentence."""
        return load_unit(self.axis, self.request)


class VirtualTimeout(_Part):
    """What the same run would have shown with a shorter timeout (measurement.md section 3, point 7).

    Attributes:
        latency_ms: the deciding quantile at the onset under this timeout, as `Onset.latency_ms` has it.
        rates: timeout rate of each step that took part in the onset, in the order of load.
    """

    timeout_s: float
    status: OnsetStatus
    load_bracket: tuple[float | None, float | None] | None = None
    load: float | None = None
    latency_ms: Quantile | None = None
    rates: list[Share] = []


class LatencyBin(_Part):
    """Attempts that were made while the ladder's `ping` was about so slow."""

    ping_ms: float
    rate: Rate


class Failure(_Part):
    """What kind of failure was seen, and by which rule it was told.

    Attributes:
        first_seen_s: since the start of the run.
        detected_after_s: from its first sign until it was named while the run went on; absent if it was not.
        recovered_after_s: from the moment the load went away until the server answered again; absent if it never did
            or if nothing had to recover (`rule` says which).
        lasted_s: from the first sign until everything answered again, where that was while the run went on.
    """

    kind: FailureKind
    rule: str
    plugin: str | None = None
    first_seen_s: float | None = None
    detected_after_s: float | None = None
    recovered_after_s: float | None = None
    lasted_s: float | None = None
    evidence: str | None = None

    @property
    def came_back(self) -> bool:
        return self.recovered_after_s is not None or self.lasted_s is not None


class RequestSummary(_Part):
    """All attempts of one request over the whole run; `curve` as in `Step`."""

    count: int
    outcomes: dict[str, int]
    latency_ms: Quantiles
    late: int = 0
    errors: dict[str, int] = {}
    curve: list[tuple[Milliseconds, Share]] = []


class Media(_Part):
    """What the participants sent and heard.

    Attributes:
        participants: the most that had audio flowing at one moment.
        silent: peers that were connected and never received a packet.
        no_media: how often audio that was due stayed away for seconds, over all peers.
        mos: mean opinion score by the E-model, over all peers and all reports; `mos_p5` is what the worst twentieth of
            them did not reach.
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
    heard: dict[str, int] | None = None
    mouth_to_ear_ms: Quantiles | None = None


class Server(_Part):
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


class MemoryState(StrEnum):
    """What page cache did to a server in a memory limit, from best to worst."""

    BELOW_LIMIT = "below_limit"
    AT_LIMIT_HARMLESS = "at_limit_harmless"  # full of cache that the kernel could take back
    WRITERS_HELD_UP = "writers_held_up"  # full of cache that a slow disk had not taken yet
    OOM_KILLED = "oom_killed"


class Memory(_Part):
    """What memory did (measurement.md section 6).

    Attributes:
        source: `control group`, or `process` where only that could be seen.
        firm_mb: typical in the settled part: what the kernel cannot take back (anonymous, sockets, unreclaimable slab,
            kernel stacks); of a process: its anonymous memory.
        firm_first_mb: the same before the load came.
        growth_mb_per_h, growth_ci95_mb_per_h: slope of it by Theil-Sen, and its interval.
        limit_hits, oom_kills: during the run.
        state, state_words: absent without a limit.
        write_mb_per_s: how fast recordings were written while the load was on.
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
    limit_mb: float | None = None
    limit_hits: int | None = None
    oom_kills: int | None = None
    state: MemoryState | None = None
    state_words: str | None = None
    written_mb: float | None = None
    write_mb_per_s: float | None = None
    recordings_resident_mb_max: float | None = None


class RecordingFault(_Part):
    """A recording that is not whole."""

    path: str
    state: str
    words: str


class Recordings(_Part):
    """The recordings of a run, looked at after they were closed.

    Attributes:
        hours: of audio in all of them.
        whole: files without a fault, those without a packet included.
        states: files by how they are; `absent`: Janus agreed to record, and there is no file; `hollow`: nothing is
            in it of what its sender sent while it was surely being recorded.
        packets, missing: RTP packets in the MJR files, and those that the sequence numbers miss.
        matched: files whose sender is one of this run's, found by its RTP source; absent where no sender told it.
        withheld, muted, lost_on_the_way: of the missing ones in matched files: not sent to play a loss, sent while the
            server was told to take the sender for muted (a packet or two at each end of that may count either way), and
            sent but lost.
        outside: packets that the senders of matched files sent before the first and after the last of a file.
        told: matched files whose sender knows what must be in them, from when its recording was on.
        cut: of `outside`, those that were sent while the recording was surely on: lost at the file's beginning or end.
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
    faults: list[RecordingFault] = []


class Generator(_Part):
    """Whether the generator kept up, so that its numbers are the server's.

    Attributes:
        reasons: why it did not, in words; empty if it did.
    """

    valid: bool
    reasons: list[str]
    cpu_percent_max: dict[str, float] = {}
    lag_p99_ms_max: float | None = None
    schedule_lag_p99_ms_max: float | None = None
    pacing_p99_ms_max: float | None = None
    dropped: int = 0


class Leaks(_Part):
    """What was left behind; a count is absent where it could not be asked."""

    sessions: int | None = None
    processes: int | None = None


class Threshold(_Part):
    """One limit, as in `janus.create p95` `< 500 ms`.

    Attributes:
        judged: False where it cannot be told whether it was kept: the run can neither pass nor fail by it.
    """

    name: str
    limit: str
    value: str
    passed: bool
    judged: bool = True


class RunFacts(_Part):
    """Enough to do it again.

    Attributes:
        unread_bytes: record file -> bytes of it that could not be read: the half batch of a crash, or damage.
    """

    name: str
    asks: str | None = None
    started_utc: str
    duration_s: float
    end: str
    where: str
    command: str | None = None
    scenario: str | None = None
    versions: dict[str, str] = {}
    host: dict[str, Any] = {}
    server_info: dict[str, Any] = {}
    lab: dict[str, Any] | None = None
    seed: int | None = None
    unread_bytes: dict[str, int] = {}


class Timeline(_Part):
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


class Summary(_Part):
    """What `summary.json` holds.

    Attributes:
        onset_by_latency: the same rule with attempts ordered by how slow the ladder's `ping` was just before them, in
            bins of equal count; its load is that latency in ms. Where both agree, load is the cause.
        latency_bins: those bins, in the order of latency.
        sweep: virtual timeouts, ascending; the last is T.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    verdict: Verdict
    headline: str
    run: RunFacts
    onset: Onset
    onset_by_latency: Onset | None = None
    latency_bins: list[LatencyBin] = []
    sweep: list[VirtualTimeout] = []
    failure: Failure
    steps: list[Step]
    requests: dict[str, RequestSummary]
    media: Media | None = None
    server: Server | None = None
    log: dict[str, int] | None = None
    memory: Memory | None = None
    recordings: Recordings | None = None
    generator: Generator
    leaks: Leaks
    thresholds: list[Threshold] = []
    timeline: Timeline | None = None

    def to_json(self) -> str:
        """`summary.json`: unknown values are left out, except inside lists, where they hold a place."""
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Summary:
        return cls.model_validate_json(text)
