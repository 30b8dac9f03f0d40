"""What happened when: load, latency, outcomes, server and ladder, all on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import altair as alt

from janusload.report import tables, wording
from janusload.report.charts.figure import (
    INK,
    LATENCY_LABELS,
    MUTED,
    OUTCOME_COLOURS,
    PAPER,
    SERIES,
    TIMEOUT,
    Figure,
    Panel,
    drawn,
    round_steps,
)
from janusload.report.first_screen import failure_in_time
from janusload.summary import Summary, Timeline

_HEIGHT = 78
_RUNG_HEIGHT = 24
_MAX_EVENTS = 40
# a clock's round values, for whatever part of the run is shown
_TICK_EVERY_S = (
    "t1 - t0 > 86400 ? 21600 : t1 - t0 > 28800 ? 7200 : t1 - t0 > 14400 ? 3600 : t1 - t0 > 7200 ? 1800 : "
    "t1 - t0 > 3600 ? 600 : t1 - t0 > 1200 ? 300 : t1 - t0 > 600 ? 120 : t1 - t0 > 300 ? 60 : t1 - t0 > 100 ? 20 : "
    "t1 - t0 > 40 ? 10 : t1 - t0 > 20 ? 5 : t1 - t0 > 8 ? 2 : 1"
)
_TICKS = "sequence(ceil(t0 / dt) * dt, t1 + dt / 1000, dt)"
_CLOCK = (
    "floor(datum.value / 3600) + ':' + format(floor(datum.value % 3600 / 60), '02') + ':' "
    "+ format(datum.value % 60, '02')"
)
# a run longer than this is told in hours, minutes and seconds
_LONG_S = 900
# beyond that nobody reads it, and the page would grow past its 2 MB
_MAX_TABLE_ROWS = 1500
# room for the labels of the y axes, the same in every panel so that the time axes lie over each other
_AXIS_EXTENT = 54


def timeline(summary: Summary) -> Figure | None:
    """The figure, or None without a timeline."""
    line = summary.timeline
    if line is None or not line.t_s:
        return None
    panels = [
        _events(line),
        _load(line, wording.one_line(wording.load_unit(summary.onset), 40)),
        _participants(line),
        _latency(line, summary.onset.timeout_s),
        _outcomes(line),
        _server(line, "cpu", "Janus CPU, % of a core", line.server_cpu_percent),
        _server(line, "memory", "Janus memory (RSS), MB", line.server_rss_mb),
        _rungs(line),
    ]
    drawings = [panel for panel in panels if panel is not None]
    if not drawings:
        return None
    long = line.t_s[-1] > _LONG_S
    _show_axis(drawings[-1].spec, long)
    name = wording.one_line(wording.request(summary.onset.request))
    return Figure(
        key="timeline",
        title=failure_in_time(summary) or "What happened when?",
        reading=(
            f"One time axis for all strips, from the start of the run; latency and outcomes are those of {name}, "
            "placed at the moment each request was due."
        ),
        panels=drawings,
        table=_table(line),
        events=tuple(
            (wording.span(t) if long else f"{wording.number(t)} s", words) for t, words in line.markers[:_MAX_EVENTS]
        ),
        bin_s=line.bin_s,
    )


def _spec(line: Timeline, layers: list[Any], height: int) -> dict[str, Any]:
    """A strip: its layers over the marks of the events, on the shared time axis (signals `t0` and `t1`)."""
    spec = drawn(alt.layer(*_marks(line), *layers).properties(width="container", height=height))
    end = line.t_s[-1] + line.bin_s
    spec["params"] = [
        {"name": "t0", "value": line.t_s[0]},
        {"name": "t1", "value": end},
        {"name": "dt", "expr": _TICK_EVERY_S},
    ]
    spec["padding"] = {"left": 0, "right": 12, "top": 4, "bottom": 2}
    return spec


def _x(field: str = "t") -> Any:
    axis = alt.Axis(labels=False, ticks=False, title=None, grid=False, values=alt.ExprRef(_TICKS))
    scale = alt.Scale(domainMin=alt.ExprRef("t0"), domainMax=alt.ExprRef("t1"), nice=False, zero=False)
    return alt.X(f"{field}:Q", axis=axis, scale=scale, title=None)


def _y(field: str, scale: Any = alt.Undefined, **axis: Any) -> Any:
    shown = alt.Axis(title=None, minExtent=_AXIS_EXTENT, maxExtent=_AXIS_EXTENT, **({"tickCount": 3} | axis))
    return alt.Y(f"{field}:Q", axis=shown, scale=scale, title=None)


def _show_axis(spec: dict[str, Any], long: bool) -> None:
    """Only the lowest strip says what the time is; the others share its axis."""
    shown = {
        "labels": True,
        "ticks": True,
        "title": f"time since the start of the run, {'h:min:s' if long else 's'}",
        "labelFlush": True,
        "labelOverlap": "greedy",
        "labelSeparation": 10,
    }
    if long:
        shown["labelExpr"] = _CLOCK
    for layer in spec["layer"]:
        axis = layer.get("encoding", {}).get("x", {}).get("axis")
        if axis is not None:
            axis.update(shown)
            layer["encoding"]["x"].pop("title", None)


def _marks(line: Timeline) -> list[Any]:
    if not line.markers:
        return []
    data = alt.InlineData(values=[{"t": t} for t, _ in line.markers[:_MAX_EVENTS]])
    return [alt.Chart(data).mark_rule(color=MUTED, strokeDash=[2, 3], opacity=0.6, clip=True).encode(x=_x())]


def _events(line: Timeline) -> Panel | None:
    """Numbers of the events; those close together stand on rows of their own."""
    if not line.markers:
        return None
    length = max(line.t_s[-1] + line.bin_s - line.t_s[0], 1e-9)
    last_in_row: list[float] = []
    rows = []
    for number, (t, _) in enumerate(line.markers[:_MAX_EVENTS], 1):
        row = next((i for i, last in enumerate(last_in_row) if (t - last) / length > 0.045), len(last_in_row))
        row = min(row, 3)
        last_in_row[row : row + 1] = [t]
        rows.append({"t": t, "row": row, "number": str(number)})
    height = 20 * len(last_in_row)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=_x(), y=alt.Y("row:Q", axis=_no_axis(), scale=alt.Scale(domain=[len(last_in_row) - 0.5, -0.5], nice=False))
    )
    # not clipped, or the circle of an event at the very start would be cut in half; and not filtered, for a strip
    # without any row loses its axis
    inside = alt.ExprRef("datum.t >= t0 && datum.t <= t1 ? 1 : 0")
    circle = {"shape": "circle", "size": 230, "filled": True, "color": PAPER, "stroke": MUTED, "strokeWidth": 1}
    layers = [
        base.mark_point(**circle, opacity=inside),
        base.mark_text(color=INK, fontSize=11, baseline="middle", opacity=inside).encode(text="number:N"),
    ]
    return Panel("events", _spec(line, layers, height), "Numbers of the events listed below.", "events")


def _no_axis() -> Any:
    return alt.Axis(
        title=None, labels=False, grid=False, domain=False, minExtent=_AXIS_EXTENT, maxExtent=_AXIS_EXTENT, values=[]
    )


def _series(line: Timeline, values: Sequence[float | None]) -> Any:
    """Values at their bins, as points at the bin's beginning and, for the last, at its end."""
    known = [None if v is None else _short(v) for v in values]
    rows = [{"t": t, "value": v} for t, v in zip(map(_short, line.t_s), known, strict=True)]
    rows.append({"t": _short(line.t_s[-1] + line.bin_s), "value": known[-1]})
    return alt.Chart(alt.InlineData(values=rows))


def _short(value: float) -> float:
    """Six digits that matter: more cannot be seen, and each costs a byte in every bin."""
    return float(f"{value:.6g}")


def _stepped(line: Timeline, values: Sequence[float | None], colour: str) -> list[Any]:
    base = _series(line, values).encode(x=_x(), y=_y("value"))
    return [
        base.mark_area(interpolate="step-after", color=colour, opacity=0.15, clip=True),
        base.mark_line(interpolate="step-after", color=colour, strokeWidth=1.5, clip=True),
    ]


def _load(line: Timeline, unit: str) -> Panel | None:
    if not any(line.offered_per_s):
        return None
    spec = _spec(line, _stepped(line, line.offered_per_s, SERIES), _HEIGHT)
    return Panel("load", spec, "Offered load over time.", f"offered load, {unit}")


def _participants(line: Timeline) -> Panel | None:
    if not any(line.participants):
        return None
    spec = _spec(line, _stepped(line, line.participants, "var(--people)"), _HEIGHT // 2)
    return Panel("participants", spec, "Participants with audio over time.", "participants with audio")


def _server(line: Timeline, name: str, caption: str, values: list[float | None] | None) -> Panel | None:
    if values is None or all(value is None for value in values):
        return None
    return Panel(name, _spec(line, _stepped(line, values, "var(--server)"), _HEIGHT), f"{caption}, over time.", caption)


def _latency(line: Timeline, timeout_s: float) -> Panel | None:
    known = [value for values in (line.p50_ms, line.p95_ms) for value in values if value]
    if not known:
        return None
    low, high = min(known) / 1.3, max(*known, timeout_s * 1000) * 1.4
    y = _y(
        "value",
        alt.Scale(type="log", domain=[low, high], nice=False),
        values=_few(round_steps(low, high)),
        labelExpr=LATENCY_LABELS,
    )
    layers = []
    for values, width in ((line.p50_ms, 1.2), (line.p95_ms, 2.6)):
        # a log axis has no zero
        base = _series(line, [value or None for value in values]).encode(x=_x(), y=y)
        layers.append(base.mark_line(color=SERIES, strokeWidth=width, clip=True))
    limit = alt.Chart(alt.InlineData(values=[{"value": timeout_s * 1000}]))
    layers.append(limit.mark_rule(strokeDash=[5, 4], color=INK, strokeWidth=1).encode(y=y))
    caption = f"latency, log scale: p95 thick, p50 thin, dashed T = {wording.seconds(timeout_s)}"
    return Panel("latencies", _spec(line, layers, _HEIGHT + 30), "Latency over time.", caption)


def _few(values: list[float]) -> list[float]:
    """At most five labels for a low strip: whole decades where they suffice."""
    decades = [value for value in values if f"{value:e}".startswith("1.0")]
    return decades if len(values) > 5 and len(decades) > 1 else values


def _outcomes(line: Timeline) -> Panel | None:
    """Outcomes stacked, the good ones at the bottom."""
    known = {name: counts for name, counts in line.outcomes.items() if any(counts)}
    if not known:
        return None
    names = [name for name, _ in wording.in_order({name: sum(counts) for name, counts in known.items()})]
    rows = []
    for i, t in enumerate(line.t_s):
        foot = 0.0
        for name in names:
            if known[name][i]:
                top = foot + known[name][i] / line.bin_s
                rows.append({"t": _short(t), "foot": _short(foot), "top": _short(top), "is": names.index(name)})
                foot = top
    colours = [OUTCOME_COLOURS.get(name, MUTED) for name in names]
    bars = (
        alt.Chart(alt.InlineData(values=rows))
        .transform_calculate(end=f"datum.t + {line.bin_s!r}")
        .mark_rect(clip=True)
        .encode(
            x=_x(),
            x2="end:Q",
            y=_y("foot"),
            y2="top:Q",
            color=alt.Color("is:N", scale=alt.Scale(domain=list(range(len(names))), range=colours), legend=None),
        )
    )
    key = tuple((colour, wording.outcome(name)) for colour, name in zip(colours, names, strict=True))
    spec = _spec(line, [bars], _HEIGHT + 30)
    return Panel("outcomes", spec, "Attempts per second by outcome over time.", "attempts per second by outcome", key)


def _rungs(line: Timeline) -> Panel | None:
    """The ladder as a strip a rung: thin where it answered, thick where it did not."""
    rungs = [(name, answers) for name, answers in line.rungs.items() if any(a is not None for a in answers)]
    if not rungs:
        return None
    rows, names = [], []
    for row, (name, answers) in enumerate(rungs):
        names.append({"t": line.t_s[0], "y": row + 0.54, "name": wording.one_line(name.replace("_", " "), 40)})
        index = 0
        for answered, group in groupby(answers):
            begin, index = index, index + len(list(group))
            if answered is None:
                continue
            foot, top = (row + 0.72, row + 0.84) if answered else (row + 0.58, row + 0.98)
            end = line.t_s[index - 1] + line.bin_s
            rows.append({"t": line.t_s[begin], "end": end, "foot": foot, "top": top, "silent": not answered})
    y_scale = alt.Scale(domain=[len(rungs), 0], nice=False)
    bars = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_rect(clip=True)
        .encode(
            x=_x(),
            x2="end:Q",
            y=alt.Y("foot:Q", axis=_no_axis(), scale=y_scale),
            y2="top:Q",
            color=alt.Color(
                "silent:N", scale=alt.Scale(domain=[False, True], range=["var(--ok)", TIMEOUT]), legend=None
            ),
        )
    )
    words = (
        alt.Chart(alt.InlineData(values=names))
        .mark_text(align="left", baseline="bottom", dx=2, color=INK, fontSize=11, limit=230)
        .encode(x=alt.value(0), y=alt.Y("y:Q", axis=_no_axis(), scale=y_scale), text="name:N")
    )
    spec = _spec(line, [bars, words], _RUNG_HEIGHT * len(rungs))
    caption = "stall ladder, from the outside in: which question was answered"
    return Panel("rungs", spec, "Which rungs answered over time.", caption, (("var(--ok)", "yes"), (TIMEOUT, "no")))


def _table(line: Timeline) -> tables.Table:
    """The strips in numbers; also what the page reads out under the pointer."""
    if len(line.t_s) > _MAX_TABLE_ROWS:
        return tables.Table([], [])
    columns: list[tuple[str, list[str]]] = [
        ("time, s", [wording.number(t) for t in line.t_s]),
        ("offered per s", [_known(v) for v in line.offered_per_s]),
        ("participants", [_known(v) for v in line.participants]),
        ("p50", [wording.UNKNOWN if v is None else wording.duration(v) for v in line.p50_ms]),
        ("p95", [wording.UNKNOWN if v is None else wording.duration(v) for v in line.p95_ms]),
    ]
    totals = wording.in_order({name: sum(counts) for name, counts in line.outcomes.items()})
    columns += [(wording.outcome(name), [f"{count:,}" for count in line.outcomes[name]]) for name, _ in totals]
    if line.server_cpu_percent is not None:
        columns.append(("Janus CPU, %", [_known(v) for v in line.server_cpu_percent]))
    if line.server_rss_mb is not None:
        columns.append(("Janus RSS, MB", [_known(v) for v in line.server_rss_mb]))
    if line.rungs:
        silent = [
            ", ".join(name.replace("_", " ") for name, answers in line.rungs.items() if answers[i] is False) or "none"
            for i in range(len(line.t_s))
        ]
        columns.append(("rungs without an answer", silent))
    rows = [list(row) for row in zip(*(cells for _, cells in columns), strict=True)]
    return tables.Table([head for head, _ in columns], rows, frozenset({len(columns) - 1} if line.rungs else ()))


def _known(value: float | None) -> str:
    return wording.UNKNOWN if value is None else wording.number(value)
