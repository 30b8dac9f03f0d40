"""The one time axis of all strips: what they share, so that they lie over each other and zoom together.

A strip is a Vega-Lite drawing with two signals, `t0` and `t1`: the part of the run that is shown. The page's script
sets them in all strips at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from janusload import wording
from janusload.report import tables
from janusload.report.charts.figure import MUTED, TIMEOUT, drawn
from janusload.summary import Timeline

#: of more events than that only the first are shown
MAX_EVENTS = 40
#: how the words of a marker begin where something got stuck
STALL = "stall"
# beyond that nobody reads it, and the page would grow past its 2 MB
_MAX_TABLE_ROWS = 700
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
LONG_S = 900
# room for the labels of the y axes, the same in every panel so that the time axes lie over each other
_AXIS_EXTENT = 54


def strip(line: Timeline, layers: list[Any], height: int) -> dict[str, Any]:
    """A strip: its layers over the marks of the events, on the shared time axis (signals `t0` and `t1`)."""
    spec = drawn([*_marks(line), *layers], height)
    end = line.t_s[-1] + line.bin_s
    spec["params"] = [
        {"name": "t0", "value": line.t_s[0]},
        {"name": "t1", "value": end},
        {"name": "dt", "expr": _TICK_EVERY_S},
    ]
    spec["padding"] = {"left": 0, "right": 12, "top": 4, "bottom": 2}
    return spec


def time_axis(field: str = "t") -> Any:
    axis = alt.Axis(labels=False, ticks=False, title=None, grid=False, values=alt.ExprRef(_TICKS))
    scale = alt.Scale(domainMin=alt.ExprRef("t0"), domainMax=alt.ExprRef("t1"), nice=False, zero=False)
    return alt.X(f"{field}:Q", axis=axis, scale=scale, title=None)


def value_axis(field: str, scale: Any = alt.Undefined, **axis: Any) -> Any:
    shown = alt.Axis(title=None, minExtent=_AXIS_EXTENT, maxExtent=_AXIS_EXTENT, **({"tickCount": 3} | axis))
    return alt.Y(f"{field}:Q", axis=shown, scale=scale, title=None)


def show_time(spec: dict[str, Any], long: bool) -> None:
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
    """A rule at every event; where something got stuck it is heavier and has the colour of timeouts."""
    shown = line.markers[:MAX_EVENTS]
    layers = []
    for stalls, look in (
        (False, {"color": MUTED, "strokeDash": [2, 3], "opacity": 0.6}),
        (True, {"color": TIMEOUT, "strokeWidth": 2}),
    ):
        rows = [{"t": t} for t, words in shown if words.startswith(STALL) is stalls]
        if rows:
            layers.append(alt.Chart(alt.InlineData(values=rows)).mark_rule(clip=True, **look).encode(x=time_axis()))
    return layers


def no_axis() -> Any:
    return alt.Axis(
        title=None, labels=False, grid=False, domain=False, minExtent=_AXIS_EXTENT, maxExtent=_AXIS_EXTENT, values=[]
    )


def series(line: Timeline, values: Sequence[float | None]) -> Any:
    """Values at their bins, as points at the bin's beginning and, for the last, at its end."""
    shown = [None if v is None else float(f"{v:.4g}") for v in values]
    # what lies between two equals draws nothing of its own, and costs its bytes
    kept = [at for at, v in enumerate(shown) if at in (0, len(shown) - 1) or not (shown[at - 1] == v == shown[at + 1])]
    rows: list[dict[str, float | None]] = [{"t": short(line.t_s[at]), "value": shown[at]} for at in kept]
    rows.append({"t": short(line.t_s[-1] + line.bin_s), "value": shown[-1]})
    return alt.Chart(alt.InlineData(values=rows))


def short(value: float) -> float:
    """Six digits that matter: more cannot be seen, and each costs a byte in every bin."""
    return float(f"{value:.6g}")


def stepped(line: Timeline, values: Sequence[float | None], colour: str) -> list[Any]:
    base = series(line, values).encode(x=time_axis(), y=value_axis("value"))
    return [
        base.mark_area(interpolate="step-after", color=colour, opacity=0.15, clip=True),
        base.mark_line(interpolate="step-after", color=colour, strokeWidth=1.5, clip=True),
    ]


def table_of(
    line: Timeline, columns: Sequence[tuple[str, list[str]]], words: frozenset[int] = frozenset()
) -> tables.Table:
    """Strips in numbers, a row a bin; also what the page reads out under the pointer. Empty where it would be too long.

    Args:
        columns: head and cells of each, without the time.
        words: which columns (the time is 0) hold words.
    """
    if len(line.t_s) > _MAX_TABLE_ROWS:
        return tables.Table([], [])
    every = [("time, s", [wording.number(t) for t in line.t_s]), *columns]
    rows = [list(row) for row in zip(*(cells for _, cells in every), strict=True)]
    return tables.Table([head for head, _ in every], rows, words)


def known(value: float | None) -> str:
    return wording.UNKNOWN if value is None else wording.number(value)
