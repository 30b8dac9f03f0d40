"""A process of the generator that was missing: which steps do not count, and where a reader finds from when to when."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from janusload.analysis import summarize
from janusload.records import HealthRecord, MarkerKind, MarkerRecord, Record
from janusload.report import markdown, tables
from janusload.report.first_screen import first_screen
from janusload.summary import Gap, Verdict
from tests.analysis.simulated import Simulated, knee, ns

LOST = "is lost (its process has ended): from here on the load is not what was asked for"
HELD_UP = "has said nothing for 3 s: gone, or held up"


def gap(begin_s: float, said_s: float, process: str, words: str) -> MarkerRecord:
    return MarkerRecord(ns(said_s), MarkerKind.GAP, label=f"{process} {words}", value=said_s - begin_s)


def test_only_the_steps_that_it_was_missing_in_do_not_count(tmp_path: Path) -> None:
    """Steps of 12 s; from 15 s to 19 s one of two workers was held up, and from 50 s on it was lost."""
    back = MarkerRecord(ns(19), MarkerKind.GAP_END, label="load-2 is back", value=4.0)
    extra: list[Record] = [gap(15, 18, "load-2", HELD_UP), back, gap(50, 50.25, "load-2", LOST)]
    summary = summarize(Simulated(law=knee(9999), extra=extra).write(tmp_path / "run"))
    assert summary.generator.gaps == [
        Gap(process="load-2", begin_s=15, end_s=19, words=HELD_UP),
        Gap(process="load-2", begin_s=50, end_s=None, words=LOST),
    ]
    left_out = {step.index: step.left_out or "" for step in summary.steps}
    assert left_out[1] == f"generator: load-2 was missing for 4.0 s of it: it {HELD_UP}"
    assert left_out[4] == f"generator: load-2 was missing for 10.0 s of it: it {LOST}"
    assert "missing" not in left_out[0] + left_out[2] + left_out[3]
    assert summary.verdict is Verdict.INCONCLUSIVE and not summary.generator.valid


def test_every_output_says_from_when_to_when(tmp_path: Path) -> None:
    extra: list[Record] = [gap(50, 50.25, "load-2", LOST)]
    # it reported until then, and its silence is not said twice
    extra += [HealthRecord(ns(t), "load-2", 20.0, 1, 1) for t in np.arange(0.5, 50.0).tolist()]
    summary = summarize(Simulated(law=knee(100), extra=extra).write(tmp_path / "run"))
    assert summary.generator.valid, "the onset was found below"
    words = f"not valid from 50.0 s on: load-2 {LOST}"
    assert words in first_screen(summary).context
    assert markdown.plain(words) in markdown.render(summary)
    assert ["the run is", words] in tables.generator(summary).rows
    assert not any("no longer reported" in (step.left_out or "") for step in summary.steps)
