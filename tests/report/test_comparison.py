from __future__ import annotations

import io

from rich.console import Console

from janusload.comparison import Aspect, Change
from janusload.report import ComparisonScreen
from janusload.report.comparison import markdown, table
from tests.report import sample


def test_hostile_names_are_no_commands_to_the_terminal() -> None:
    for terminal in (True, False):
        out = io.StringIO()
        console = Console(file=out, width=4000, height=40, force_terminal=terminal, color_system=None)
        console.print(ComparisonScreen(sample.comparison()), crop=False)
        text = out.getvalue()
        assert "\x1b" not in text and "\u202e" not in text
        assert "[bold]not bold[/bold]" in text and sample.HOSTILE in text
        assert "WORSE" in text.splitlines()[0]


def test_markdown_of_hostile_names_has_no_markup() -> None:
    text = markdown(sample.comparison())
    assert text.startswith("**▼ WORSE** · worse ")
    assert "<script" not in text and "<img" not in text and "\x1b" not in text
    # a bar in a name would be one cell more
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {5}


def test_no_failure_and_an_overload_are_not_called_the_same() -> None:
    aspect = Aspect(name="failure", base="none", new="overload", change=Change.SAME, why="neither got stuck")
    each = sample.comparison().new[0]
    (row,) = table(each.model_copy(update={"aspects": [aspect]}), "base").rows
    assert row[:4] == ["failure", "none", "overload", "= neither got stuck"]
    (row,) = table(each.model_copy(update={"aspects": [aspect.model_copy(update={"new": "none"})]}), "base").rows
    assert row[3] == "= the same"
