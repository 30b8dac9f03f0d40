"""The end-of-run screen for the terminal: same words and order as the page, at most one screen.

A renderable only; `cli` prints it. Where the console is no terminal it becomes plain lines that no width breaks.
"""

from __future__ import annotations

from pathlib import Path

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from janusload import wording
from janusload.report import tables
from janusload.report.first_screen import FirstScreen, first_screen
from janusload.summary import Summary, Verdict

_STYLES = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.INCONCLUSIVE: "yellow"}
_LIMIT_STYLES = {"passed": "green", "failed": "bold red", "inconclusive": "yellow"}
_ASCII = str.maketrans(
    {"≥": ">=", "–": "-", "·": "|", "✓": "+", "✗": "x", "…": "...", "×": "x", "\N{REPLACEMENT CHARACTER}": "?"}
)
_MAX_LIMITS = 5
# what a person reads before the prompt returns: head of the table, last line, prompt
_LINES_AROUND_TABLE = 4
_LONGEST = 320


class EndScreen:
    """What a run came to, as a rich renderable; print it with `console.print(screen, crop=False)`.

    Args:
        summary: the run.
        folder: where its report lies; its path is the last line. None leaves it out.
    """

    def __init__(self, summary: Summary, folder: Path | None = None) -> None:
        self.summary = summary
        self.folder = folder

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        screen = first_screen(self.summary)
        if not console.is_terminal:
            for line in self._plain_lines(screen):
                text = line if options.encoding.startswith("utf") else _ascii(line)
                yield Text(text, no_wrap=True, overflow="ignore", end="\n")
            return
        top = Group(*self._top(screen))
        yield top
        room = options.size.height - len(console.render_lines(top, options)) - _LINES_AROUND_TABLE
        if self.summary.steps and room >= 2:
            yield self._steps(room)
        if self.folder is not None:
            yield Text.assemble("report  ", (str(self.folder / "report.html"), "underline"), overflow="fold")

    def _plain_lines(self, screen: FirstScreen) -> list[str]:
        lines = [" · ".join([f"janusload {screen.name}", *screen.facts]), screen.verdict, screen.headline]
        if screen.reason:
            lines.append(f"inconclusive because: {screen.reason}")
        lines += [f"{limit.word}: {limit.name} {limit.limit}, was {limit.value}" for limit in screen.limits]
        if screen.failure:
            lines.append(screen.failure)
        lines.append(" · ".join(screen.context))
        if self.folder is not None:
            lines.append(f"report: {self.folder / 'report.html'}")
        return [wording.one_line(line) for line in lines]

    def _top(self, screen: FirstScreen) -> list[RenderableType]:
        """Everything above the table of steps. Text, never markup: names from outside may hold brackets."""
        style = _STYLES[self.summary.verdict]
        facts = "  ".join(wording.one_line(fact, 60) for fact in screen.facts)
        head = Text.assemble(("janusload ", "bold"), wording.one_line(screen.name, 60), "  ", (facts, "dim"))
        head.no_wrap, head.overflow = True, "ellipsis"
        box = Panel(
            Text(wording.one_line(screen.headline, _LONGEST), style="bold"),
            box=ROUNDED,
            border_style=style,
            title=Text(f" {screen.verdict} ", style=f"bold {style}"),
            title_align="left",
            padding=(0, 1),
        )
        parts: list[RenderableType] = [head, box]
        if screen.reason:
            words = f"inconclusive because: {wording.one_line(screen.reason, _LONGEST)}"
            parts.append(_indented(Text(words, style="yellow")))
        for limit in screen.limits[:_MAX_LIMITS]:
            words = wording.one_line(f"{limit.name} {limit.limit}, was {limit.value}", _LONGEST // 2)
            sign = (f"{limit.sign} {limit.word}  ", _LIMIT_STYLES[limit.tone])
            parts.append(_indented(Text.assemble(sign, words)))
        if len(screen.limits) > _MAX_LIMITS:
            parts.append(_indented(Text(f"… and {len(screen.limits) - _MAX_LIMITS} more limits", style="dim")))
        if screen.failure:
            parts.append(_indented(Text(wording.one_line(screen.failure, _LONGEST))))
        context = " · ".join(wording.one_line(fact, _LONGEST // 2) for fact in screen.context)
        parts.append(_indented(Text(context, style="dim")))
        return parts

    def _steps(self, room: int) -> Table:
        onset = self.summary.onset
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
        for head in (wording.one_line(onset.unit, 24), "timeouts", "p50", "p95", "p99", ""):
            table.add_column(Text(head), justify="right" if head else "left", no_wrap=True)
        latencies = tables.latencies(self.summary).rows
        bracket = onset.load_bracket or (None, None)
        for step in tables.nearest(self.summary.steps, onset.load_bracket, room):
            load, *values = latencies[self.summary.steps.index(step)]
            note = "left out" if not step.counted else ""
            if _near(step.achieved, bracket[0]):
                note = "last good"
            elif _near(step.achieved, bracket[1]):
                note = "onset"
            table.add_row(load, wording.percent(step.rate.value), *values, note)
        return table


def _near(load: float, end: float | None) -> bool:
    return end is not None and abs(load - end) <= 1e-3 * max(abs(end), 1e-9)


def _indented(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, 2))


def _ascii(text: str) -> str:
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
