"""The one sentence that could stand in a chat message."""

from __future__ import annotations

from typing import NamedTuple

from janusload.analysis.plan import Plan
from janusload.analysis.quantiles import deciding
from janusload.analysis.wording import AT_ONCE_S, bound, duration_range, figure, load_range, percent
from janusload.summary import Failure, FailureKind, Onset, OnsetStatus, Quantile


class Borne(NamedTuple):
    """What a server was put through until it failed, or until the load ended.

    Attributes:
        seconds: for how long.
        joins: how many people joined an AudioBridge room.
    """

    seconds: float
    joins: int


_KINDS = {
    FailureKind.OVERLOAD: "Overload",
    FailureKind.PLUGIN_STUCK: "Plugin stuck",
    FailureKind.CORE_STUCK: "Core stuck",
    FailureKind.PROCESS_FROZEN: "Process frozen",
    FailureKind.DISK_STUCK: "Disk stuck",
    FailureKind.MEMORY_WRITEBACK: "Stuck in the writeback of dirty pages",
    FailureKind.CPU_STARVED: "Starved of CPU",
    FailureKind.FDS: "Out of file descriptors",
    FailureKind.THREADS: "Out of threads",
    FailureKind.CRASHED: "Crashed",
    FailureKind.UNREACHABLE: "Unreachable",
    FailureKind.GENERATOR_LIMITED: "The generator was the limit, not the server",
}


#: no word on an onset, so a run that was not to find one says how long the server bore it
_SILENT = (OnsetStatus.INSUFFICIENT_DATA, OnsetStatus.GENERATOR_LIMITED, OnsetStatus.ABORTED)

_PLUGINS = {"audiobridge": "AudioBridge"}


def headline(onset: Onset, failure: Failure, plan: Plan, borne: Borne | None = None) -> str:
    """Say what the run came to.

    Args:
        borne: what the server was put through, where the run was not to find an onset.
    """
    if borne is not None and onset.status in _SILENT and (onset.load_bracket or (None,))[0] is None:
        return _endurance(failure, borne)
    return f"{_onset(onset, plan)}{_failure(failure)}"


def _onset(onset: Onset, plan: Plan) -> str:
    name = _short(onset.request)
    condition = _condition(onset)
    low, high = onset.load_bracket or (None, None)
    match onset.status:
        case OnsetStatus.FOUND | OnsetStatus.UNCONFIRMED:
            first, second = load_range(low or 0.0, high or 0.0)
            hedge = "seems to begin" if onset.status is OnsetStatus.UNCONFIRMED else "begins"
            tail = " Not confirmed: it was the highest step that counts." if hedge != "begins" else ""
            where = f"between {first} and {second} {plan.unit}{_latency(onset)}"
            return f"{name} {hedge} timing out {where} {condition}.{tail}"
        case OnsetStatus.NO_ONSET:
            return f"{name} does not time out up to {figure(low or 0.0)} {plan.unit}{_tail(onset)} {condition}."
        case OnsetStatus.FROM_START:
            at = _at(onset.bracket_ms[1] if onset.bracket_ms else None, onset, "a")
            return f"{name} times out from the lowest load on, {figure(high or 0.0)} {plan.unit}{at} {condition}."
        case OnsetStatus.LOWER_UNPROVEN:
            at = _at(onset.bracket_ms[1] if onset.bracket_ms else None, onset, "a")
            unproven = "from which load on is unproven: the steps below had too few attempts"
            return f"{name} times out at {figure(high or 0.0)} {plan.unit}{at} {condition}; {unproven}."
        case OnsetStatus.GENERATOR_LIMITED:
            return f"{_not_up_to(onset, plan)} {condition}; above that the generator was the limit."
        case OnsetStatus.TRANSPORT_LIMITED:
            return f"{_not_up_to(onset, plan)} {condition}; above that connections failed before requests timed out."
        case OnsetStatus.ABORTED:
            return f"{_not_up_to(onset, plan)} {condition}; then the run ended early."
        case OnsetStatus.INSUFFICIENT_DATA:
            return f"Not enough data to say when {name} begins timing out (T = {onset.timeout_s:g} s)."


def _not_up_to(onset: Onset, plan: Plan) -> str:
    name = _short(onset.request)
    low = onset.load_bracket[0] if onset.load_bracket else None
    if low is None:
        return f"No load was shown at which {name} does not time out"
    return f"{name} does not time out up to {figure(low)} {plan.unit}{_tail(onset)}"


def _latency(onset: Onset) -> str:
    low, high = onset.bracket_ms or (None, None)
    if low is None or high is None:
        return ""
    return f", at a {_quantile_name(onset)} latency of {duration_range(low, high)}"


def _tail(onset: Onset) -> str:
    shown = deciding(onset.latency_ms, onset.quantile)
    return _at(shown.model_copy(update={"at_least": False}) if shown else None, onset, "where the")


def _at(quantile: Quantile | None, onset: Onset, article: str) -> str:
    if quantile is None:
        return ""
    if article == "a":
        return f", at a {_quantile_name(onset)} latency of {bound(quantile)}"
    return f", {article} {_quantile_name(onset)} latency is {bound(quantile)}"


def _quantile_name(onset: Onset) -> str:
    return f"p{100 * onset.quantile:g}"


def _condition(onset: Onset) -> str:
    """T, the number of samples and the interval, in brackets."""
    words = [f"T = {onset.timeout_s:g} s"]
    if onset.samples_per_step:
        words.append(f"{onset.samples_per_step:,} samples a step")
    shown = deciding(onset.latency_ms, onset.quantile)
    if shown is not None and shown.ci95 is not None and not shown.at_least:
        low, high = (Quantile(value=value) for value in shown.ci95)
        words.append(f"95 % interval {duration_range(low, high)}")
    if onset.status is OnsetStatus.NO_ONSET and onset.rate_upper is not None:
        words.append(f"timeout rate below {percent(onset.rate_upper)}")
    return f"({', '.join(words)})"


def _failure(failure: Failure) -> str:
    if failure.kind is FailureKind.NONE:
        return ""
    words = _KINDS[failure.kind]
    if failure.plugin is not None and failure.kind is FailureKind.PLUGIN_STUCK:
        words = f"{words} ({failure.plugin})"
    if failure.lasted_s is not None:
        return f" {words}: over after {failure.lasted_s:.1f} s."
    if failure.kind in (FailureKind.CRASHED, FailureKind.FDS, FailureKind.THREADS, FailureKind.GENERATOR_LIMITED):
        return f" {words}."
    if failure.recovered_after_s is not None:
        if failure.recovered_after_s < AT_ONCE_S:
            return f" {words}: back at once when the load went off."
        return f" {words}: back after {failure.recovered_after_s:.1f} s."
    return f" {words}: not seen to come back."


def _endurance(failure: Failure, borne: Borne) -> str:
    joins = f" and {borne.joins:,} join{'s' * (borne.joins != 1)}" if borne.joins else ""
    span = f"{borne.seconds:.0f} s{joins}"
    if failure.kind in (FailureKind.NONE, FailureKind.GENERATOR_LIMITED):
        return f"No stall in {span}."
    if failure.kind is FailureKind.CRASHED:
        return f"Crashed after {span}."
    words = _KINDS[failure.kind].lower()
    if failure.plugin is not None:
        where = "lock" if "lock" in failure.rule else "plugin"
        words = f"{words}, {_PLUGINS.get(failure.plugin, failure.plugin)} {where}"
    if failure.lasted_s is not None:
        return f"Stopped answering after {span} for {failure.lasted_s:.1f} s ({words})."
    if failure.recovered_after_s is not None:
        back_s = failure.recovered_after_s
        return f"Stopped answering after {span}; back {back_s:.1f} s after the load went off ({words})."
    return f"Stopped answering after {span}; did not come back ({words})."


def _short(request: str) -> str:
    return request.removeprefix("janus.")
