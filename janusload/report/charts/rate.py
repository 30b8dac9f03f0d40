"""Where does it break: timeout rate against load, with its bounds and the bracket shaded."""

from __future__ import annotations

from typing import Any

import altair as alt

from janusload.report import tables, wording
from janusload.report.charts.figure import BAND, INK, MUTED, PAPER, SERIES, TIMEOUT, Figure, Panel, drawn, load_domain
from janusload.summary import Onset, Summary

HEIGHT = 260

#: percent; the axis is linear up to 1 and logarithmic above, so that 0 and 1 % and 100 % can all be told apart
_TICKS = [0, 1, 2, 5, 10, 20, 50, 100]

_SHAPES = {"credibly under": "circle", "undecided": "circle", "credibly over": "diamond", "left out": "cross"}
_FILLS = {"credibly under": SERIES, "undecided": PAPER, "credibly over": TIMEOUT, "left out": PAPER}
_STROKES = {"credibly under": SERIES, "undecided": SERIES, "credibly over": TIMEOUT, "left out": MUTED}


def rate(summary: Summary) -> Figure | None:
    """The figure, or None without a step that had attempts."""
    onset = summary.onset
    rows: list[dict[str, Any]] = [
        {
            "load": step.achieved,
            "rate": 100 * step.rate.value,
            "lower": 100 * step.rate.lower,
            "upper": 100 * step.rate.upper,
            "state": tables.proves(step, onset.p0),
            "says": f"{wording.number(step.achieved)}: {step.rate.timeouts:,} of {step.rate.attempts:,} timed out",
            "bounds": f"{wording.percent(step.rate.lower)} to {wording.percent(step.rate.upper)}",
        }
        for step in summary.steps
        if step.rate.attempts
    ]
    if not rows:
        return None
    p0 = wording.percent(onset.p0)
    shaded = bracket_ends(onset, load_domain([row["load"] for row in rows])[0]) is not None
    name = wording.one_line(wording.request(onset.request))
    return Figure(
        key="rate",
        title=wording.onset_finding(onset),
        reading=(
            f"Each mark is one step of load: the share of {name} requests without an answer within "
            f"{wording.seconds(onset.timeout_s)}, and a bar from its lower to its upper bound. A bar wholly under the "
            f"dashed line ({p0}) is credibly good, one wholly over it (diamond) credibly bad"
            + ("; the onset lies in the shaded band." if shaded else ".")
        ),
        panels=[Panel("rate", _spec(onset, rows), "Timeout rate against load with bounds.")],
        table=tables.rates(summary),
        notes=(onset.explanation,),
    )


def _spec(onset: Onset, rows: list[dict[str, Any]]) -> dict[str, Any]:
    domain, log = load_domain([row["load"] for row in rows])
    unit = wording.one_line(wording.load_unit(onset), 40)
    x_title = f"load achieved, {unit}" + (" (log scale)" if log else "")
    x = alt.X(
        "load:Q",
        title=x_title,
        scale=alt.Scale(domain=domain, type="log" if log else "linear", nice=False, zero=False),
        axis=alt.Axis(tickCount=8),
    )
    y = _y("rate")
    data = alt.InlineData(values=rows)
    states = list(_SHAPES)
    base = alt.Chart(data).encode(x=x)
    tooltip = [
        alt.Tooltip("says:N", title="load"),
        alt.Tooltip("bounds:N", title="bounds"),
        alt.Tooltip("state:N", title=f"against {wording.percent(onset.p0)}"),
    ]
    stroke = alt.Stroke("state:N", scale=alt.Scale(domain=states, range=list(_STROKES.values())), legend=None)
    layers = [
        *_bracket(onset, domain, x_title),
        *_limit(onset.p0),
        base.mark_line(color=SERIES, strokeWidth=1.5, opacity=0.5).encode(y=y),
        base.mark_rule(strokeWidth=2).encode(y=_y("lower"), y2="upper:Q", stroke=stroke, tooltip=tooltip),
        base.mark_point(size=70, strokeWidth=2, opacity=1).encode(
            y=y,
            shape=alt.Shape("state:N", scale=alt.Scale(domain=states, range=list(_SHAPES.values())), legend=None),
            fill=alt.Fill("state:N", scale=alt.Scale(domain=states, range=list(_FILLS.values())), legend=None),
            stroke=stroke,
            tooltip=tooltip,
        ),
    ]
    return drawn(alt.layer(*layers).properties(width="container", height=HEIGHT))


def _y(field: str) -> Any:
    """The same axis for every layer: Vega-Lite would merge unlike ones into something of its own."""
    return alt.Y(
        f"{field}:Q",
        title="timed out, % of attempts (log scale above 1 %)",
        scale=alt.Scale(type="symlog", constant=1, domain=[0, 100], nice=False),
        axis=alt.Axis(values=_TICKS, labelOverlap=False),
    )


def _limit(p0: float) -> list[Any]:
    """The dashed line at p0, named where it begins."""
    line = alt.Chart(alt.InlineData(values=[{"p0": 100 * p0}]))
    y = _y("p0")
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


def _bracket(onset: Onset, domain: tuple[float, float], x_title: str) -> list[Any]:
    ends = bracket_ends(onset, domain)
    if ends is None:
        return []
    band = alt.Chart(alt.InlineData(values=[{"from": ends[0], "to": ends[1], "middle": sum(ends) / 2}]))
    return [
        band.mark_rect(color=BAND).encode(x=alt.X("from:Q", title=x_title), x2="to:Q"),
        band.mark_text(baseline="top", dy=5, color=INK, fontWeight="bold", text="onset").encode(
            x=alt.X("middle:Q", title=x_title), y=alt.value(0)
        ),
    ]
