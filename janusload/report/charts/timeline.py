"""What happened when: load, latency, outcomes, server and ladder, all on one time axis."""

from __future__ import annotations

from itertools import groupby

import altair as alt

from janusload import wording
from janusload.report import tables
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
    few,
    round_steps,
)
from janusload.report.charts.time_axis import (
    LONG_S,
    MAX_EVENTS,
    known,
    no_axis,
    series,
    short,
    show_time,
    stepped,
    strip,
    table_of,
    time_axis,
    value_axis,
)
from janusload.report.first_screen import failure_in_time
from janusload.summary import Summary, Timeline

_HEIGHT = 78
_RUNG_HEIGHT = 24


def timeline(summary: Summary) -> Figure | None:
    """The figure, or None without a timeline."""
    line = summary.timeline
    if line is None or not line.t_s:
        return None
    panels = [
        _events(line),
        _load(line, wording.one_line(summary.onset.unit, 40)),
        _participants(line),
        _latency(line, summary.onset.timeout_s),
        _outcomes(line),
        _server(line, "cpu", "Janus CPU, % of a core", line.server_cpu_percent),
        _server(line, "memory", "Janus memory (RSS), MB", line.server_rss_mb),
        _log(line),
        _rungs(line),
    ]
    drawings = [panel for panel in panels if panel is not None]
    if not drawings:
        return None
    long = line.t_s[-1] > LONG_S
    show_time(drawings[-1].spec, long)
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
            (wording.span(t) if long else f"{wording.number(round(t, 1))} s", words)
            for t, words in line.markers[:MAX_EVENTS]
        ),
        bin_s=line.bin_s,
    )


def _events(line: Timeline) -> Panel | None:
    """Numbers of the events; those close together stand on rows of their own."""
    if not line.markers:
        return None
    length = max(line.t_s[-1] + line.bin_s - line.t_s[0], 1e-9)
    last_in_row: list[float] = []
    rows = []
    for number, (t, _) in enumerate(line.markers[:MAX_EVENTS], 1):
        row = next((i for i, last in enumerate(last_in_row) if (t - last) / length > 0.045), len(last_in_row))
        row = min(row, 3)
        last_in_row[row : row + 1] = [t]
        rows.append({"t": t, "row": row, "number": str(number)})
    height = 20 * len(last_in_row)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=time_axis(),
        y=alt.Y("row:Q", axis=no_axis(), scale=alt.Scale(domain=[len(last_in_row) - 0.5, -0.5], nice=False)),
    )
    # not clipped, or the circle of an event at the very start would be cut in half; and not filtered, for a strip
    # without any row loses its axis
    inside = alt.ExprRef("datum.t >= t0 && datum.t <= t1 ? 1 : 0")
    circle = {"shape": "circle", "size": 230, "filled": True, "color": PAPER, "stroke": MUTED, "strokeWidth": 1}
    layers = [
        base.mark_point(**circle, opacity=inside),
        base.mark_text(color=INK, fontSize=11, baseline="middle", opacity=inside).encode(text="number:N"),
    ]
    return Panel("events", strip(line, layers, height), "Numbers of the events listed below.", "events")


def _load(line: Timeline, unit: str) -> Panel | None:
    if not any(line.offered_per_s):
        return None
    spec = strip(line, stepped(line, line.offered_per_s, SERIES), _HEIGHT)
    return Panel("load", spec, "Offered load over time.", f"offered load, {unit}")


def _participants(line: Timeline) -> Panel | None:
    if not any(line.participants):
        return None
    spec = strip(line, stepped(line, line.participants, "var(--people)"), _HEIGHT // 2)
    return Panel("participants", spec, "Participants with audio over time.", "participants with audio")


def _server(line: Timeline, name: str, caption: str, values: list[float | None] | None) -> Panel | None:
    if values is None or all(value is None for value in values):
        return None
    return Panel(name, strip(line, stepped(line, values, "var(--server)"), _HEIGHT), f"{caption}, over time.", caption)


def _latency(line: Timeline, timeout_s: float) -> Panel | None:
    values_ms = [value for values in (line.p50_ms, line.p95_ms) for value in values if value]
    if not values_ms:
        return None
    low, high = min(values_ms) / 1.3, max(*values_ms, timeout_s * 1000) * 1.4
    y = value_axis(
        "value",
        alt.Scale(type="log", domain=[low, high], nice=False),
        values=few(round_steps(low, high)),
        labelExpr=LATENCY_LABELS,
    )
    layers = []
    for values, width in ((line.p50_ms, 1.2), (line.p95_ms, 2.6)):
        # a log axis has no zero
        base = series(line, [value or None for value in values]).encode(x=time_axis(), y=y)
        layers.append(base.mark_line(color=SERIES, strokeWidth=width, clip=True))
    limit = alt.Chart(alt.InlineData(values=[{"value": timeout_s * 1000}]))
    layers.append(limit.mark_rule(strokeDash=[5, 4], color=INK, strokeWidth=1).encode(y=y))
    caption = f"latency, log scale: p95 thick, p50 thin, dashed T = {wording.seconds(timeout_s)}"
    return Panel("latencies", strip(line, layers, _HEIGHT + 30), "Latency over time.", caption)


def _outcomes(line: Timeline) -> Panel | None:
    """Outcomes stacked, the good ones at the bottom."""
    happened = {name: counts for name, counts in line.outcomes.items() if any(counts)}
    if not happened:
        return None
    names = [name for name, _ in wording.in_order({name: sum(counts) for name, counts in happened.items()})]
    rows = []
    for i, t in enumerate(line.t_s):
        foot = 0.0
        for name in names:
            if happened[name][i]:
                top = foot + happened[name][i] / line.bin_s
                rows.append({"t": short(t), "foot": short(foot), "top": short(top), "is": names.index(name)})
                foot = top
    colours = [OUTCOME_COLOURS.get(name, MUTED) for name in names]
    bars = (
        alt.Chart(alt.InlineData(values=rows))
        .transform_calculate(end=f"datum.t + {line.bin_s!r}")
        .mark_rect(clip=True)
        .encode(
            x=time_axis(),
            x2="end:Q",
            y=value_axis("foot"),
            y2="top:Q",
            color=alt.Color("is:N", scale=alt.Scale(domain=list(range(len(names))), range=colours), legend=None),
        )
    )
    key = tuple((colour, wording.outcome(name)) for colour, name in zip(colours, names, strict=True))
    spec = strip(line, [bars], _HEIGHT + 30)
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
            x=time_axis(),
            x2="end:Q",
            y=alt.Y("foot:Q", axis=no_axis(), scale=y_scale),
            y2="top:Q",
            color=alt.Color(
                "silent:N", scale=alt.Scale(domain=[False, True], range=["var(--ok)", TIMEOUT]), legend=None
            ),
        )
    )
    words = (
        alt.Chart(alt.InlineData(values=names))
        .mark_text(align="left", baseline="bottom", dx=2, color=INK, fontSize=11, limit=230)
        .encode(x=alt.value(0), y=alt.Y("y:Q", axis=no_axis(), scale=y_scale), text="name:N")
    )
    spec = strip(line, [bars, words], _RUNG_HEIGHT * len(rungs))
    caption = "stall ladder, from the outside in: which question was answered"
    return Panel("rungs", spec, "Which rungs answered over time.", caption, (("var(--ok)", "yes"), (TIMEOUT, "no")))


def _log(line: Timeline) -> Panel | None:
    """What the server logged, a row a category; the more lines a second, the taller."""
    if not line.log:
        return None
    rows, names = [], []
    for row, (name, counts) in enumerate(line.log.items()):
        most = max(counts)
        said = f"{name.replace('_', ' ')} ({sum(counts):,} lines)"
        names.append({"y": row + 0.5, "name": wording.one_line(said, 60)})
        for t, count in zip(line.t_s, counts, strict=True):
            if count:
                tall = 0.12 + 0.3 * count / most
                rows.append({"t": short(t), "end": short(t + line.bin_s), "foot": row + 0.96, "top": row + 0.96 - tall})
    y_scale = alt.Scale(domain=[len(line.log), 0], nice=False)
    bars = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_rect(clip=True, color="var(--error)")
        .encode(x=time_axis(), x2="end:Q", y=alt.Y("foot:Q", axis=no_axis(), scale=y_scale), y2="top:Q")
    )
    words = (
        alt.Chart(alt.InlineData(values=names))
        .mark_text(align="left", baseline="bottom", dx=2, color=INK, fontSize=11, limit=300)
        .encode(x=alt.value(0), y=alt.Y("y:Q", axis=no_axis(), scale=y_scale), text="name:N")
    )
    spec = strip(line, [bars, words], _RUNG_HEIGHT * len(line.log) + 4)
    return Panel("log", spec, "Lines that the server logged over time, by category.", "Janus log, lines by category")


def _table(line: Timeline) -> tables.Table:
    """The strips in numbers."""
    columns: list[tuple[str, list[str]]] = [
        ("offered per s", [known(v) for v in line.offered_per_s]),
        ("participants", [known(v) for v in line.participants]),
        ("p50", [wording.UNKNOWN if v is None else wording.duration(v) for v in line.p50_ms]),
        ("p95", [wording.UNKNOWN if v is None else wording.duration(v) for v in line.p95_ms]),
    ]
    totals = wording.in_order({name: sum(counts) for name, counts in line.outcomes.items()})
    columns += [(wording.outcome(name), [f"{count:,}" for count in line.outcomes[name]]) for name, _ in totals]
    if line.server_cpu_percent is not None:
        columns.append(("Janus CPU, %", [known(v) for v in line.server_cpu_percent]))
    if line.server_rss_mb is not None:
        columns.append(("Janus RSS, MB", [known(v) for v in line.server_rss_mb]))
    columns += [(f"log: {name.replace('_', ' ')}", [f"{n:,}" for n in counts]) for name, counts in line.log.items()]
    if line.rungs:
        silent = [
            ", ".join(name.replace("_", " ") for name, answers in line.rungs.items() if answers[i] is False) or "none"
            for i in range(len(line.t_s))
        ]
        columns.append(("rungs without an answer", silent))
    return table_of(line, columns, frozenset({len(columns)} if line.rungs else ()))
