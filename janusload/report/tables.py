"""Tables of a run in words, for the page, markdown and the terminal."""

from __future__ import annotations

from typing import Any, NamedTuple

from janusload import wording
from janusload.report.first_screen import gaps
from janusload.summary import Quantiles, Step, Summary


class Table(NamedTuple):
    """Rows of text under their heads.

    Attributes:
        left: columns that hold words; all others hold numbers and stand to the right.
    """

    heads: list[str]
    rows: list[list[str]]
    left: frozenset[int] = frozenset()


def rates(summary: Summary) -> Table:
    """Timeout rate of each step with its bounds, and what that proves."""
    p0 = wording.percent(summary.onset.p0)
    return Table(
        [
            f"achieved, {summary.onset.unit}",
            "attempts",
            "timeouts",
            "rate",
            "lower bound",
            "upper bound",
            f"against {p0}",
        ],
        [
            [
                wording.number(s.achieved),
                f"{s.rate.attempts:,}",
                f"{s.rate.timeouts:,}",
                wording.percent(s.rate.value),
                wording.percent(s.rate.lower),
                wording.percent(s.rate.upper),
                proves(s, summary.onset.p0),
            ]
            for s in summary.steps
        ],
        frozenset({6}),
    )


def timed_out(step: Step) -> str:
    """`240: 81 of 2,400 timed out`."""
    return f"{wording.number(step.achieved)}: {step.rate.timeouts:,} of {step.rate.attempts:,} timed out"


def proves(step: Step, p0: float) -> str:
    """What the bounds of a step say about p0, in words."""
    if not step.counted:
        return "left out"
    if step.rate.upper < p0:
        return "credibly under"
    return "credibly over" if step.rate.lower > p0 else "undecided"


def latencies(summary: Summary) -> Table:
    return Table(
        [f"achieved, {summary.onset.unit}", "p50", "p95", "p99"],
        [[wording.number(s.achieved), *_quantiles(s.latency_ms)] for s in summary.steps],
    )


def steps(summary: Summary) -> Table:
    """Every step: what was asked, how long it ran, what was left out of it and why."""
    rows = []
    for s in summary.steps:
        left_out = f"{wording.number(s.settled_s - s.begin_s)} s to settle" if s.settled_s > s.begin_s else ""
        if not s.counted:
            left_out = "all of it: " + (s.left_out or "no reason given")
        elif s.left_out:
            left_out = f"{left_out}; {s.left_out}" if left_out else s.left_out
        rows.append(
            [
                str(s.index + 1),
                wording.number(s.offered),
                wording.number(s.achieved),
                f"{wording.number(s.begin_s)}–{wording.number(s.end_s)}",
                f"{s.rate.attempts:,}",
                ", ".join(f"{wording.outcome(name)} {count:,}" for name, count in wording.in_order(s.outcomes)),
                wording.UNKNOWN if s.participants is None else str(s.participants),
                wording.UNKNOWN if s.server_cpu_percent is None else wording.number(s.server_cpu_percent),
                left_out,
            ]
        )
    heads = [
        "step",
        "offered",
        "achieved",
        "ran, s",
        "attempts",
        "outcomes",
        "participants",
        "server CPU, %",
        "left out",
    ]
    return Table(heads, rows, frozenset({5, 8}))


def nearest(steps: list[Step], load_bracket: tuple[float | None, float | None] | None, count: int) -> list[Step]:
    """The `count` steps nearest to the onset, in order: where there is no room for all, these tell most."""
    if len(steps) <= count:
        return steps
    ends = [end for end in load_bracket or () if end is not None]
    if not ends:
        return steps[:count]
    at = [i for i, s in enumerate(steps) if s.achieved <= max(ends) * 1.001]
    last = min(len(steps), (at[-1] if at else 0) + 1 + count // 2)
    first = max(0, last - count)
    return steps[first : first + count]


def requests(summary: Summary) -> Table:
    """Every request of the run by name."""
    rows = []
    for name, request in sorted(summary.requests.items(), key=lambda item: (item[0] != summary.onset.request, item[0])):
        outcomes = [f"{wording.outcome(o)} {count:,}" for o, count in wording.in_order(request.outcomes)]
        outcomes += [f"{error} ×{count:,}" for error, count in sorted(request.errors.items())]
        rows.append(
            [name, f"{request.count:,}", *_quantiles(request.latency_ms), f"{request.late:,}", ", ".join(outcomes)]
        )
    return Table(["request", "attempts", "p50", "p95", "p99", "late answers", "outcomes"], rows, frozenset({0, 6}))


def media(summary: Summary) -> Table:
    """What the participants sent and heard; empty without media."""
    media = summary.media
    if media is None:
        return Table([], [])
    rows = [["participants with audio at once", str(media.participants)]]
    for words, count in (
        ("peers set up", media.peers),
        ("peers that failed", media.failed),
        ("connected, and heard nothing", media.silent),
    ):
        if count is not None:
            rows.append([words, f"{count:,}"])
    if media.loss is not None:
        rows.append(["packet loss", wording.percent(media.loss)])
    if media.mos is not None:
        rows.append(["MOS (estimated)", wording.number(media.mos)])
    if media.mos_sent is not None:
        rows.append(["MOS of what the server received", wording.number(media.mos_sent)])
    for words, values in (
        ("jitter", media.jitter_ms),
        ("round trip", media.rtt_ms),
        ("mouth to ear", media.mouth_to_ear_ms),
        ("set-up until DTLS was up", media.setup_ms),
    ):
        if values is not None:
            rows.append([words, _in_words(values)])
    rows += [[f"heard: {words}", f"{count:,}"] for words, count in (media.heard or {}).items()]
    return Table(["what", "value"], rows, frozenset({0, 1}))


def server(summary: Summary) -> Table:
    """The Janus process and its log, where they could be seen."""
    rows: list[list[str]] = []
    server = summary.server
    if server is not None:
        for words, value, unit in (
            ("CPU at most, over 5 s", server.cpu_percent_max, " % of a core"),
            ("CPU quota", server.cpu_limit_percent, " % of a core"),
            ("memory at first", server.rss_mb_first, " MB"),
            ("memory at most", server.rss_mb_max, " MB"),
            ("threads at most", server.threads_max, ""),
            ("open files at most", server.fds_max, ""),
            ("limit of open files", server.fds_limit, ""),
            ("datagrams dropped at full sockets", server.udp_drops, ""),
        ):
            if value is not None:
                rows.append([words, wording.number(value) + unit])
        if server.throttled_share_max is not None:
            rows.insert(
                2, ["throttled at most", f"{wording.percent(server.throttled_share_max)} of the quota's periods"]
            )
        rows += [["could not be seen", words] for words in server.cannot_see]
    rows += [
        [f"log lines: {category.replace('_', ' ')}", f"{count:,}"]
        for category, count in sorted((summary.log or {}).items())
    ]
    return Table(["what", "value"], rows, frozenset({0, 1})) if rows else Table([], [])


def generator(summary: Summary) -> Table:
    """Whether the generator kept up."""
    generator = summary.generator
    rows = [[f"CPU of {name}, at most", f"{wording.number(v)} %"] for name, v in generator.cpu_percent_max.items()]
    for words, value in (
        ("event loop woke too late (p99, worst)", generator.lag_p99_ms_max),
        ("arrivals left too late (p99, worst)", generator.schedule_lag_p99_ms_max),
        ("audio packets left too late (p99, worst)", generator.pacing_p99_ms_max),
    ):
        if value is not None:
            rows.append([words, wording.duration(value)])
    rows.append(["arrivals that no client could take", f"{generator.dropped:,}"])
    for words, some in (
        ("lives that no user was free to begin", generator.dropped_lives),
        ("datagrams thrown away at full receive buffers", generator.udp_drops),
    ):
        if some:
            rows.append([words, f"{some:,}"])
    if generator.in_flight is not None:
        counted, by_law = (wording.number(value) for value in generator.in_flight)
        rows.append(["attempts in flight: counted, and rate times latency", f"{counted}, {by_law}"])
    rows += [["the run is", words] for words in gaps(summary)]
    for process, (ahead_ms, error_ms) in generator.clocks.items():
        words = f"{ahead_ms:+,.1f} ms ± {error_ms:.1f} ms, taken out of its records"
        rows.append([f"clock of {process} against the master's", words])
    left = summary.leaks.sessions
    rows.append(["sessions left behind", "not known: Janus was not asked" if left is None else f"{left:,}"])
    if summary.leaks.processes is not None:
        rows.append(["processes left", f"{summary.leaks.processes:,}"])
    return Table(["what", "value"], rows, frozenset({0, 1}))


def facts(values: dict[str, Any], prefix: str = "") -> list[list[str]]:
    """Nested facts as rows of dotted key and value; what is None is absent."""
    rows: list[list[str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += facts(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            rows.append([f"{prefix}{key}", ", ".join(str(item) for item in value)])
        elif isinstance(value, bool):
            rows.append([f"{prefix}{key}", "yes" if value else "no"])
        elif value is not None:
            rows.append([f"{prefix}{key}", str(value)])
    return rows


def _quantiles(values: Quantiles) -> list[str]:
    return [wording.quantile(values.p50), wording.quantile(values.p95), wording.quantile(values.p99)]


def _in_words(values: Quantiles) -> str:
    said = zip(("p50", "p95", "p99"), (values.p50, values.p95, values.p99), strict=True)
    return " · ".join(f"{name} {wording.quantile(value)}" for name, value in said if value is not None)
