"""Where does it break: timeout rate against load, with its bounds and the bracket shaded."""

from __future__ import annotations

from typing import Any

import altair as alt

from janusload import wording
from janusload.report import tables
from janusload.report.charts.figure import MUTED, PAPER, SERIES, TIMEOUT, Figure, Panel, drawn, load_domain
from janusload.report.charts.load_axis import bracket, bracket_ends, load_axis, rate_y, tolerated
from janusload.summary import Onset, Summary

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
            "says": tables.timed_out(step),
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
    axis = load_axis(onset, [row["load"] for row in rows])
    y = rate_y("rate")
    data = alt.InlineData(values=rows)
    states = list(_SHAPES)
    base = alt.Chart(data).encode(x=axis.x())
    tooltip = [
        alt.Tooltip("says:N", title="load"),
        alt.Tooltip("bounds:N", title="bounds"),
        alt.Tooltip("state:N", title=f"against {wording.percent(onset.p0)}"),
    ]
    stroke = alt.Stroke("state:N", scale=alt.Scale(domain=states, range=list(_STROKES.values())), legend=None)
    layers = [
        *bracket(onset, axis, "onset"),
        *tolerated(onset.p0),
        base.mark_line(color=SERIES, strokeWidth=1.5, opacity=0.5).encode(y=y),
        base.mark_rule(strokeWidth=2).encode(y=rate_y("lower"), y2="upper:Q", stroke=stroke, tooltip=tooltip),
        base.mark_point(size=70, strokeWidth=2, opacity=1).encode(
            y=y,
            shape=alt.Shape("state:N", scale=alt.Scale(domain=states, range=list(_SHAPES.values())), legend=None),
            fill=alt.Fill("state:N", scale=alt.Scale(domain=states, range=list(_FILLS.values())), legend=None),
            stroke=stroke,
            tooltip=tooltip,
        ),
    ]
    return drawn(layers)
