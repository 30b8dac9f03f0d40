"""Charts of a comparison: every state over the same load, in its own colour and shape, the base grey."""

from __future__ import annotations

from typing import Any

import altair as alt

from janusload import wording
from janusload.comparison import Comparison, Side
from janusload.report import tables
from janusload.report.charts.figure import INK, MUTED, SERIES, Figure, Panel, drawn
from janusload.report.charts.load_axis import latency_axis, load_axis, rate_y, tolerated
from janusload.summary import Step

_COLOURS = (MUTED, SERIES, "var(--late)", "var(--server)", "var(--error)", "var(--timeout)")
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
_ROW = 34


def compared(comparison: Comparison) -> list[Figure]:
    """Every chart that has data."""
    sides = [comparison.base, *(each.side for each in comparison.new)]
    made = [_onsets(sides), _rates(sides), _latencies(sides)]
    return [figure for figure in made if figure is not None]


def _onsets(sides: list[Side]) -> Figure | None:
    """One row a run: its bracket as a bar, an arrow where an end is open."""
    rows: list[dict[str, Any]] = []
    for number, side in enumerate(sides):
        for onset in side.onsets:
            low, high = onset.load_bracket or (None, None)
            if low is not None or high is not None:
                rows.append({"side": number, "low": low, "high": high, "load": onset.load, "name": side.label})
    if not rows:
        return None
    onset = sides[0].onsets[0]
    known = [row[key] for row in rows for key in ("low", "high") if row[key] is not None]
    axis = load_axis(onset, known)
    first, last = axis.domain
    bars, arrows, points, names = [], [], [], []
    for at, row in enumerate(rows):
        y = at + 0.62
        low, high = row["low"], row["high"]
        begin, end = (first if low is None else low), (last if high is None else high)
        bars.append({"from": begin, "to": end, "y": y, "side": row["side"]})
        if high is None:
            arrows.append({"load": end, "y": y, "side": row["side"], "angle": 90})
        if low is None:
            arrows.append({"load": begin, "y": y, "side": row["side"], "angle": 270})
        if row["load"] is not None:
            points.append({"load": row["load"], "y": y, "side": row["side"]})
        names.append({"y": at + 0.42, "name": wording.one_line(str(row["name"]), 60)})
    y_scale = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[len(rows), 0], nice=False))
    colour = _colour(len(sides))
    layers: list[Any] = [
        alt.Chart(alt.InlineData(values=bars))
        .mark_rule(strokeWidth=6, strokeCap="round", opacity=0.75)
        .encode(x=axis.x("from"), x2="to:Q", y=y_scale, color=colour),
        alt.Chart(alt.InlineData(values=names))
        .mark_text(align="left", baseline="bottom", color=INK, limit=320)
        .encode(x=alt.value(0), y=y_scale, text="name:N"),
    ]
    if points:
        layers.append(
            alt.Chart(alt.InlineData(values=points))
            .mark_tick(thickness=3, size=16, color=INK)
            .encode(x=axis.x(), y=y_scale)
        )
    if arrows:
        layers.append(
            alt.Chart(alt.InlineData(values=arrows))
            .mark_point(shape="triangle", size=130, filled=True, opacity=1)
            .encode(x=axis.x(), y=y_scale, color=colour, angle=alt.Angle("angle:Q", scale=None))
        )
    name = wording.one_line(wording.request(onset.request))
    table = tables.Table(
        ["state", "credibly good up to", "credibly bad from", "onset"],
        [
            [
                str(row["name"]),
                *(wording.UNKNOWN if row[k] is None else wording.number(row[k]) for k in ("low", "high", "load")),
            ]
            for row in rows
        ],
        frozenset({0}),
    )
    return Figure(
        key="onsets",
        title=f"At which load does {name} begin timing out?",
        reading=(
            "Each bar reaches from the highest load that is credibly good to the lowest that is credibly bad; an arrow "
            "means: nothing is known beyond."
        ),
        panels=[
            Panel(
                "onsets",
                drawn(layers, _ROW * len(rows) + 8),
                "Brackets of the onset.",
            )
        ],
        table=table,
    )


def _rates(sides: list[Side]) -> Figure | None:
    onset = sides[0].onsets[0]
    rows: list[dict[str, Any]] = [
        {
            "load": step.achieved,
            "rate": 100 * step.rate.value,
            "side": number,
            "says": f"{side.label}: {tables.timed_out(step)}",
        }
        for number, side in enumerate(sides)
        for step in side.steps
        if step.rate.attempts
    ]
    if not rows:
        return None
    axis = load_axis(onset, [row["load"] for row in rows])
    layers = [*tolerated(onset.p0), *_lines(rows, sides, axis.x(), rate_y("rate"))]
    return Figure(
        key="rate",
        title="How many requests time out at the same load?",
        reading=f"Each mark is one step of load; over the dashed line ({wording.percent(onset.p0)}) is too many.",
        panels=[Panel("rate", drawn(layers), "Timeout rate against load.", "colours", _key(sides))],
        table=_table(sides, "timed out", lambda step: wording.percent(step.rate.value)),
    )


def _latencies(sides: list[Side]) -> Figure | None:
    onset = sides[0].onsets[0]
    rows: list[dict[str, Any]] = [
        {
            "load": step.achieved,
            "ms": p95.value,
            "side": number,
            "arrow": p95.at_least,
            "says": f"{side.label}: p95 {wording.quantile(p95)} at {wording.number(step.achieved)}",
        }
        for number, side in enumerate(sides)
        for step in side.steps
        if (p95 := step.latency_ms.p95) is not None and p95.value > 0
    ]
    if not rows:
        return None
    axis = load_axis(onset, [row["load"] for row in rows])
    latencies = latency_axis([row["ms"] for row in rows], onset.timeout_s)
    layers = [*latencies.timeout(onset.timeout_s), *_lines(rows, sides, axis.x(), latencies.y())]
    return Figure(
        key="latency",
        title="How long do requests take at the same load?",
        reading="p95: 95 of 100 requests were answered faster. A mark on the dashed line means: at least so long.",
        panels=[Panel("latency", drawn(layers), "p95 latency against load.", "colours", _key(sides))],
        table=_table(sides, "p95", lambda step: wording.quantile(step.latency_ms.p95)),
    )


def _lines(rows: list[dict[str, Any]], sides: list[Side], x: Any, y: Any) -> list[Any]:
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y, color=_colour(len(sides)))
    shapes = alt.Scale(domain=list(range(len(sides))), range=[_SHAPES[i % len(_SHAPES)] for i in range(len(sides))])
    return [
        base.mark_line(strokeWidth=2, opacity=0.7),
        base.mark_point(size=70, filled=True, opacity=1).encode(
            shape=alt.Shape("side:N", scale=shapes, legend=None), tooltip=[alt.Tooltip("says:N", title="step")]
        ),
    ]


def _colour(count: int) -> Any:
    scale = alt.Scale(domain=list(range(count)), range=[_COLOURS[i % len(_COLOURS)] for i in range(count)])
    return alt.Color("side:N", scale=scale, legend=None)


def _key(sides: list[Side]) -> tuple[tuple[str, str], ...]:
    return tuple((_COLOURS[i % len(_COLOURS)], wording.one_line(side.label, 60)) for i, side in enumerate(sides))


def _table(sides: list[Side], what: str, cell: Any) -> tables.Table:
    def said(step: Step) -> str:
        return str(cell(step))

    rows = [[side.label, wording.number(step.achieved), said(step)] for side in sides for step in side.steps]
    return tables.Table(["state", f"achieved, {sides[0].onsets[0].unit}", what], rows, frozenset({0}))
