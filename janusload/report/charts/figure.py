"""What a chart is made of, and the look that all charts share.

Colours are CSS variables of the page (page/report.css): SVG takes them as they are, so that light, dark and print need
no second drawing. The palette is Okabe and Ito's, safe for the colour-blind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt

from janusload.report.tables import Table

HEIGHT = 260

INK = "var(--ink)"
MUTED = "var(--muted)"
PAPER = "var(--paper)"
SERIES = "var(--series)"
TIMEOUT = "var(--timeout)"
BAND = "var(--band)"

#: the same outcome has the same colour everywhere
OUTCOME_COLOURS = {
    "ok": "var(--ok)",
    "late": "var(--late)",
    "api_timeout": TIMEOUT,
    "api_error": "var(--error)",
    "lost_connection": "var(--lost)",
    "connect_failed": "var(--unconnected)",
    "dropped": "var(--dropped)",
    "cut": "var(--cut)",
}

#: what axes say of latencies in milliseconds
LATENCY_LABELS = "datum.value >= 1000 ? datum.value / 1000 + ' s' : datum.value + ' ms'"

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"

_CONFIG: dict[str, Any] = {
    "background": None,
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "domainColor": "var(--axis)",
        "gridColor": "var(--grid)",
        "labelColor": MUTED,
        "labelFontSize": 12,
        "tickColor": "var(--axis)",
        "tickSize": 4,
        "titleColor": MUTED,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    # a title that is longer than a phone is wide would push the page to the side
    "axisX": {"grid": False, "titlePadding": 8, "titleLimit": 250},
    # the title of a y axis lies flat above it: nobody reads with a tilted head
    "axisY": {
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
        "titleAngle": 0,
        "titleAlign": "left",
        "titleAnchor": "end",
        "titleBaseline": "bottom",
        "titlePadding": 0,
        "titleY": -10,
        "titleLimit": 300,
    },
    "text": {"color": INK, "fontSize": 12},
}


class Panel(NamedTuple):
    """One drawing of a figure.

    Attributes:
        name: unique on the page, used as an HTML id.
        spec: Vega-Lite.
        says: what it shows, for those who cannot see it.
        caption: its axis in words, where the drawing itself has no title for it.
        key: (colour, word) of the colours in it.
    """

    name: str
    spec: dict[str, Any]
    says: str
    caption: str = ""
    key: tuple[tuple[str, str], ...] = ()


class Figure(NamedTuple):
    """A chart or several on one axis.

    Attributes:
        key: stable name, used as an HTML id.
        title: a finding or a question.
        reading: one sentence on how to read it.
        notes: what it comes to, in sentences; may be empty.
        events: (moment, words) of the numbers in the first panel of a timeline.
        picks: names of curves of which one can be picked (the drawing has a signal `picked`).
        bin_s: seconds between rows of the table, where all panels share one time axis; else None.
    """

    key: str
    title: str
    reading: str
    panels: list[Panel]
    table: Table
    notes: tuple[str, ...] = ()
    events: tuple[tuple[str, str], ...] = ()
    picks: tuple[str, ...] = ()
    bin_s: float | None = None


def drawn(layers: Sequence[Any], height: int = HEIGHT) -> dict[str, Any]:
    """Altair's layers, the undermost first, as a specification of our look."""
    chart = alt.layer(*layers).properties(width="container", height=height)
    # altair checks each part against its schema many times over: a second of CPU a report, for what the tests check
    spec: dict[str, Any] = chart.to_dict(validate=False)
    spec["config"] = _CONFIG
    spec.pop("$schema", None)  # an address, and the page holds none
    return spec


def named(chart: Any, **mark: Any) -> list[Any]:
    """Text that stays readable over lines: its outline in the colour of the paper, and the text itself."""
    return [
        chart.mark_text(**mark, color=PAPER, stroke=PAPER, strokeWidth=4, strokeJoin="round"),
        chart.mark_text(**mark, color=INK),
    ]


def load_domain(loads: list[float]) -> tuple[tuple[float, float], bool]:
    """Ends of an axis of loads with some air, and whether it needs a log scale."""
    low, high = min(loads), max(loads)
    if low > 0 and high / low > 40:
        return (low / 1.25, high * 1.25), True
    air = 0.06 * (high - low) or 0.1 * high or 1.0
    return (max(0.0, low - air), high + air), False


def round_steps(low: float, high: float) -> list[float]:
    """Round values from `low` to `high` for a log axis: 1, 2, 5, 10, or whole decades where there are many."""
    values: list[float] = []
    decade = 1e-3
    while decade <= high:
        values += [v for v in (decade, 2 * decade, 5 * decade) if low <= v <= high]
        decade *= 10
    if len(values) > 7:
        decades = [v for v in values if f"{v:e}".startswith("1.0")]
        return decades if len(decades) > 1 else values
    return values


def few(values: list[float]) -> list[float]:
    """At most five labels for a low strip: whole decades where they suffice."""
    decades = [value for value in values if f"{value:e}".startswith("1.0")]
    return decades if len(values) > 5 and len(decades) > 1 else values
