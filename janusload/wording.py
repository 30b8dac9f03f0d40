"""How values are said: the same number reads the same in the headline, on the page, in a badge and on the terminal.

Nothing here computes a figure of the run; it only puts one into words.
"""

from __future__ import annotations

import json
import math
import unicodedata
from typing import NamedTuple

from janusload.durations import span as span
from janusload.summary import Failure, FailureKind, Onset, OnsetStatus, Quantile, Verdict

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

#: what would be written as 0.0 s
_AT_ONCE_S = 0.05

#: kinds that nothing comes back from, or of which nothing has to
_NO_AFTERMATH = {
    FailureKind.NONE,
    FailureKind.CRASHED,
    FailureKind.FDS,
    FailureKind.THREADS,
    FailureKind.GENERATOR_LIMITED,
}

_FAILURES = {
    FailureKind.NONE: "no failure seen",
    FailureKind.OVERLOAD: "overload",
    FailureKind.PLUGIN_STUCK: "plugin stuck",
    FailureKind.CORE_STUCK: "core stuck",
    FailureKind.PROCESS_FROZEN: "process frozen",
    FailureKind.DISK_STUCK: "disk stuck",
    FailureKind.MEMORY_WRITEBACK: "stuck in the writeback of dirty pages",
    FailureKind.CPU_STARVED: "starved of CPU",
    FailureKind.FDS: "out of file descriptors",
    FailureKind.THREADS: "out of threads",
    FailureKind.CRASHED: "crashed",
    FailureKind.UNREACHABLE: "unreachable",
    FailureKind.GENERATOR_LIMITED: "the generator was the limit, not the server",
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


def number(value: float, digits: int = 3) -> str:
    """A number with so many digits that matter, whole from there up: 0.0123, 60, 243, 12,346."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{round(value):,}" if places <= 0 else f"{round(value, places):g}"


def percent(share: float) -> str:
    """A share 0..1 in percent: `0.021 %`, `2.4 %`, `20.8 %`."""
    return f"{number(share * 100, 2 if share < 0.0995 else 3)} %"


def duration(milliseconds: float, digits: int = 3) -> str:
    """Milliseconds in the unit that people would use: `0.4 ms`, `48.2 ms`, `1.32 s`."""
    return " ".join(_scaled(milliseconds, digits))


def _scaled(milliseconds: float, digits: int) -> tuple[str, str]:
    if milliseconds >= 1000 - 0.5 * 10 ** (3 - digits):
        return number(milliseconds / 1000, digits), "s"
    return number(milliseconds, digits), "ms"


def seconds(value: float) -> str:
    """Seconds as a latency or timeout is given: `2 s`, `1.32 s`."""
    return f"{number(value)} s"


def quantile(value: Quantile | None) -> str:
    """A quantile, `≥` before it where the value is only a lower bound."""
    if value is None:
        return UNKNOWN
    return f"≥ {duration(value.value)}" if value.at_least else duration(value.value)


def bound(value: Quantile) -> str:
    """A quantile as it stands in a sentence, saying so where it is only a lower bound."""
    words = duration(value.value, 2)
    return f"at least {words}" if value.at_least else words


def duration_range(low: Quantile, high: Quantile) -> str:
    """Two quantiles as a range: `1.3-1.7 s`, `40 ms to at least 2 s`."""
    (first, unit), (second, other) = (_scaled(each.value, 2) for each in (low, high))
    if low.at_least and high.at_least:
        return bound(low if low.value <= high.value else high)
    if low.at_least or high.at_least or unit != other:
        return f"{bound(low)} to {bound(high)}"
    return f"{first} {unit}" if first == second else f"{first}-{second} {unit}"


def load_range(low: float, high: float) -> tuple[str, str]:
    """Both ends of a load bracket with as many digits as it takes to tell them apart."""
    for digits in (2, 3, 4, 5):
        first, second = number(low, digits), number(high, digits)
        if first != second and abs(float(first.replace(",", "")) - low) <= 0.1 * abs(high - low):
            break
    return first, second


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
    words = _FAILURES[kind]
    return f"{words} ({plugin})" if kind is FailureKind.PLUGIN_STUCK and plugin else words


def aftermath(seen: Failure) -> str:
    """Whether the server came back, and how long after the load went off; empty where that is no question."""
    if seen.lasted_s is not None:
        return f"over after {seen.lasted_s:.1f} s"
    if seen.kind in _NO_AFTERMATH:
        return ""
    if seen.recovered_after_s is None:
        return "not seen to come back"
    if seen.recovered_after_s < _AT_ONCE_S:
        return "back at once when the load went off"
    return f"back after {seen.recovered_after_s:.1f} s"


def capital(words: str) -> str:
    """As it stands at the beginning of a sentence."""
    return words[:1].upper() + words[1:]


def onset_in_short(onset: Onset) -> str:
    """The onset in a few words, for a badge: `240–300 requests/s`."""
    low, high = onset.load_bracket or (None, None)
    unit = onset.unit
    match onset.status:
        case OnsetStatus.FOUND | OnsetStatus.UNCONFIRMED:
            between = _between(low, high, unit)
            return f"{between}, unconfirmed" if onset.status is OnsetStatus.UNCONFIRMED else between
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


def _between(low: float | None, high: float | None, unit: str) -> str:
    if low is not None and high is not None:
        return f"{number(low)}–{number(high)} {unit}"
    if high is not None:
        return f"below {number(high)} {unit}"
    return f"above {number(low)} {unit}" if low is not None else "somewhere"


class Details(NamedTuple):
    """What a headline says beyond the title of a chart; the title leaves it out.

    Attributes:
        good: latency up to where all is well, as in `, where the p95 latency is 40 ms`.
        bad: latency where it is not, as in `, at a p95 latency of 1.3-1.7 s`.
        condition: T, samples and interval in brackets, with a space before it.
    """

    good: str = ""
    bad: str = ""
    condition: str = ""


_TITLE = Details()


def onset_finding(onset: Onset, details: Details = _TITLE) -> str:
    """The onset as a finding, without a full stop: the title of a chart, and with details the headline."""
    name = request(onset.request)
    low, high = onset.load_bracket or (None, None)
    unit, condition = onset.unit, details.condition
    up_to = None if low is None else f"{name} does not time out up to {number(low)} {unit}{details.good}"
    match onset.status:
        case OnsetStatus.FOUND:
            return f"{name} begins timing out {_range(low, high, unit)}{details.bad}{condition}"
        case OnsetStatus.UNCONFIRMED:
            where = f"{_range(low, high, unit)}{details.bad}{condition}"
            return f"{name} seems to begin timing out {where}; it was the highest step that counts"
        case OnsetStatus.NO_ONSET:
            return (up_to or f"{name} does not begin timing out") + condition
        case OnsetStatus.FROM_START:
            at = f", {number(high)} {unit}" if high is not None else ""
            return f"{name} times out from the lowest load on{at}{details.bad}{condition}"
        case OnsetStatus.LOWER_UNPROVEN:
            at = f" at {number(high)} {unit}" if high is not None else ""
            return f"{name} times out{at}{details.bad}{condition}; no lower step is proven good"
        case OnsetStatus.GENERATOR_LIMITED:
            if up_to:
                return f"{up_to}{condition}; above that the generator was the limit"
            return f"Nothing is known of when {name} begins timing out{condition}: the generator was the limit"
        case OnsetStatus.TRANSPORT_LIMITED:
            if up_to:
                return f"{up_to}{condition}; above that connections failed before requests timed out"
            return f"Connections failed before {name} began timing out{condition}"
        case OnsetStatus.ABORTED:
            if up_to:
                return f"{up_to}{condition}; no higher load was reached before the run ended"
            return f"The run ended before it was known when {name} begins timing out{condition}"
        case OnsetStatus.INSUFFICIENT_DATA:
            return f"Too few attempts to tell when {name} begins timing out{condition}"


def _range(low: float | None, high: float | None, unit: str) -> str:
    if low is None or high is None:
        return _between(low, high, unit)
    first, second = load_range(low, high)
    return f"between {first} and {second} {unit}"
