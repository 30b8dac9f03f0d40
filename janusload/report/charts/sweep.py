"""Which timeout should my client have: where the same run would have begun timing out with a shorter T."""

from __future__ import annotations

from typing import Any

import altair as alt

from janusload import wording
from janusload.report import tables
from janusload.report.charts.figure import (
    INK,
    LATENCY_LABELS,
    SERIES,
    TIMEOUT,
    Figure,
    Panel,
    drawn,
    few,
    load_domain,
    round_steps,
)
from janusload.summary import Summary, VirtualTimeout

_SAME = 0.05


def sweep(summary: Summary) -> Figure | None:
    """The figure, or None where less than two timeouts have an end of a bracket, or there was but one load."""
    known = [each for each in summary.sweep if each.load_bracket and any(end is not None for end in each.load_bracket)]
    if len(known) < 2 or len({step.achieved for step in summary.steps if step.counted}) < 2:
        return None
    unit = wording.one_line(summary.onset.unit, 40)
    return Figure(
        key="sweep",
        title=_finding(summary, known),
        reading=(
            "The same run judged with shorter timeouts: each bar reaches from the highest load that is credibly good "
            "to the lowest that is credibly bad with that timeout; an arrow means that nothing is known beyond."
        ),
        panels=[Panel("sweep", _spec(known, unit), "Load of the onset against the client's timeout.")],
        table=_table(summary, unit),
    )


def _finding(summary: Summary, known: list[VirtualTimeout]) -> str:
    name, last = wording.one_line(wording.request(summary.onset.request)), known[-1]
    if last.load is not None:
        alike = [t for t in known if t.load is not None and abs(t.load - last.load) <= _SAME * last.load]
        if alike and alike[0].timeout_s < 0.9 * last.timeout_s:
            until = wording.duration(1000 * alike[0].timeout_s)
            return f"Waiting longer than {until} gains next to nothing: {name} begins timing out at the same load"
        first = next((t for t in known if t.load is not None and t.timeout_s < last.timeout_s), None)
        if first is not None and first.load is not None:
            return (
                f"With a timeout of {wording.duration(1000 * first.timeout_s)} {name} would begin timing out near "
                f"{wording.number(first.load)} {summary.onset.unit}, with {wording.seconds(last.timeout_s)} near "
                f"{wording.number(last.load)}"
            )
    return "Which timeout should my client have?"


def _spec(known: list[VirtualTimeout], unit: str) -> dict[str, Any]:
    ends = [end for each in known for end in each.load_bracket or () if end is not None]
    (low, high), log = load_domain(ends)
    bars, points, arrows = [], [], []
    for each in known:
        good, bad = each.load_bracket or (None, None)
        ms, said = 1000 * each.timeout_s, _said(each)
        bars.append(
            {"ms": ms, "low": low if good is None else good, "high": high if bad is None else bad, "says": said}
        )
        if bad is None:
            arrows.append({"ms": ms, "load": high, "up": True})
        if good is None:
            arrows.append({"ms": ms, "load": low, "up": False})
        if each.load is not None:
            points.append({"ms": ms, "load": each.load, "says": said})
    first, last = bars[0]["ms"] / 1.25, bars[-1]["ms"] * 1.25  # type: ignore[operator]
    x = alt.X(
        "ms:Q",
        title="timeout of the client (log scale)",
        scale=alt.Scale(type="log", domain=[first, last], nice=False),
        axis=alt.Axis(values=few(round_steps(first, last)), labelExpr=LATENCY_LABELS),
    )

    def y(field: str) -> Any:
        kind = {"type": "log"} if log else {"type": "linear", "zero": False}
        scale = alt.Scale(domain=[low, high], nice=False, **kind)
        return alt.Y(f"{field}:Q", title=f"load of the onset, {unit}", scale=scale, axis=alt.Axis(tickCount=6))

    tooltip = [alt.Tooltip("says:N", title="onset")]
    layers: list[Any] = [
        alt.Chart(alt.InlineData(values=bars))
        .mark_rule(strokeWidth=5, opacity=0.35, color=SERIES)
        .encode(x=x, y=y("low"), y2="high:Q", tooltip=tooltip)
    ]
    if points:
        base = alt.Chart(alt.InlineData(values=points)).encode(x=x, y=y("load"))
        layers.append(base.mark_line(color=SERIES, strokeWidth=1.5, opacity=0.7))
        layers.append(base.mark_point(size=55, filled=True, color=SERIES, opacity=1).encode(tooltip=tooltip))
    if arrows:
        base = alt.Chart(alt.InlineData(values=arrows)).encode(x=x, y=y("load"))
        for up, shape, colour in ((True, "triangle-up", SERIES), (False, "triangle-down", TIMEOUT)):
            layers.append(
                base.mark_point(size=80, filled=True, color=colour, opacity=1, shape=shape).transform_filter(
                    f"datum.up == {str(up).lower()}"
                )
            )
    mark = alt.Chart(alt.InlineData(values=[{"ms": bars[-1]["ms"]}])).encode(x=x)
    layers.append(
        mark.mark_text(align="right", baseline="bottom", dx=8, dy=-8, color=INK, text="T of the run").encode(
            y=alt.value(0)
        )
    )
    return drawn(layers)


def _said(each: VirtualTimeout) -> str:
    good, bad = each.load_bracket or (None, None)
    low, high = (wording.UNKNOWN if end is None else wording.number(end) for end in (good, bad))
    return f"T = {wording.duration(1000 * each.timeout_s)}: {low} to {high}"


def _table(summary: Summary, unit: str) -> tables.Table:
    rows = []
    for each in summary.sweep:
        good, bad = each.load_bracket or (None, None)
        loads = [wording.UNKNOWN if v is None else wording.number(v) for v in (good, bad, each.load)]
        rows.append(
            [
                wording.duration(1000 * each.timeout_s),
                *loads,
                wording.quantile(each.latency_ms),
                str(each.status).replace("_", " "),
            ]
        )
    quantile = f"p{wording.number(summary.onset.quantile * 100)} there"
    heads = ["timeout", f"good up to, {unit}", "bad from", "onset", quantile, "status"]
    return tables.Table(heads, rows, frozenset({5}))
