"""Is it better, worse, the same, or not comparable: measurement.md section 7.

What is held against each other, the most telling first. The first that differs and decides gives the verdict; what
points the other way is named behind it.

1. The kind of failure. A server that got stuck, crashed or never came back, against one that did not.
2. The onset. One run on each side: the brackets lie apart, and the gap is more than 5 %. Brackets that touch or overlap
   show no difference: finer steps would. Several runs on each side: the medians lie more than 5 % and more than three
   median absolute deviations of the base apart, and the log-rank test over all runs says p <= 0.1 (two-sided); a run
   without an onset counts as "more than its highest load".
3. The median latency at the highest load at which both sides were well: the 95 % interval of the ratio (blocks of both
   runs resampled) lies beyond a factor of 1.5. Runs of the same server differ by more than their samples tell; a
   factor this large was not seen between them.
4. Who heard audio, and how much of it was lost; what memory and recordings came to; sessions left behind; limits that
   were crossed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from janusload.analysis.bootstrap import StepSample, ratio_interval
from janusload.analysis.comparable import Despite, differences
from janusload.analysis.compare_storage import storage
from janusload.analysis.onset import between
from janusload.analysis.ranks import logrank_p, mad, median_interval
from janusload.comparison import Aspect, Change, Compared, Comparison, Side
from janusload.summary import Failure, FailureKind, Onset, OnsetStatus, Summary, Verdict
from janusload.wording import aftermath, duration, load_range, number, percent
from janusload.wording import failure as words_of

LEAST_GAP = 0.05
LEAST_MADS = 3.0
LEAST_FACTOR = 1.5
LARGEST_P = 0.1
_LEAST_LOSS = 0.01
_LEAST_MOS = 0.3
_SAME_LOAD = 0.05
_FEWEST_FOR_RANKS = 3
#: of what forbids a comparison, so many are in the sentence
_MOST_DIFFERENCES = 3
#: aspects that are true although the generator did not keep up: a stuck server is stuck, and a bracket is cut below it
_OF_THE_SERVER = {"failure", "onset"}
_DOUBTED = {"decides": False, "why": "the generator did not keep up, so it may be its doing"}

_HARMLESS = {FailureKind.NONE, FailureKind.GENERATOR_LIMITED}


@dataclass(frozen=True)
class Taken:
    """A run that is to be compared.

    Attributes:
        folder: where it lies, as it was named.
        steps: the attempts of its steps that count, in the order of load; empty where the records are gone.
    """

    folder: str
    summary: Summary
    steps: Sequence[StepSample] = ()


def compare(
    base: Sequence[Taken], news: Sequence[Sequence[Taken]], despite: frozenset[Despite] = frozenset()
) -> Comparison:
    """Hold each new state against the base; a state is one run, or several runs of the same thing."""
    labels = _labels([base, *news])
    base_side = _side(labels[0], base)
    compared = [
        _compared(base, base_side, new, _side(label, new), despite) for label, new in zip(labels[1:], news, strict=True)
    ]
    rank = [Change.WORSE, Change.NOT_COMPARABLE, Change.SAME, Change.BETTER]
    verdict = min((each.verdict for each in compared), key=rank.index)
    return Comparison(
        verdict=verdict,
        sentence=" ".join(each.sentence for each in compared),
        base=base_side,
        new=compared,
    )


def _labels(states: Sequence[Sequence[Taken]]) -> list[str]:
    """What tells the states apart: the server's version where it does, else the folder."""
    versions = [state[0].summary.server.version if state[0].summary.server else None for state in states]
    if None not in versions and len(set(versions)) == len(states):
        return [f"Janus {version}" for version in versions]
    names = [state[0].folder.rstrip("/").rsplit("/", 1)[-1] for state in states]
    if len(set(names)) == len(states):
        return names
    return ["base", *(f"new {number}" if len(states) > 2 else "new" for number in range(1, len(states)))]


def _side(label: str, runs: Sequence[Taken]) -> Side:
    first = runs[0].summary
    return Side(
        label=label,
        folders=[run.folder for run in runs],
        headline=first.headline,
        janus=first.server.version if first.server else None,
        started_utc=first.run.started_utc,
        onsets=[run.summary.onset for run in runs],
        failures=[run.summary.failure.kind for run in runs],
        steps=first.steps,
    )


def _compared(
    base: Sequence[Taken], base_side: Side, new: Sequence[Taken], new_side: Side, despite: frozenset[Despite]
) -> Compared:
    differs: list[str] = []
    notes: list[str] = []
    for run in [*base[1:], *new]:
        forbids, told = differences(base[0].summary, run.summary, despite)
        differs += [words for words in forbids if words not in differs]
        notes += [words for words in told if words not in notes]
    aspects: list[Aspect] = []
    if not differs:
        found = (
            _failure(base, new),
            _onset(base, new),
            _back(base, new),
            *_latency(base[0], new[0]),
            *_media(base[0].summary, new[0].summary),
            *storage(base[0].summary, new[0].summary),
            _leaks(base[0].summary, new[0].summary),
            _limits(base[0].summary, new[0].summary),
        )
        aspects = [aspect for aspect in found if aspect is not None]
        if not all(run.summary.generator.valid for run in (*base, *new)):
            aspects = [each if each.name in _OF_THE_SERVER else each.model_copy(update=_DOUBTED) for each in aspects]
    verdict, sentence = _verdict(base_side, new_side, aspects, differs)
    return Compared(side=new_side, verdict=verdict, sentence=sentence, aspects=aspects, differs=differs, notes=notes)


def _verdict(base: Side, new: Side, aspects: Sequence[Aspect], differs: Sequence[str]) -> tuple[Change, str]:
    if differs:
        words = "; ".join(differs[:_MOST_DIFFERENCES])
        if len(differs) > _MOST_DIFFERENCES:
            words += f"; and {len(differs) - _MOST_DIFFERENCES} more differences"
        return Change.NOT_COMPARABLE, f"{new.label} cannot be compared with {base.label}: {words}."
    told = [each for each in aspects if each.decides and each.change in (Change.BETTER, Change.WORSE)]
    if told:
        first = told[0]
        what = first.name[0].upper() + first.name[1:]
        words = f"{new.label} is {first.change} than {base.label}. {what}: {first.new}, against {first.base}"
        against = [each for each in told if each.change is not first.change]
        for each in against[:2]:
            words += f"; but {each.name} is {each.change}: {each.new}, against {each.base}"
        return first.change, words + "."
    blind = next((each for each in aspects if each.name == "onset" and each.change is Change.NOT_COMPARABLE), None)
    if blind is not None:
        return Change.NOT_COMPARABLE, f"{new.label} cannot be compared with {base.label}: {blind.why}."
    onset = next(each for each in aspects if each.name == "onset")
    return Change.SAME, f"No difference between {new.label} and {base.label} was shown: {onset.why}."


def severity(summary: Summary) -> int:
    """How bad the failure was: 0 none, 1 too much load and back again, 2 stuck for a time, 3 not back, or crashed."""
    kind = summary.failure.kind
    if kind in _HARMLESS:
        return 0
    back = summary.failure.came_back
    line = summary.timeline
    watched = line is not None and bool(line.rungs) and any(words == "recovery" for _, words in line.markers)
    if not kind.is_stall:
        return 1 if back or not watched else 3
    return 2 if back else 3


def _failure(base: Sequence[Taken], new: Sequence[Taken]) -> Aspect:
    one, other = (max((run.summary for run in runs), key=severity) for runs in (base, new))
    low, high = severity(one), severity(other)
    if max(low, high) < 2 or low == high:
        change = Change.SAME
        why = "neither got stuck" if max(low, high) < 2 else "both got stuck or worse"
    else:
        change = Change.WORSE if high > low else Change.BETTER
        why = "a server that gets stuck, crashes or does not come back is worse than one that is only overloaded"
    return Aspect(
        name="failure", base=_failure_words(one.failure), new=_failure_words(other.failure), change=change, why=why
    )


def _failure_words(failure: Failure) -> str:
    if failure.kind is FailureKind.NONE:
        return "none"
    words = words_of(failure.kind) + (f" ({failure.plugin})" if failure.plugin else "")
    after = aftermath(failure)
    return f"{words}, {after}" if after else words


def _onset(base: Sequence[Taken], new: Sequence[Taken]) -> Aspect:
    one, other = ([run.summary.onset for run in runs] for runs in (base, new))
    said = tuple("; ".join(_onset_words(onset) for onset in side) for side in (one, other))
    blind = [onset for onset in (*one, *other) if _ends(onset) is None]
    if blind:
        why = f"a run says nothing about the onset ({blind[0].explanation.rstrip('.')})"
        change = Change.NOT_COMPARABLE
    elif min(len(one), len(other)) >= _FEWEST_FOR_RANKS:
        change, why = _of_many(one, other)
    else:
        change, why = _of_two(one, other)
    return Aspect(name="onset", base=said[0], new=said[1], change=change, why=why)


def _ends(onset: Onset) -> tuple[float, float] | None:
    """The bracket, open ends as 0 and infinity; None where nothing is known."""
    low, high = onset.load_bracket or (None, None)
    if low is None and high is None:
        return None
    return low or 0.0, np.inf if high is None else high


def _of_two(base: Sequence[Onset], new: Sequence[Onset]) -> tuple[Change, str]:
    """By brackets; of few runs a side, all of one must lie apart from all of the other."""
    (low, high), (new_low, new_high) = _reach(base), _reach(new)
    for change, below, above in ((Change.BETTER, high, new_low), (Change.WORSE, new_high, low)):
        if below < above:
            gap = above / below - 1 if below > 0 else np.inf
            words = f"the brackets lie {percent(gap) if np.isfinite(gap) else 'wholly'} apart"
            return (change if gap > LEAST_GAP else Change.SAME), f"{words} ({percent(LEAST_GAP)} counts)"
    if np.isinf(high) and np.isinf(new_high):
        return Change.SAME, "neither had its onset within the load that was offered"
    return Change.SAME, "the onset's brackets touch or overlap; finer steps would show a smaller difference"


def _reach(onsets: Sequence[Onset]) -> tuple[float, float]:
    """From the lowest to the highest end of the brackets."""
    ends = [found for onset in onsets if (found := _ends(onset)) is not None]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _of_many(base: Sequence[Onset], new: Sequence[Onset]) -> tuple[Change, str]:
    values = np.array([_value(onset)[0] for onset in (*base, *new)])
    seen = np.array([_value(onset)[1] for onset in (*base, *new)])
    is_new = np.arange(len(values)) >= len(base)
    medians = [float(np.median(values[side])) for side in (~is_new, is_new)]
    apart = abs(medians[1] - medians[0])
    needed = max(LEAST_GAP * medians[0], LEAST_MADS * mad(values[~is_new]))
    p = logrank_p(values, seen, is_new)
    intervals = [load_range(*median_interval(values[side])) for side in (~is_new, is_new)]
    why = (
        f"medians {number(medians[0])} ({' to '.join(intervals[0])}) and {number(medians[1])} "
        f"({' to '.join(intervals[1])}): {number(apart)} apart, {number(needed)} counts; log-rank p = {p:.2g}"
    )
    if apart <= needed or p > LARGEST_P:
        return Change.SAME, why
    return (Change.BETTER if medians[1] > medians[0] else Change.WORSE), why


def _value(onset: Onset) -> tuple[float, bool]:
    """The onset's load, and whether there was one; else the load up to which there was none."""
    ends = _ends(onset)
    assert ends is not None
    low, high = ends
    if np.isinf(high):
        return low, False
    return (onset.load if onset.load is not None else between(low, high, 0.5) if low else high), True


def _onset_words(onset: Onset) -> str:
    ends = _ends(onset)
    if ends is None:
        return str(onset.status).replace("_", " ")
    low, high = ends
    unconfirmed = " (unconfirmed)" if onset.status is OnsetStatus.UNCONFIRMED else ""
    if np.isinf(high):
        return f"above {number(low)} {onset.unit}"
    if not low:
        return f"below {number(high)} {onset.unit}{unconfirmed}"
    return f"between {' and '.join(load_range(low, high))} {onset.unit}{unconfirmed}"


def _back(base: Sequence[Taken], new: Sequence[Taken]) -> Aspect | None:
    one, other = ([run.summary.failure.recovered_after_s for run in runs] for runs in (base, new))
    known = [[value for value in side if value is not None] for side in (one, other)]
    if not all(known):
        return None
    low, high = (float(np.median(side)) for side in known)
    far = max(low, high) > 2 * min(low, high) and abs(low - high) > 2.0
    change = Change.SAME if not far else Change.WORSE if high > low else Change.BETTER
    return Aspect(
        name="back after the load",
        base=f"after {low:.1f} s",
        new=f"after {high:.1f} s",
        change=change,
        decides=False,
        why="seen once a run, so it does not decide",
    )


def _latency(base: Taken, new: Taken) -> list[Aspect]:
    """p50 and p95 at the highest load at which both were well."""
    common = [
        (one, other)
        for one in _well(base)
        for other in _well(new)
        if abs(one.load - other.load) <= _SAME_LOAD * max(one.load, other.load)
    ]
    if not common:
        return []
    one, other = max(common, key=lambda pair: pair[0].load)
    timeout_s = base.summary.onset.timeout_s
    aspects = []
    for quantile, decides in ((0.5, True), (0.95, False)):
        (low_s, high_s), ratio, (low, high) = ratio_interval(one, other, timeout_s, quantile)
        change = Change.WORSE if low > LEAST_FACTOR else Change.BETTER if high < 1 / LEAST_FACTOR else Change.SAME
        aspects.append(
            Aspect(
                name=f"p{100 * quantile:g} at {number(one.load)} {base.summary.onset.unit}",
                base=duration(1000 * low_s),
                new=duration(1000 * high_s),
                change=change,
                decides=decides,
                why=f"×{number(ratio)} (95 % interval ×{number(low)} to ×{number(high)}; beyond ×{LEAST_FACTOR:g} "
                + ("counts)" if decides else "would count for the median)"),
            )
        )
    return aspects


def _well(run: Taken) -> list[StepSample]:
    low = (run.summary.onset.load_bracket or (None, None))[0]
    return [] if low is None else [step for step in run.steps if step.load <= low * (1 + 1e-9)]


def _media(base: Summary, new: Summary) -> list[Aspect]:
    if base.media is None or new.media is None:
        return []
    one, other = base.media, new.media
    aspects = []
    if one.silent is not None and other.silent is not None:
        change = _by(float(one.silent), float(other.silent), 0.5)
        aspects.append(Aspect(name="heard nothing", base=str(one.silent), new=str(other.silent), change=change))
    if one.loss is not None and other.loss is not None:
        change = _by(one.loss, other.loss, _LEAST_LOSS)
        why = f"{percent(_LEAST_LOSS)} of the packets counts"
        aspects.append(
            Aspect(
                name="packet loss",
                base=percent(one.loss),
                new=percent(other.loss),
                change=change,
                why=why,
            )
        )
    if one.mos is not None and other.mos is not None:
        change = _by(-one.mos, -other.mos, _LEAST_MOS)
        why = f"{_LEAST_MOS:g} counts"
        aspects.append(Aspect(name="MOS", base=number(one.mos), new=number(other.mos), change=change, why=why))
    return aspects


def _leaks(base: Summary, new: Summary) -> Aspect | None:
    one, other = base.leaks.sessions, new.leaks.sessions
    if one is None or other is None:
        return None
    return Aspect(
        name="sessions left behind", base=str(one), new=str(other), change=_by(float(one > 0), float(other > 0), 0.5)
    )


def _limits(base: Summary, new: Summary) -> Aspect | None:
    if not base.thresholds or not new.thresholds:
        return None
    crossed = [[limit.name for limit in each.thresholds if limit.judged and not limit.passed] for each in (base, new)]
    said = [", ".join(names) + " crossed" if names else "all kept" for names in crossed]
    change = _by(float(bool(crossed[0])), float(bool(crossed[1])), 0.5)
    if Verdict.INCONCLUSIVE in (base.verdict, new.verdict):
        change = Change.NOT_COMPARABLE
    return Aspect(name="limits", base=said[0], new=said[1], change=change)


def _by(base: float, new: float, least: float) -> Change:
    """Less is better, from that difference on."""
    return Change.SAME if abs(new - base) < least else Change.WORSE if new > base else Change.BETTER
