from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from janusload.report import EndScreen
from janusload.summary import OnsetStatus, Summary
from tests.report import sample

FOLDER = Path("reports/out/demo")


def shown(summary: Summary, *, width: int = 80, height: int = 24, terminal: bool = True) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=width, height=height, color_system=None)
    console.print(EndScreen(summary, FOLDER), crop=False)
    return out.getvalue()


@pytest.mark.parametrize("summary", sample.every())
def test_at_most_one_screen(summary: Summary) -> None:
    lines = shown(summary).splitlines()
    assert len(lines) <= 23
    assert all(len(line) <= 80 for line in lines)
    assert summary.verdict.value.upper() in shown(summary)


def test_same_words_and_order_as_the_page() -> None:
    text = " ".join(shown(sample.with_limits(), width=200, height=60).split())
    wanted = [
        "audiobridge-knee",
        "Janus 1.1.2 on lab",
        "✗ FAILED",
        "create begins timing out between 239 and 299 requests/s",
        "✗ FAILED onset load > 250/s, was 239–299/s",
        "Overload because: timeouts under load",
        "participants 8 · all heard audio",
        "239 0.074 % 19.5 ms 168 ms 610 ms last good",
        "299 2.4 % 412 ms ≥ 2 s ≥ 2 s onset",
        "report reports/out/demo/report.html",
    ]
    places = [text.find(words) for words in wanted]
    assert -1 not in places, wanted[places.index(-1)]
    assert places == sorted(places)


def test_plain_lines_where_it_is_no_terminal() -> None:
    lines = shown(sample.with_limits(), terminal=False).splitlines()
    assert lines[1] == "✗ FAILED"
    assert lines[2] == sample.with_limits().headline  # one line, whatever the width
    assert lines[3] == "FAILED: onset load > 250/s, was 239–299/s"
    assert lines[-1] == "report: reports/out/demo/report.html"
    assert not {"╭", "│"} & set("".join(lines))


def test_ascii_where_the_output_knows_no_more() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    Console(file=out, width=80).print(EndScreen(sample.summary(), FOLDER), crop=False)
    out.flush()
    assert b"+ PASSED" in raw.getvalue()


def test_a_hostile_name_is_no_command_to_the_terminal() -> None:
    for terminal in (True, False):
        text = shown(sample.hostile(), width=2000, terminal=terminal)
        assert "\x1b" not in text and "\u202e" not in text
        assert "[bold]not bold[/bold]" in text


def test_inconclusive_says_why() -> None:
    summary = sample.for_status(OnsetStatus.INSUFFICIENT_DATA)
    for terminal in (True, False):
        assert "inconclusive because: 25 samples a step" in shown(summary, terminal=terminal)


def test_many_limits_are_counted() -> None:
    many = sample.summary(thresholds=sample.with_limits().thresholds * 4)
    assert "and 7 more limits" in shown(many, height=50)
    assert shown(many, terminal=False).count("was") == 12


def test_without_a_folder_no_path() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(EndScreen(sample.summary()), crop=False)
    assert "report:" not in out.getvalue()
