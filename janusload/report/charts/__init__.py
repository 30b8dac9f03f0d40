"""Charts of a run as Vega-Lite specifications, each with its finding, how to read it, and the table behind it."""

from __future__ import annotations

import altair as alt

from janusload.report.charts.curves import request_curves, step_curves
from janusload.report.charts.figure import Figure
from janusload.report.charts.latency import latency
from janusload.report.charts.prevailing import prevailing
from janusload.report.charts.rate import rate
from janusload.report.charts.strips import generator, heard, recordings
from janusload.report.charts.sweep import sweep
from janusload.report.charts.timeline import timeline
from janusload.summary import Summary

__all__ = ["Figure", "figures"]


def figures(summary: Summary) -> list[Figure]:
    """Every chart that has data, in the order in which one asks."""
    # one load that was held says nothing of an onset, and nobody asked
    loads = {round(step.achieved, 6) for step in summary.steps if step.rate.attempts}
    over_load = (rate, prevailing, latency, step_curves, sweep) if summary.run.climbs or len(loads) > 1 else ()
    # every part would be checked against altair's schema as it is made, too
    with alt.utils.schemapi.debug_mode(False):
        made = [
            *(chart(summary) for chart in over_load),
            request_curves(summary),
            timeline(summary),
            heard(summary),
            recordings(summary),
            generator(summary),
        ]
    return [figure for figure in made if figure is not None]
