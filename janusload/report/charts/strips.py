"""Strips on the run's time axis beside the timeline: what people heard, the recordings, the generator's health."""

from __future__ import annotations

from typing import Any, NamedTuple

import altair as alt

from janusload import wording
from janusload.report.charts.figure import INK, SERIES, Figure, Panel
from janusload.report.charts.time_axis import LONG_S, known, show_time, stepped, strip, table_of, value_axis
from janusload.report.first_screen import trust
from janusload.summary import Summary, Timeline

_HEIGHT = 56
_PEOPLE = "var(--people)"


def heard(summary: Summary) -> Figure | None:
    """Loss, jitter, MOS and mouth-to-ear delay over time."""
    media = summary.media
    said = []
    if media is not None:
        said += [f"MOS {wording.number(media.mos)}"] if media.mos is not None else []
        said += [f"{wording.percent(media.loss)} of packets lost"] if media.loss is not None else []
    return _figure(
        summary,
        "heard",
        f"What did people hear? {', '.join(said)}" if said else "What did people hear?",
        "What participants received, over the time of the run; where a strip is empty nothing was to be received.",
        [
            _Strip("loss", "packet loss, %", _PEOPLE, 100.0),
            _Strip("not_heard", "talkers who should have been heard and were not, %", _PEOPLE, 100.0),
            _Strip("jitter_ms", "jitter, ms: 95 % of the peers kept to it", _PEOPLE),
            _Strip("mos", "mean opinion score (1 to 4.5): 95 % of the peers reached it", _PEOPLE, area=False),
            _Strip("mouth_to_ear_ms", "mouth to ear, ms: 95 % kept to it", _PEOPLE),
        ],
    )


def recordings(summary: Summary) -> Figure | None:
    """How much is recorded, and how much of it lies in the page cache."""
    found = summary.recordings
    title = "How fast did the recordings grow, and did they fill the page cache?"
    if found is not None:
        bad = sum(found.states.values()) - found.whole
        whole = f"{bad:,} of them not whole" if bad else "all of them whole"
        title = f"Recorded: {wording.number(found.size_mb)} MB in {found.files:,} files, {whole}"
    return _figure(
        summary,
        "recordings",
        title,
        "Size of all recordings, and how much of them the kernel keeps in memory, where it counts against a limit.",
        [
            _Strip("recordings_mb", "recordings, MB", "var(--server)"),
            _Strip("recordings_cached_mb", "of that in the page cache, MB", "var(--server)"),
        ],
    )


def generator(summary: Summary) -> Figure | None:
    """Whether the generator kept up, over time."""
    lag_ms = max(10.0, 10.0 * summary.onset.timeout_s)
    return _figure(
        summary,
        "generator",
        trust(summary),
        "Each second's worst process of the generator; above a dashed line a step does not count.",
        [
            _Strip("generator_cpu_percent", "CPU, % of a core", SERIES, limit=90.0),
            _Strip("generator_lag_ms", "event loop woke too late, p99, ms", SERIES, limit=lag_ms),
            _Strip("schedule_lag_ms", "requests left too late, p99, ms", SERIES, limit=lag_ms),
            _Strip("pacing_ms", "audio packets left too late, p99 of each second, ms", SERIES),
        ],
    )


class _Strip(NamedTuple):
    """One strip: which series, how it is called, and the limit that is drawn in."""

    name: str
    caption: str
    colour: str
    scale: float = 1.0
    limit: float | None = None
    area: bool = True

    def values(self, line: Timeline) -> list[float | None] | None:
        found = line.strips.get(self.name)
        return None if found is None else [None if v is None else self.scale * v for v in found]

    def panel(self, line: Timeline, values: list[float | None]) -> Panel:
        layers: list[Any] = stepped(line, values, self.colour)
        if not self.area:
            layers = layers[1:]
        if self.limit is not None:
            rule = alt.Chart(alt.InlineData(values=[{"value": self.limit}]))
            layers.append(rule.mark_rule(strokeDash=[5, 4], color=INK, strokeWidth=1).encode(y=value_axis("value")))
        return Panel(self.name, strip(line, layers, _HEIGHT), f"{self.caption}, over time.", self.caption)


def _figure(summary: Summary, key: str, title: str, reading: str, wanted: list[_Strip]) -> Figure | None:
    line = summary.timeline
    if line is None or not line.t_s:
        return None
    found = [(each, values) for each in wanted if (values := each.values(line)) is not None]
    if not found:
        return None
    panels = [each.panel(line, values) for each, values in found]
    show_time(panels[-1].spec, line.t_s[-1] > LONG_S)
    columns = [(each.caption.split(":")[0], [known(v) for v in values]) for each, values in found]
    return Figure(key=key, title=title, reading=reading, panels=panels, table=table_of(line, columns), bin_s=line.bin_s)
