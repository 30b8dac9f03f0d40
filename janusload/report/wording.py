"""How values are said: the same number reads the same on the page, in markdown, in a badge and on the terminal.

Nothing here computes a figure of the run; it only puts one into words.
"""

from __future__ import annotations

import json
import unicodedata

from janusload.summary import FailureKind, Onset, OnsetStatus, Quantile, Verdict

UNKNOWN = "–"

#: verdicts in a sign and a word, so that colour is never needed to tell them apart
SIGNS = {Verdict.PASSED: "✓", Verdict.FAILED: "✗", Verdict.INCONCLUSIVE: "?"}

#: order and words of outcomes, wherever they are listed
OUTCOMES = {
    "ok": "ok",
    "late": "late",
    "api_timeout": "timeout",
    "api_error": "error",
    "lost_connection": "connection lost",
    "connect_failed": "no connection",
    "dropped": "dropped",
    "cut": "cut at the stop",
}

_FAILURES = {
    FailureKind.NONE: "no failure seen",
    FailureKind.OVERLOAD: "overload",
    FailureKind.PLUGIN_STUCK: "a plugin is stuck",
    FailureKind.CORE_STUCK: "the core is stuck",
    FailureKind.PROCESS_FROZEN: "the Janus process is frozen",
    FailureKind.DISK_STUCK: "Janus waits for a disk",
    FailureKind.MEMORY_WRITEBACK: "Janus waits for its dirty pages to be written",
    FailureKind.CPU_STARVED: "Janus gets no CPU",
    FailureKind.FDS: "Janus ran out of file descriptors",
    FailureKind.THREADS: "Janus could start no more threads",
    FailureKind.CRASHED: "Janus crashed",
    FailureKind.UNREACHABLE: "Janus could not be reached",
    FailureKind.GENERATOR_LIMITED: "the load generator was the limit",
}


def visible(text: str) -> str:
    """Text from outside with its control and direction characters replaced: they could forge or break a line.

    Line breaks and tabs stay: a scenario's text has them.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in {"Cc", "Cf", "Cs"} and c not in "\n\t" else c
        for c in text
    )


def one_line(text: str, at_most: int | None = None) -> str:
    """`visible` text on one line, of at most so many characters."""
    line = " ".join(visible(text).split())
    return line if at_most is None or len(line) <= at_most else line[: at_most - 1] + "…"


def literal(text: str) -> str:
    """Text from outside as a literal of the charts' expression language: a JSON string, and nothing else."""
    return json.dumps(text)


def number(value: float) -> str:
    """A count or a load with three digits that matter and no exponent: 0.25, 60, 243, 1,250."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percent(share: float) -> str:
    """A share 0..1 in percent: `0.021 %`, `2.4 %`, `20.8 %`."""
    return f"{share * 100:.2g} %" if share < 0.0995 else f"{number(share * 100)} %"


def duration(milliseconds: float) -> str:
    """Milliseconds in the unit that people would use: `0.4 ms`, `48.2 ms`, `1.3 s`."""
    if milliseconds >= 999.5:
        return seconds(milliseconds / 1000)
    return f"{milliseconds:.3g} ms"


def seconds(value: float) -> str:
    """Seconds as a latency or timeout is given: `2 s`, `1.32 s`."""
    return f"{number(value)} s"


def span(value_s: float) -> str:
    """How long something took, for people: `41 s`, `3 min 50 s`, `2 h 5 min`."""
    whole = round(value_s)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def quantile(value: Quantile | None) -> str:
    """A quantile, `≥` before it where the value is only a lower bound."""
    if value is None:
        return UNKNOWN
    return f"≥ {duration(value.value)}" if value.at_least else duration(value.value)


def outcome(name: str) -> str:
    return OUTCOMES.get(name, name.replace("_", " "))


def in_order(outcomes: dict[str, int]) -> list[tuple[str, int]]:
    """Outcomes that happened, in the order of `OUTCOMES`; unknown ones last."""
    rank = {name: index for index, name in enumerate(OUTCOMES)}
    return sorted(
        ((name, count) for name, count in outcomes.items() if count),
        key=lambda item: (rank.get(item[0], len(rank)), item[0]),
    )


def request(name: str) -> str:
    """A request as people call it: `create` for `janus.create`; plugins keep their name."""
    return name.removeprefix("janus.")


def failure(kind: FailureKind, plugin: str | None = None) -> str:
    if kind is FailureKind.PLUGIN_STUCK and plugin:
        return f"the plugin {plugin} is stuck"
    return _FAILURES[kind]


def onset_in_short(onset: Onset) -> str:
    """The onset in a few words, for a badge: `240–300 requests/s`."""
    low, high = onset.load_bracket or (None, None)
    unit = onset.unit
    between = _between(low, high, unit)
    match onset.status:
        case OnsetStatus.FOUND:
            return between or "found"
        case OnsetStatus.UNCONFIRMED:
            return f"{between}, unconfirmed" if between else "unconfirmed"
        case OnsetStatus.NO_ONSET:
            return f"none up to {number(low)} {unit}" if low is not None else "none"
        case OnsetStatus.FROM_START:
            return f"below {number(high)} {unit}" if high is not None else "from the start"
        case OnsetStatus.LOWER_UNPROVEN:
            return f"at most {number(high)} {unit}" if high is not None else "lower side unproven"
        case OnsetStatus.GENERATOR_LIMITED:
            return "generator limited"
        case OnsetStatus.TRANSPORT_LIMITED:
            return "transport limited"
        case OnsetStatus.ABORTED:
            return "run aborted"
        case OnsetStatus.INSUFFICIENT_DATA:
            return "too few samples"


def onset_finding(onset: Onset) -> str:
    """The onset as the title of a chart: a finding."""
    name = request(onset.request)
    low, high = onset.load_bracket or (None, None)
    unit = onset.unit
    between = (
        f"between {number(low)} and {number(high)} {unit}"
        if low is not None and high is not None
        else f"below {number(high)} {unit}"
        if high is not None
        else f"above {number(low)} {unit}"
        if low is not None
        else "under this load"
    )
    match onset.status:
        case OnsetStatus.FOUND:
            return f"{name} begins timing out {between}"
        case OnsetStatus.UNCONFIRMED:
            return f"{name} seems to begin timing out {between}; the last step could not be confirmed"
        case OnsetStatus.NO_ONSET:
            top = f" up to {number(low)} {unit}" if low is not None else ""
            return f"{name} does not begin timing out{top}"
        case OnsetStatus.FROM_START:
            return f"{name} times out from the first step on"
        case OnsetStatus.LOWER_UNPROVEN:
            at = f" at {number(high)} {unit}" if high is not None else ""
            return f"{name} times out{at}; no lower step is proved good"
        case OnsetStatus.GENERATOR_LIMITED:
            good = f"; up to {number(low)} {unit} all was well" if low is not None else ""
            return f"The load generator gave out before {name} began timing out{good}"
        case OnsetStatus.TRANSPORT_LIMITED:
            return f"Connections failed before {name} began timing out"
        case OnsetStatus.ABORTED:
            return f"The run was stopped before it was known where {name} begins timing out"
        case OnsetStatus.INSUFFICIENT_DATA:
            return f"Too few attempts to tell where {name} begins timing out"


def _between(low: float | None, high: float | None, unit: str) -> str:
    if low is not None and high is not None:
        return f"{number(low)}–{number(high)} {unit}"
    if high is not None:
        return f"below {number(high)} {unit}"
    return f"above {number(low)} {unit}" if low is not None else ""
