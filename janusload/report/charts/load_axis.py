"""The axis of load that most charts share, and what is drawn across it: the bracket, T and the tolerated rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt

from janusload import wording
from janusload.report.charts.figure import BAND, INK, LATENCY_LABELS, load_domain, round_steps
from janusload.summary import Onset

#: percent; the axis is linear up to 1 and logarithmic above, so that 0 and 1 % and 100 % can all be told apart
_TICKS = [0, 1, 2, 5, 10, 20, 50, 100]


class LoadAxis(NamedTuple):
    """An x axis of loads; every layer over it must name it alike, or Vega-Lite makes one of its own."""

    domain: tuple[float, float]
    log: bool
    title: str

    def x(self, field: str = "load") -> Any:
        scale = {"type": "log"} if self.log else {"type": "linear", "zero": False}
        return alt.X(
            f"{field}:Q",
            title=self.title,
            scale=alt.Scale(domain=self.domain, nice=False, **scale),
            axis=alt.Axis(tickCount=8),
        )


def load_axis(onset: Onset, loads: Sequence[float]) -> LoadAxis:
    """The axis that holds these loads, in the unit of an onset."""
    domain, log = load_domain(list(loads))
    title = f"load achieved, {wording.one_line(onset.unit, 40)}" + (" (log scale)" if log else "")
    return LoadAxis(domain, log, title)


def rate_y(field: str) -> Any:
    """Timeout rate in percent."""
    return alt.Y(
        f"{field}:Q",
        title="timed out, % of attempts (log scale above 1 %)",
        scale=alt.Scale(type="symlog", constant=1, domain=[0, 100], nice=False),
        axis=alt.Axis(values=_TICKS, labelOverlap=False),
    )


class LatencyAxis(NamedTuple):
    """A y axis of latencies in ms on a log scale."""

    low: float
    high: float

    def y(self, field: str = "ms") -> Any:
        return alt.Y(
            f"{field}:Q",
            title="latency (log scale)",
            scale=alt.Scale(type="log", domain=[self.low, self.high], nice=False),
            axis=alt.Axis(values=round_steps(self.low, self.high), labelExpr=LATENCY_LABELS),
        )

    def timeout(self, timeout_s: float) -> list[Any]:
        """The dashed line at T, named where it begins."""
        line = alt.Chart(alt.InlineData(values=[{"ms": timeout_s * 1000}]))
        words = f"timeout T = {wording.seconds(timeout_s)}"
        return [
            line.mark_rule(strokeDash=[5, 4], color=INK, strokeWidth=1).encode(y=self.y()),
            line.mark_text(align="left", baseline="bottom", dx=4, dy=-3, color=INK, text=words).encode(
                y=self.y(), x=alt.value(0)
            ),
        ]


def latency_axis(values_ms: Sequence[float], timeout_s: float) -> LatencyAxis:
    """The axis that holds these latencies (all above 0) and T."""
    return LatencyAxis(min(values_ms) / 1.5, max(timeout_s * 1600, max(values_ms) * 1.3))


def tolerated(p0: float) -> list[Any]:
    """The dashed line at p0 on the axis of rates, named where it begins."""
    line = alt.Chart(alt.InlineData(values=[{"p0": 100 * p0}]))
    y = rate_y("p0")
    return [
        line.mark_rule(strokeDash=[5, 4], color=INK, strokeWidth=1).encode(y=y),
        line.mark_text(
            align="left", baseline="bottom", dx=4, dy=-3, color=INK, text=f"onset: over {wording.percent(p0)}"
        ).encode(y=y, x=alt.value(0)),
    ]


def bracket_ends(onset: Onset, domain: tuple[float, float]) -> tuple[float, float] | None:
    """The bracket on the axis; an open end reaches the edge. None where there is nothing to shade."""
    low, high = onset.load_bracket or (None, None)
    if high is None:
        return None  # no step is known to be bad: there is no bracket to show
    first = domain[0] if low is None else max(low, domain[0])
    return (first, min(high, domain[1])) if first < high else None


def bracket(onset: Onset, axis: LoadAxis, word: str = "") -> list[Any]:
    """The bracket as a band over the whole height, with a word in it."""
    ends = bracket_ends(onset, axis.domain)
    if ends is None:
        return []
    band = alt.Chart(alt.InlineData(values=[{"from": ends[0], "to": ends[1], "middle": sum(ends) / 2}]))
    layers = [band.mark_rect(color=BAND).encode(x=axis.x("from"), x2="to:Q")]
    if word:
        text = band.mark_text(baseline="top", dy=5, color=INK, fontWeight="bold", text=word)
        layers.append(text.encode(x=axis.x("middle"), y=alt.value(0)))
    return layers
