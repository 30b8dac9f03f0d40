from __future__ import annotations

import pytest

from janusload.report.markdown import MAX_LINES, render
from janusload.summary import Summary, Threshold, Verdict
from tests.report import sample


@pytest.mark.parametrize("summary", sample.every())
def test_markdown_is_short_and_begins_with_the_verdict(summary: Summary) -> None:
    text = render(summary)
    lines = text.splitlines()
    assert len(lines) <= MAX_LINES == 25
    assert summary.verdict.value.upper() in lines[0]
    assert text.endswith("\n")


def test_markdown_is_short_whatever_was_asked() -> None:
    limits = [Threshold(name=f"limit {i}", limit="> 1", value="2", passed=i % 2 == 0) for i in range(30)]
    text = render(sample.summary(thresholds=limits, verdict=Verdict.INCONCLUSIVE, steps=sample.steps() * 4))
    assert len(text.splitlines()) <= 25
    assert "and 24 more limits" in text


def test_markdown_holds_the_answer_and_the_limits() -> None:
    text = render(sample.with_limits())
    assert "create begins timing out between 239 and 299 requests/s" in text.splitlines()[0]
    assert "- ✗ FAILED: onset load &gt; 250/s, was 239–299/s" in text
    assert "| 239 | 0.074 % | 19.5 ms | 168 ms | 610 ms |" in text


def test_markdown_of_hostile_texts_has_no_markup() -> None:
    text = render(sample.hostile())
    assert "<" not in text and "\x1b" not in text
    assert "\\[bold\\]" in text
