"""summary.md: the first screen for a chat or a pull request, at most 25 lines, verdict first."""

from __future__ import annotations

import re

from janusload import wording
from janusload.report import tables
from janusload.report.first_screen import first_screen
from janusload.summary import Summary

MAX_LINES = 25
_MAX_LIMITS = 6
_MAX_STEPS = 7

# enough to keep text inside its line plain: links and images need the brackets
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")


def render(summary: Summary) -> str:
    screen = first_screen(summary)
    lines = [f"**{screen.verdict}** · {plain(screen.headline)}", ""]
    if screen.reason:
        lines += [f"Inconclusive because: {plain(screen.reason)}", ""]
    for limit in screen.limits[:_MAX_LIMITS]:
        lines.append(f"- {limit.sign} {limit.word}: {plain(limit.name)} {plain(limit.limit)}, was {plain(limit.value)}")
    if len(screen.limits) > _MAX_LIMITS:
        lines.append(f"- … and {len(screen.limits) - _MAX_LIMITS} more limits in report.html")
    if screen.limits:
        lines.append("")
    if screen.failure:
        lines += [plain(screen.failure), ""]
    lines += [" · ".join(plain(fact) for fact in screen.context), ""]
    if summary.steps:
        lines += _steps(summary, MAX_LINES - len(lines) - 2)
    lines.append(" · ".join(plain(fact) for fact in [screen.name, *screen.facts]))
    return "\n".join(lines) + "\n"


def _steps(summary: Summary, room: int) -> list[str]:
    shown = tables.nearest(summary.steps, summary.onset.load_bracket, min(_MAX_STEPS, max(1, room - 3)))
    lines = [
        f"| {plain(summary.onset.unit)} | timeouts | p50 | p95 | p99 |",
        "|---:|---:|---:|---:|---:|",
    ]
    latencies = tables.latencies(summary).rows
    for step in shown:
        load, *values = latencies[summary.steps.index(step)]
        lines.append(f"| {load} | {wording.percent(step.rate.value)} | {' | '.join(values)} |")
    return [*lines, ""]


def plain(text: str) -> str:
    """Text from outside as plain words: no markup, no HTML, one line."""
    escaped = _SPECIAL.sub(r"\\\1", wording.one_line(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
