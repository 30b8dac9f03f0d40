"""How does it feel before it breaks: latency quantiles by step, arrows where only a lower bound is known."""

from __future__ import annotations

import math
from typing import Any

import altair as alt

from janusload.report import tables, wording
from janusload.report.charts.figure import (
    BAND,
    INK,
    LATENCY_LABELS,
    SERIES,
    Figure,
    Panel,
    drawn,
    load_domain,
    round_steps,
)
from janusload.report.charts.rate import HEIGHT, bracket_ends
from janusload.summary import Onset, Quantile, Summary

_QUANTILES = ("p50", "p95", "p99")
_WIDTHS = {"p50": 1.5, "p95": 3.0, "p99": 1.5}
_DASHES: dict[str, list[int]] = {"p50": [1, 0], "p95": [1, 0], "p99": [4, 3]}


def latency(summary: Summary) -> Figure | None:
    """The figure, or None without a single quantile."""
    onset = summary.onset
    rows = [
        {
            "load": step.achieved,
            "quantile": name,
            "ms": value.value,
            "bound": "at least" if value.at_least else "exact",
            "says": f"{name} {wording.quantile(value)} at {wording.number(step.achieved)}",
        }
        for step in summary.steps
        for name, value in _of(step.latency_ms)
        if value.value > 0
    ]
    if not rows:
        return None
    name = wording.one_line(wording.request(onset.request))
    arrows = any(row["bound"] == "at least" for row in rows)
    return Figure(
        key="latency",
        title=_finding(summary),
        reading=(
            f"Latency of {name} from the moment each request was due, by step: half of the requests were faster than "
            "p50, 95 of 100 faster than p95."
            + (" An arrow means: at least so long, for too many of them never got an answer in time." if arrows else "")
        ),
        panels=[Panel("latency", _spec(onset, rows), "Latency quantiles against load.")],
        table=tables.latencies(summary),
        notes=_at_onset(onset),
    )


def _of(values: Any) -> list[tuple[str, Quantile]]:
    pairs = ((name, getattr(values, name)) for name in _QUANTILES)
    return [(name, value) for name, value in pairs if value is not None]


def _finding(summary: Summary) -> str:
    name = wording.request(summary.onset.request)
    counted = [step for step in summary.steps if step.counted and step.latency_ms.p95 is not None]
    if len(counted) < 2:
        return f"How long does {name} take?"
    first, last = counted[0], counted[-1]
    unit = wording.load_unit(summary.onset)
    begin, end = (wording.quantile(step.latency_ms.p95).replace("≥", "at least") for step in (first, last))
    return (
        f"p95 of {name} goes from {begin} at {wording.number(first.achieved)} "
        f"to {end} at {wording.number(last.achieved)} {unit}"
    )


def _at_onset(onset: Onset) -> tuple[str, ...]:
    """What the latency is where the timeouts begin."""
    if onset.latency_ms is None:
        return ()
    said = []
    for name, value in _of(onset.latency_ms):
        words = f"{name} {wording.quantile(value)}"
        if value.ci95 is not None:
            words += f" (95 % interval {wording.duration(value.ci95[0])} to {wording.duration(value.ci95[1])})"
        said.append(words)
    load = f", near {wording.number(onset.load)} {wording.load_unit(onset)}" if onset.load is not None else ""
    return (f"At the onset{load}: {', '.join(said)}.",) if said else ()


def _spec(onset: Onset, rows: list[dict[str, Any]]) -> dict[str, Any]:
    domain, log = load_domain([row["load"] for row in rows])
    timeout_ms = onset.timeout_s * 1000
    low = min(row["ms"] for row in rows) / 1.5
    high = max(timeout_ms * 1.6, max(row["ms"] for row in rows) * 1.3)
    unit = wording.one_line(wording.load_unit(onset), 40)
    x_title = f"load achieved, {unit}" + (" (log scale)" if log else "")
    x = alt.X(
        "load:Q",
        title=x_title,
        scale=alt.Scale(domain=domain, type="log" if log else "linear", nice=False, zero=False),
        axis=alt.Axis(tickCount=8),
    )
    y = alt.Y(
        "ms:Q",
        title="latency (log scale)",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(values=round_steps(low, high), labelExpr=LATENCY_LABELS),
    )
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y)
    says = alt.Tooltip("says:N", title="latency")
    layers = [
        *_band(onset, domain, x_title),
        *_timeout(timeout_ms, onset.timeout_s, y),
        *(
            base.mark_line(color=SERIES, strokeWidth=_WIDTHS[name], strokeDash=_DASHES[name]).transform_filter(
                alt.datum.quantile == name
            )
            for name in _QUANTILES
        ),
        base.mark_point(size=30, filled=True, color=SERIES, opacity=1)
        .encode(tooltip=[says])
        .transform_filter("datum.bound == 'exact'"),
        # T lies at the foot of the arrow: the value is somewhere above
        base.mark_point(size=80, filled=True, color=SERIES, opacity=1, shape="triangle-up", yOffset=-7)
        .encode(tooltip=[says])
        .transform_filter("datum.bound == 'at least'"),
        *_names(rows, math.log(high / low), x, y),
    ]
    return drawn(alt.layer(*layers).properties(width="container", height=HEIGHT))


def _names(rows: list[dict[str, Any]], axis_log: float, x: Any, y: Any) -> list[Any]:
    """The name of each curve at its first point, kept apart where curves begin close together."""
    first_load = min(row["load"] for row in rows)
    starts = sorted(((row["ms"], row["quantile"]) for row in rows if row["load"] == first_load), reverse=True)
    layers: list[Any] = []
    lowest = -math.inf
    for ms, name in starts:
        # pixels below the top, on the log axis
        wanted = -math.log(ms) / axis_log * HEIGHT
        placed = max(wanted, lowest + 13)
        lowest = placed
        point = alt.Chart(alt.InlineData(values=[{"load": first_load, "ms": ms}]))
        weight = "bold" if name == "p95" else "normal"
        layers.append(
            point.mark_text(
                align="left", baseline="bottom", dx=-4, dy=placed - wanted - 4, color=INK, fontWeight=weight, text=name
            ).encode(x=x, y=y)
        )
    return layers


def _timeout(timeout_ms: float, timeout_s: float, y: Any) -> list[Any]:
    line = alt.Chart(alt.InlineData(values=[{"ms": timeout_ms}]))
    words = f"timeout T = {wording.seconds(timeout_s)}"
    return [
        line.mark_rule(strokeDash=[5, 4], color=INK, strokeWidth=1).encode(y=y),
        line.mark_text(align="left", baseline="bottom", dx=4, dy=-3, color=INK, text=words).encode(y=y, x=alt.value(0)),
    ]


def _band(onset: Onset, domain: tuple[float, float], x_title: str) -> list[Any]:
    ends = bracket_ends(onset, domain)
    if ends is None:
        return []
    band = alt.Chart(alt.InlineData(values=[{"from": ends[0], "to": ends[1]}]))
    return [band.mark_rect(color=BAND).encode(x=alt.X("from:Q", title=x_title), x2="to:Q")]
