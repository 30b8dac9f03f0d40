"""How the latencies spread: Kaplan-Meier curves, of every step and of every request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt

from janusload import wording
from janusload.report import tables
from janusload.report.charts.figure import (
    INK,
    LATENCY_LABELS,
    MUTED,
    SERIES,
    TIMEOUT,
    Figure,
    Panel,
    drawn,
    few,
    named,
    round_steps,
)
from janusload.summary import Summary

_MOST_REQUESTS = 12
_MOST_NAMES = 12
#: share of the chart's width that a name may need to the right of its curve
_NAME_ROOM = 0.3
#: of fewer attempts a curve is a few steps that tell nothing
_FEWEST = 20
_COLOURS = (SERIES, "var(--late)", "var(--server)", "var(--error)", "var(--people)", MUTED)
_SHARES = (0.5, 0.9, 0.95, 0.99, 0.999)
_GROUPS = {"credibly under": SERIES, "undecided": MUTED, "credibly over": TIMEOUT, "left out": MUTED}
_DASHES = {"credibly under": [1, 0], "undecided": [5, 3], "credibly over": [1, 0], "left out": [1, 3]}


class _Curve(NamedTuple):
    """One curve: what stands beside it, which of the groups it belongs to, and its points."""

    name: str
    group: str
    points: list[tuple[float, float]]


def step_curves(summary: Summary) -> Figure | None:
    """What share of the requests was answered within which time, step by step."""
    onset = summary.onset
    curves = [
        _Curve(wording.number(step.achieved), tables.proves(step, onset.p0), step.curve)
        for step in summary.steps
        if step.curve and step.counted
    ]
    if not curves:
        return None
    name = wording.one_line(wording.request(onset.request))
    groups = {curve.group for curve in curves}
    key = tuple((_GROUPS[group], f"timeouts {group}") for group in _GROUPS if group in groups)
    spec = _spec(curves, [1000 * onset.timeout_s], _GROUPS, _DASHES)
    says = "Share answered within a time, by step."
    return Figure(
        key="curves",
        title=f"How many {name} requests are answered within which time?",
        reading=(
            f"One curve a step, named by its load ({onset.unit}): read up from a time to the share that was answered "
            "within it. A curve that ends below 100 % says that the rest took at least T."
        ),
        panels=[Panel("curves", spec, says, f"against {wording.percent(onset.p0)}:", key)],
        table=_table(curves, f"achieved, {onset.unit}"),
    )


def request_curves(summary: Summary) -> Figure | None:
    """The same for every request of the run; one of them can be picked."""
    ordered = sorted(summary.requests.items(), key=lambda item: (item[0] != summary.onset.request, -item[1].count))
    curves = [
        _Curve(wording.one_line(name, 40), "request", request.curve)
        for name, request in ordered
        if request.curve and request.count >= _FEWEST
    ][:_MOST_REQUESTS]
    if len(curves) < 2:
        return None
    # the request under test comes first and is blue, as everywhere
    curves = [curve._replace(group=f"request {number}") for number, curve in enumerate(curves)]
    colours = {curve.group: _COLOURS[number % len(_COLOURS)] for number, curve in enumerate(curves)}
    dashes = {curve.group: [1, 0] if number < len(_COLOURS) else [5, 3] for number, curve in enumerate(curves)}
    spec = _spec(curves, [], colours, dashes)
    return Figure(
        key="requests",
        title="How long did each kind of request take?",
        reading=(
            "All attempts of the whole run, one curve a request: read up from a time to the share that was answered "
            "within it. Pick one to tell it from the others."
        ),
        panels=[Panel("requests", spec, "Share answered within a time, by request.")],
        table=_table(curves, "request"),
        picks=tuple(curve.name for curve in curves),
    )


def _spec(
    curves: Sequence[_Curve], limits_ms: Sequence[float], colours: dict[str, str], dashes: dict[str, list[int]]
) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    names: list[dict[str, Any]] = []
    spaced = max(1, math.ceil(len(curves) / _MOST_NAMES))
    for number, curve in enumerate(curves):
        for ms, share in curve.points:
            said = f"{wording.percent(share)} within {wording.duration(ms)}"
            rows.append(
                {
                    "ms": max(ms, 1e-3),
                    "share": 100 * share,
                    "curve": curve.name,
                    "group": curve.group,
                    "at": number,
                    "says": said,
                }
            )
        if number % spaced == 0 or number == len(curves) - 1:
            # one above the other, so that names of neighbouring curves do not cover each other
            wanted = 0.2 + 0.6 * number / max(1, len(curves) - 1)
            ms, share = min(curve.points, key=lambda point: abs(point[1] - wanted))
            names.append({"ms": max(ms, 1e-3), "share": 100 * share, "curve": curve.name})
    low = min(row["ms"] for row in rows) / 1.3
    high = max([row["ms"] for row in rows] + [*limits_ms, 1.0]) * 1.3
    for row in names:
        # beside the curve, and inside the chart
        room = 1 - math.log(row["ms"] / low) / math.log(high / low)
        row["side"] = "left" if room > _NAME_ROOM else "right"
    x = alt.X(
        "ms:Q",
        title="latency (log scale)",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(values=few(round_steps(low, high)), labelExpr=LATENCY_LABELS),
    )
    y = alt.Y("share:Q", title="answered, % of attempts", scale=alt.Scale(domain=[0, 100]), axis=alt.Axis(tickCount=5))
    data = alt.InlineData(values=rows)
    shown = alt.ExprRef("picked == '' || datum.curve == picked ? 1 : 0.12")
    colour = alt.Color("group:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None)
    dash = alt.StrokeDash("group:N", scale=alt.Scale(domain=list(dashes), range=list(dashes.values())), legend=None)
    base = alt.Chart(data).encode(x=x, y=y)
    layers: list[Any] = [
        # one layer a curve: the opacity of a line mark is told once for all of its lines
        *(
            alt.Chart(alt.InlineData(values=[row for row in rows if row["at"] == number]))
            .mark_line(strokeWidth=1.8, opacity=_opacity(curve.name))
            .encode(x=x, y=y, color=colour, strokeDash=dash)
            for number, curve in enumerate(curves)
        ),
        base.mark_point(size=90, filled=True, opacity=0).encode(
            tooltip=[alt.Tooltip("curve:N", title="of"), alt.Tooltip("says:N", title="answered")]
        ),
    ]
    for side, dx in (("left", 5), ("right", -5)):
        beside = [row for row in names if row["side"] == side]
        if beside:
            words = alt.Chart(alt.InlineData(values=beside)).encode(x=x, y=y, text="curve:N")
            layers += named(words, align=side, baseline="middle", dx=dx, fontSize=11, opacity=shown, limit=160)
    for limit in limits_ms:
        line = alt.Chart(alt.InlineData(values=[{"ms": limit}])).encode(x=x)
        layers.append(line.mark_rule(strokeDash=[5, 4], color=INK, strokeWidth=1))
        layers.append(
            line.mark_text(align="right", baseline="top", dx=-4, dy=4, color=INK, text="T").encode(y=alt.value(0))
        )
    spec = drawn(layers)
    spec["params"] = [{"name": "picked", "value": ""}]
    return spec


def _opacity(name: str) -> Any:
    # a name from outside inside an expression: as JSON it is a literal and nothing else
    return alt.ExprRef(f"picked == '' || picked == {wording.literal(name)} ? 1 : 0.12")


def _table(curves: Sequence[_Curve], head: str) -> tables.Table:
    rows = []
    for curve in curves:
        cells = [curve.name]
        for share in _SHARES:
            reached = [ms for ms, answered in curve.points if answered >= share - 1e-9]
            cells.append(wording.duration(reached[0]) if reached else wording.UNKNOWN)
        rows.append(cells)
    return tables.Table([head, *(wording.percent(share) + " within" for share in _SHARES)], rows, frozenset({0}))
