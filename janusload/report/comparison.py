"""What a comparison came to: on the terminal, as Markdown and as a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table as TextTable
from rich.text import Text

from janusload import wording
from janusload.comparison import Aspect, Change, Compared, Comparison, Side
from janusload.report import html, tables
from janusload.report.charts.compared import compared
from janusload.report.markdown import plain
from janusload.report.whole_file import replace_file

SIGNS = {Change.BETTER: "▲", Change.WORSE: "▼", Change.SAME: "=", Change.NOT_COMPARABLE: "?"}
_STYLES = {Change.BETTER: "green", Change.WORSE: "red", Change.SAME: "cyan", Change.NOT_COMPARABLE: "yellow"}
_ASCII = str.maketrans({"▲": "+", "▼": "-", "×": "x", "·": "|", "–": "-"})


def verdict(change: Change) -> str:
    """A sign and a word, so that colour is never needed."""
    words = "THE SAME" if change is Change.SAME else change.value.replace("_", " ").upper()
    return f"{SIGNS[change]} {words}"


def table(each: Compared, base: str) -> tables.Table:
    """Every aspect that was held against the base."""
    rows = [[a.name, a.base, a.new, _change(a), a.why] for a in each.aspects]
    return tables.Table(["what", base, each.side.label, "new is", "because"], rows, frozenset({0, 1, 2, 3, 4}))


def _change(aspect: Aspect) -> str:
    if aspect.name == "failure" and aspect.change is Change.SAME and aspect.base != aspect.new:
        return f"{SIGNS[aspect.change]} {aspect.why}"  # two kinds of failure side by side are not called the same
    words = "the same" if aspect.change is Change.SAME else aspect.change.value.replace("_", " ")
    return f"{SIGNS[aspect.change]} {words}" + ("" if aspect.decides else " (does not decide)")


def page(comparison: Comparison) -> str:
    """comparison.html: one file that needs no network, as report.html."""
    parts = [(each, verdict(each.verdict), table(each, comparison.base.label)) for each in comparison.new]
    return html.page(
        "comparison.html",
        compared(comparison),
        comparison=comparison,
        verdict=verdict(comparison.verdict),
        tone={Change.BETTER: "passed", Change.WORSE: "failed"}.get(comparison.verdict, "inconclusive"),
        parts=parts,
    )


def markdown(comparison: Comparison) -> str:
    """comparison.md: verdict first, for a pull request."""
    lines = [f"**{verdict(comparison.verdict)}** · {plain(comparison.sentence)}", ""]
    for each in comparison.new:
        if each.aspects:
            found = table(each, comparison.base.label)
            lines += [f"| {' | '.join(map(plain, found.heads[:4]))} |", "|---|---|---|---|"]
            lines += [f"| {' | '.join(map(plain, row[:4]))} |" for row in found.rows] + [""]
        if each.notes:
            lines += [f"Also differs: {plain('; '.join(each.notes))}", ""]
    lines.append(" · ".join(plain(f"{s.label}: {', '.join(s.folders)}") for s in _sides(comparison)))
    return "\n".join(lines) + "\n"


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Write comparison.json, comparison.md and comparison.html into a folder that exists.

    Raises:
        RunFolderError: the folder cannot be written, or its disk is full.
    """
    files: dict[str, Callable[[Comparison], str]] = {
        "comparison.json": Comparison.to_json,
        "comparison.md": markdown,
        "comparison.html": page,
    }
    return [replace_file(folder / name, render(comparison)) for name, render in files.items()]


class ComparisonScreen:
    """A comparison as a rich renderable; print it with `console.print(screen, crop=False)`.

    Args:
        folder: where its page lies; None leaves the path out.
    """

    def __init__(self, comparison: Comparison, folder: Path | None = None) -> None:
        self.comparison = comparison
        self.folder = folder

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not console.is_terminal:
            for line in self._plain_lines():
                text = line if options.encoding.startswith("utf") else line.translate(_ASCII)
                yield Text(text, no_wrap=True, overflow="ignore", end="\n")
            return
        yield from self._parts()

    def _plain_lines(self) -> list[str]:
        lines = [f"{verdict(self.comparison.verdict)}: {self.comparison.sentence}"]
        for each in self.comparison.new:
            lines += [f"{a.name}: {a.base} -> {a.new}: {_change(a)}" for a in each.aspects]
            lines += [f"also differs: {note}" for note in each.notes]
        if self.folder is not None:
            lines.append(f"report: {self.folder / 'comparison.html'}")
        return [wording.one_line(line) for line in lines]

    def _parts(self) -> list[RenderableType]:
        style = _STYLES[self.comparison.verdict]
        sentence = Text(wording.one_line(self.comparison.sentence), style="bold")
        title = Text(f" {verdict(self.comparison.verdict)} ", style=f"bold {style}")
        parts: list[RenderableType] = [
            Panel(sentence, box=ROUNDED, border_style=style, title=title, title_align="left", padding=(0, 1))
        ]
        for each in self.comparison.new:
            if each.aspects:
                found = table(each, self.comparison.base.label)
                shown = TextTable(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
                for head in found.heads[:4]:
                    shown.add_column(Text(wording.one_line(head, 40)))
                for row in found.rows:
                    shown.add_row(*(Text(wording.one_line(cell)) for cell in row[:4]))
                parts.append(shown)
            if each.notes:
                note = Text(wording.one_line(f"also differs: {'; '.join(each.notes)}"), style="dim")
                parts.append(Padding(note, (0, 0, 0, 1)))
        if self.folder is not None:
            path = (str(self.folder / "comparison.html"), "underline")
            parts.append(Text.assemble("report  ", path, overflow="fold"))
        return parts


def _sides(comparison: Comparison) -> list[Side]:
    return [comparison.base, *(each.side for each in comparison.new)]
