"""Is load the cause: timeouts against how slow the server had been just before, whatever the load was."""

from __future__ import annotations

from typing import Any

import altair as alt

from janusload import wording
from janusload.report import tables
from janusload.report.charts.figure import SERIES, Figure, Panel, drawn, load_domain
from janusload.report.charts.load_axis import LoadAxis, bracket, rate_y, tolerated
from janusload.summary import Onset, OnsetStatus, Summary


def prevailing(summary: Summary) -> Figure | None:
    """The figure, or None without bins."""
    onset = summary.onset_by_latency
    if onset is None or len(summary.latency_bins) < 2:
        return None
    name = wording.one_line(wording.request(onset.request))
    rows = [
        {
            "load": each.ping_ms,
            "rate": 100 * each.rate.value,
            "lower": 100 * each.rate.lower,
            "upper": 100 * each.rate.upper,
            "says": f"{each.rate.timeouts:,} of {each.rate.attempts:,} timed out",
            "ping": wording.duration(each.ping_ms),
        }
        for each in summary.latency_bins
    ]
    return Figure(
        key="prevailing",
        title=_finding(summary.onset, onset, name),
        reading=(
            f"The same {name} requests as beside it, not by load but by how long the ladder's ping had taken in the "
            "ten seconds before each of them (p95, in bins of equal count)."
        ),
        panels=[Panel("prevailing", _spec(onset, rows), "Timeout rate against the latency of ping before it.")],
        table=tables.Table(
            ["ping before, p95", "attempts", "timeouts", "rate", "lower bound", "upper bound"],
            [
                [
                    wording.duration(each.ping_ms),
                    f"{each.rate.attempts:,}",
                    f"{each.rate.timeouts:,}",
                    *(wording.percent(v) for v in (each.rate.value, each.rate.lower, each.rate.upper)),
                ]
                for each in summary.latency_bins
            ],
        ),
        notes=(_agreement(summary.onset, onset, name),),
    )


def _finding(by_load: Onset, onset: Onset, name: str) -> str:
    low, high = onset.load_bracket or (None, None)
    if low is not None and high is not None:
        return f"{name} begins timing out when ping takes {wording.duration(low)} to {wording.duration(high)}"
    if onset.status is OnsetStatus.FROM_START:
        return f"{name} times out however quick the ping before it was"
    if high is not None:
        return f"{name} times out when ping takes {wording.duration(high)}"
    if by_load.load_bracket is not None and by_load.load_bracket[1] is not None:
        return f"{name} timed out, but not after slow pings"
    return f"No slow moments in which {name} timed out"


def _agreement(by_load: Onset, onset: Onset, name: str) -> str:
    if onset.status is OnsetStatus.FROM_START:
        return f"What made {name} time out did not make ping slow: after the quickest pings it timed out as well."
    found = [each.load_bracket is not None and each.load_bracket[1] is not None for each in (by_load, onset)]
    if all(found):
        return "Along both axes there is an onset: the load made the server slow, and then requests timed out."
    if found[0]:
        return f"Along the load there is an onset and here there is none: ping stayed quick while {name} timed out."
    if found[1]:
        return "Along the load there is no onset and here there is one: slow moments that did not come from this load."
    return "Along neither axis there is an onset."


def _spec(onset: Onset, rows: list[dict[str, Any]]) -> dict[str, Any]:
    domain, log = load_domain([row["load"] for row in rows])
    axis = LoadAxis(domain, log, "p95 of ping just before, ms" + (" (log scale)" if log else ""))
    tooltip = [alt.Tooltip("ping:N", title="after pings of"), alt.Tooltip("says:N", title="requests")]
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=axis.x())
    layers = [
        *bracket(onset, axis, "onset"),
        *tolerated(onset.p0),
        base.mark_line(color=SERIES, strokeWidth=1.5, opacity=0.5).encode(y=rate_y("rate")),
        base.mark_rule(strokeWidth=2, color=SERIES).encode(y=rate_y("lower"), y2="upper:Q", tooltip=tooltip),
        base.mark_point(size=60, filled=True, color=SERIES, opacity=1).encode(y=rate_y("rate"), tooltip=tooltip),
    ]
    return drawn(layers)
