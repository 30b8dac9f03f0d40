"""The one sentence that could stand in a chat message."""

from __future__ import annotations

from typing import NamedTuple

from janusload import wording
from janusload.analysis.quantiles import deciding
from janusload.summary import Failure, FailureKind, Onset, OnsetStatus, Quantile


class Borne(NamedTuple):
    """What a server was put through until it failed, or until the load ended.

    Attributes:
        seconds: for how long.
        joins: how many people joined an AudioBridge room.
    """

    seconds: float
    joins: int


#: no word on an onset, so a run that was not to find one says how long the server bore it
_SILENT = (OnsetStatus.INSUFFICIENT_DATA, OnsetStatus.GENERATOR_LIMITED, OnsetStatus.ABORTED)

_PLUGINS = {"audiobridge": "AudioBridge"}


def headline(onset: Onset, failure: Failure, borne: Borne | None = None) -> str:
    """Say what the run came to.

    Args:
        borne: what the server was put through, where the run was not to find an onset.
    """
    silent = onset.status in _SILENT and (onset.load_bracket or (None,))[0] is None
    if borne is not None and (silent or failure.kind.is_stall):
        return _endurance(failure, borne)
    told = failure.kind is FailureKind.GENERATOR_LIMITED and onset.status is OnsetStatus.GENERATOR_LIMITED
    return _onset(onset) + ("" if told else _failure(failure))


def _onset(onset: Onset) -> str:
    bad = onset.bracket_ms[1] if onset.bracket_ms else None
    alone = f", at a {_quantile_name(onset)} latency of {wording.bound(bad)}" if bad is not None else ""
    details = wording.Details(_tail(onset), _latency(onset) or alone, _condition(onset))
    return f"{wording.onset_finding(onset, details)}."


def _latency(onset: Onset) -> str:
    low, high = onset.bracket_ms or (None, None)
    if low is None or high is None:
        return ""
    return f", at a {_quantile_name(onset)} latency of {wording.duration_range(low, high)}"


def _tail(onset: Onset) -> str:
    shown = deciding(onset.latency_ms, onset.quantile)
    if shown is None:
        return ""
    seen = shown.model_copy(update={"at_least": False})
    return f", where the {_quantile_name(onset)} latency is {wording.bound(seen)}"


def _quantile_name(onset: Onset) -> str:
    return f"p{100 * onset.quantile:g}"


def _condition(onset: Onset) -> str:
    """T, the number of samples and the interval, in brackets."""
    words = [f"T = {onset.timeout_s:g} s"]
    if onset.samples_per_step:
        words.append(f"{onset.samples_per_step:,} sample{'s' * (onset.samples_per_step > 1)} a step")
    shown = deciding(onset.latency_ms, onset.quantile)
    if shown is not None and shown.ci95 is not None and not shown.at_least:
        low, high = (Quantile(value=value) for value in shown.ci95)
        words.append(f"95 % interval {wording.duration_range(low, high)}")
    if onset.status is OnsetStatus.NO_ONSET and onset.rate_upper is not None:
        words.append(f"timeout rate below {wording.percent(onset.rate_upper)}")
    return f" ({', '.join(words)})"


def _failure(failure: Failure) -> str:
    if failure.kind is FailureKind.NONE:
        return ""
    words = wording.capital(wording.failure(failure.kind, failure.plugin))
    after = wording.aftermath(failure)
    return f" {words}: {after}." if after else f" {words}."


def _endurance(failure: Failure, borne: Borne) -> str:
    joins = f" and {borne.joins:,} join{'s' * (borne.joins != 1)}" if borne.joins else ""
    span = f"{borne.seconds:.0f} s{joins}"
    if failure.kind is FailureKind.NONE:
        return f"No stall in {span}."
    if failure.kind is FailureKind.GENERATOR_LIMITED:
        if borne.seconds < 1:
            return "The generator was the limit from the start: this says nothing of the server."
        return f"No stall in {span}; then the generator was the limit."
    if failure.kind is FailureKind.CRASHED:
        return f"Crashed after {span}."
    words = wording.failure(failure.kind)
    if failure.plugin is not None:
        where = "lock" if "lock" in failure.rule else "plugin"
        words = f"{words}, {_PLUGINS.get(failure.plugin, failure.plugin)} {where}"
    after = wording.aftermath(failure) if failure.came_back else "did not come back"
    # an overloaded server goes on to answer, only not in time
    how = "Too slow to answer in time" if failure.kind is FailureKind.OVERLOAD else "Stopped answering"
    return f"{how} after {span}{after and f'; {after}'} ({words})."
