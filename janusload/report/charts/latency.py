"""How does it feel before it breaks: latency quantiles by step, arrows where only a lower bound is known."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import altair as alt

from janusload import wording
from janusload.report import tables
from janusload.report.charts.figure import SERIES, Figure, Panel, drawn, named
from janusload.report.charts.load_axis import LatencyAxis, LoadAxis, bracket, latency_axis, load_axis
from janusload.summary import Onset, Quantile, Step, Summary

_QUANTILES = ("p50", "p95", "p99")
_WIDTHS = {"p50": 1.5, "p95": 3.0, "p99": 1.5}
_DASHES: dict[str, list[int]] = {"p50": [1, 0], "p95": [1, 0], "p99": [4, 3]}


def latency(summary: Summary) -> Figure | None:
    """The figure, or None without quantiles at different loads."""
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
    if len({row["load"] for row in rows}) < 2:
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
    unit = summary.onset.unit
    said = [f"{_p95(step)} at {wording.number(step.achieved)}" for step in _telling(summary.onset, counted)]
    said[1] += f" {unit}"
    return f"p95 of {name} goes from {said[0]} to {', and to '.join(said[1:])}"


def _p95(step: Step) -> str:
    return wording.quantile(step.latency_ms.p95).replace("≥", "at least")


def _telling(onset: Onset, counted: list[Step]) -> list[Step]:
    """The lowest load, and both ends of the bracket or else the highest load."""
    ends = [
        step
        for end in onset.load_bracket or ()
        for step in counted
        if end is not None and math.isclose(step.achieved, end, rel_tol=1e-3)
    ]
    if len(ends) != 2:
        return [counted[0], counted[-1]]
    return ends if ends[0] is counted[0] else [counted[0], *ends]


def _at_onset(onset: Onset) -> tuple[str, ...]:
    """What the latency is where the timeouts begin."""
    if onset.latency_ms is None:
        return ()
    said = []
    for name, value in _of(onset.latency_ms):
        interval = ""
        if value.ci95 is not None:
            low, high = (wording.duration(end, 2) for end in value.ci95)
            # where the curve does not come down to the quantile the upper end is T, and the truth may lie above it
            high = f"at least {high}" if value.at_least and value.ci95[1] >= 1000 * onset.timeout_s else high
            interval = f"95 % interval {low} to {high}"
        if value.at_least and interval:
            said.append(f"{name} not known exactly ({interval})")
        else:
            said.append(f"{name} {wording.quantile(value)}" + (f" ({interval})" if interval else ""))
    load = f", near {wording.number(onset.load)} {onset.unit}" if onset.load is not None else ""
    return (f"At the onset{load}: {', '.join(said)}.",) if said else ()


def _spec(onset: Onset, rows: list[dict[str, Any]]) -> dict[str, Any]:
    loads = load_axis(onset, [row["load"] for row in rows])
    latencies = latency_axis([row["ms"] for row in rows], onset.timeout_s)
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=loads.x(), y=latencies.y())
    says = alt.Tooltip("says:N", title="latency")
    layers = [
        *bracket(onset, loads),
        *latencies.timeout(onset.timeout_s),
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
        *_names(rows, loads, latencies),
    ]
    return drawn(layers)


def _names(rows: list[dict[str, Any]], loads: LoadAxis, latencies: LatencyAxis) -> list[Any]:
    """The name of each curve, at the step at which the curves lie furthest apart."""
    steps: dict[float, dict[str, float]] = {}
    for row in rows:
        if row["bound"] == "exact":
            steps.setdefault(row["load"], {})[row["quantile"]] = row["ms"]
    if not steps:
        return []

    def apart(load: float) -> tuple[int, float]:
        logs = sorted(math.log(ms) for ms in steps[load].values())
        return len(logs), min((b - a for a, b in pairwise(logs)), default=0.0)

    load = max(steps, key=apart)
    first = load == min(steps)
    layers: list[Any] = []
    for name, ms in steps[load].items():
        point = alt.Chart(alt.InlineData(values=[{"load": load, "ms": ms}])).encode(x=loads.x(), y=latencies.y())
        mark = {"align": "left" if first else "right", "dx": 5 if first else -5, "dy": -5, "baseline": "bottom"}
        layers += named(point, **mark, fontWeight="bold" if name == "p95" else "normal", text=name)
    return layers
