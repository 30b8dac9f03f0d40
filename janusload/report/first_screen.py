"""The first ten seconds of every surface: the same words in the same order on page, terminal and in markdown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from janusload import wording
from janusload.summary import FailureKind, Summary, Threshold, Verdict


class Limit(NamedTuple):
    """A limit that was set, and how the run stood against it: `tone` is passed, failed or inconclusive."""

    tone: str
    sign: str
    word: str
    name: str
    limit: str
    value: str


class FirstScreen(NamedTuple):
    """What a reader with ten seconds sees.

    Attributes:
        facts: which run it was: server, place, moment, length, and how it ended if not as it should.
        verdict: a sign and a word.
        reason: why the run proves nothing; empty unless it is inconclusive.
        limits: as set in the scenario; may be empty.
        failure: what kind of failure it was and whether the server came back; empty if none was seen.
        context: may the number be believed, in a few short facts.
    """

    name: str
    facts: list[str]
    headline: str
    verdict: str
    reason: str
    limits: list[Limit]
    failure: str
    context: list[str]


def first_screen(summary: Summary) -> FirstScreen:
    """Put what a reader must know first into words."""
    return FirstScreen(
        name=summary.run.name,
        facts=_facts(summary),
        headline=summary.headline,
        verdict=f"{wording.SIGNS[summary.verdict]} {summary.verdict.value.upper()}",
        reason=reason(summary) if summary.verdict is Verdict.INCONCLUSIVE else "",
        limits=[_limit(threshold) for threshold in summary.thresholds],
        failure=failure_sentence(summary),
        context=_context(summary),
    )


def _limit(threshold: Threshold) -> Limit:
    if not threshold.judged:
        verdict, word = Verdict.INCONCLUSIVE, "not judged"
    else:
        verdict, word = (Verdict.PASSED, "passed") if threshold.passed else (Verdict.FAILED, "FAILED")
    return Limit(verdict.value, wording.SIGNS[verdict], word, threshold.name, threshold.limit, threshold.value)


def reason(summary: Summary) -> str:
    """Why a run is inconclusive: the generator was the limit, a limit cannot be judged, or what the onset says."""
    if not summary.generator.valid and summary.generator.reasons:
        return "; ".join(summary.generator.reasons)
    open_limits = [f"{t.name} {t.limit} ({t.value})" for t in summary.thresholds if not t.judged]
    if open_limits:
        return f"it cannot be told whether a limit was kept: {'; '.join(open_limits)}"
    if not summary.run.climbs:
        return f"the run did not come to its end ({summary.run.end})"
    return summary.onset.explanation


def failure_sentence(summary: Summary) -> str:
    """The kind of failure and the rule by which it was told; whether the server came back stands in the headline."""
    words = _failure(summary)
    return f"{words} because: {summary.failure.rule}" if words else ""


def failure_in_time(summary: Summary) -> str:
    """The kind of failure, when it was seen and when it was over; empty without one."""
    words, failure = _failure(summary), summary.failure
    if words and failure.first_seen_s is not None:
        words += f", first seen {wording.span(failure.first_seen_s)} into the run"
    if words and failure.detected_after_s is not None:
        words += f", named {failure.detected_after_s:.1f} s later"
    if words and failure.lasted_s is not None:
        words += f", over after {wording.span(failure.lasted_s)}"
    if words and failure.recovered_after_s is not None:
        words += f"; the server was back {failure.recovered_after_s:.1f} s after the load went away"
    return words


def _failure(summary: Summary) -> str:
    failure = summary.failure
    if failure.kind in {FailureKind.NONE, FailureKind.GENERATOR_LIMITED}:
        return ""  # the generator has its own words in the context, and it is not a failure of the server
    return wording.capital(wording.failure(failure.kind, failure.plugin))


def trust(summary: Summary) -> str:
    """Whether the numbers are the server's, as a finding."""
    generator = summary.generator
    if generator.valid and generator.gaps:
        return f"The generator kept up, but for a time that does not count: {'; '.join(gaps(summary))}"
    if generator.valid:
        return "The generator kept up: these numbers are the server's"
    return f"The generator did not keep up: {'; '.join(generator.reasons)}"


def gaps(summary: Summary) -> list[str]:
    """From when to when the run is not valid because a process of the generator was missing."""
    return [
        f"not valid from {gap.begin_s:.1f} s {'on' if gap.end_s is None else f'to {gap.end_s:.1f} s'}: "
        f"{gap.process} {gap.words}"
        for gap in summary.generator.gaps
    ]


def started(summary: Summary) -> str:
    """When the run began, to the minute, in UTC; the text as it came where it is no ISO 8601 moment."""
    text = summary.run.started_utc
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _facts(summary: Summary) -> list[str]:
    run = summary.run
    version = summary.server.version if summary.server else None
    janus = f"Janus {version}" if version else "Janus"
    broken = [] if run.end == "completed" else [run.end]
    return [f"{janus} on {run.where}", started(summary), wording.span(run.duration_s), *broken]


def _context(summary: Summary) -> list[str]:
    facts: list[str] = []
    media = summary.media
    if media is not None:
        facts.append(f"participants {media.participants}")
        if media.failed:
            facts.append(f"{media.failed} could not join")
        if media.silent is not None and media.participants:
            facts.append(f"{media.silent} heard nothing" if media.silent else "all heard audio")
        if media.loss is not None:
            facts.append(f"loss {wording.percent(media.loss)}")
        if media.mos is not None:
            facts.append(f"MOS {wording.number(media.mos)}")
    facts += _server(summary)
    facts.append(_generator(summary))
    facts += gaps(summary)
    if summary.leaks.sessions is not None:
        facts.append(f"{summary.leaks.sessions or 'no'} session{'s' * (summary.leaks.sessions > 1)} left behind")
    return facts


def _server(summary: Summary) -> list[str]:
    server = summary.server
    if server is None or server.cpu_percent_max is None:
        return []
    if server.cpu_limit_percent:
        return [f"server CPU {wording.percent(server.cpu_percent_max / server.cpu_limit_percent)} of its quota"]
    return [f"server CPU {wording.number(server.cpu_percent_max)} % of a core"]


def _generator(summary: Summary) -> str:
    generator = summary.generator
    if not generator.valid:
        told = summary.verdict is Verdict.INCONCLUSIVE or not generator.reasons
        return "GENERATOR LIMITED" if told else f"GENERATOR LIMITED: {'; '.join(generator.reasons)}"
    if not generator.cpu_percent_max:
        return "generator fine"
    return f"generator fine ({wording.number(max(generator.cpu_percent_max.values()))} % of a core)"
