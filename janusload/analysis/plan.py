"""What `meta.json` says about the run, with the defaults of measurement.md where it says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from janusload.analysis.onset import Rule
from janusload.summary import load_unit

DEFAULT_REQUEST = "janus.create"
_LEAST_SETTLE_S = 5.0


class Plan(NamedTuple):
    """What was to be measured.

    Attributes:
        request: the request under test.
        axis: what load counts, as in `janus.create per second`.
        timeout_s: T; None if meta does not say (the records do).
        settle_s: what to drop at the beginning of a step; None for the default that follows from T.
        rule: p0, quantile, and the errors allowed.
        begin_ns: t = 0 of the run on the monotonic clock; None if meta does not say.
        completed: whether the run came to its own end.
        end: how it ended, in meta's words; empty if it never said.
    """

    request: str
    axis: str
    timeout_s: float | None
    settle_s: float | None
    rule: Rule
    begin_ns: int | None
    completed: bool
    end: str

    @property
    def per_second(self) -> bool:
        """Whether the axis counts requests per second (else it counts participants)."""
        return self.axis.endswith("per second")

    @property
    def broke_off(self) -> bool:
        """Whether the run ended before it was meant to; `--run-time` means it to."""
        return not self.completed and self.end != "run time over"

    @property
    def unit(self) -> str:
        """The axis as it follows a number in a sentence."""
        return load_unit(self.axis, self.request)

    def settling_s(self, timeout_s: float) -> float:
        return max(timeout_s, _LEAST_SETTLE_S) if self.settle_s is None else self.settle_s


def plan_of(meta: Mapping[str, Any]) -> Plan:
    """Read the plan; a key that is absent, or is not what it should be, counts as not said."""
    analysis = part(meta, "analysis")
    default = Rule()
    end = part(meta, "run").get("end")
    begin = part(meta, "clock").get("monotonic_ns")
    request = str(analysis.get("request") or DEFAULT_REQUEST)
    return Plan(
        request=request,
        axis=str(analysis.get("axis") or f"{request} per second"),
        timeout_s=_number(analysis, "timeout_s"),
        settle_s=_number(analysis, "settle_s"),
        rule=Rule(
            p0=_number(analysis, "p0") or default.p0,
            quantile=_number(analysis, "quantile") or default.quantile,
            alpha=_number(analysis, "alpha") or default.alpha,
            own=_number(analysis, "own") or default.own,
            family=_number(analysis, "family") or default.family,
        ),
        begin_ns=begin if isinstance(begin, int) else None,
        completed=end == "completed",
        end=end if isinstance(end, str) else "",
    )


def part(meta: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A nested object of meta; empty if it is absent."""
    value = meta.get(key)
    return value if isinstance(value, dict) else {}


def _number(facts: Mapping[str, Any], key: str) -> float | None:
    value = facts.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
