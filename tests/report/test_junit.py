from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from janusload.report import junit
from janusload.summary import OnsetStatus, Summary, Threshold, Verdict
from tests.report import sample


def suite(summary: Summary) -> ET.Element:
    root = ET.fromstring(junit.render(summary))
    assert root.tag == "testsuites"
    return root[0]


def test_onset_and_each_limit_are_a_case() -> None:
    made = suite(sample.with_limits())
    assert [case.get("name") for case in made] == [
        "create onset",
        "onset load > 250/s",
        "media loss < 1 %",
        "leaked sessions 0",
    ]
    assert (made.get("tests"), made.get("failures"), made.get("skipped")) == ("4", "1", "0")
    failure = made[1].find("failure")
    assert failure is not None and failure.get("message") == "onset load: wanted > 250/s, was 239–299/s"
    assert made[0].find("failure") is None  # the limit already says it


def test_a_failed_run_without_limits_fails_by_its_onset() -> None:
    made = suite(sample.summary(verdict=Verdict.FAILED))
    failure = made[0].find("failure")
    assert failure is not None and failure.get("message") == sample.summary().headline


@pytest.mark.parametrize("status", list(OnsetStatus))
def test_inconclusive_is_skipped_with_its_reason(status: OnsetStatus) -> None:
    summary = sample.for_status(status)
    skipped = [case.find("skipped") for case in suite(summary)]
    if summary.verdict is Verdict.INCONCLUSIVE:
        reason = "; ".join(summary.generator.reasons) or summary.onset.explanation
        assert [element.get("message") for element in skipped if element is not None] == [reason]
    else:
        assert skipped == [None]


def test_an_inconclusive_run_passes_no_limit_either() -> None:
    made = suite(sample.summary(verdict=Verdict.INCONCLUSIVE, thresholds=sample.with_limits().thresholds))
    assert (made.get("failures"), made.get("skipped")) == ("0", "4")


def test_a_limit_that_nobody_could_judge_is_skipped_in_a_failed_run() -> None:
    crossed = sample.with_limits()
    unknown = Threshold(name="mos", limit="> 4", value="not measured", passed=False, judged=False)
    made = suite(crossed.model_copy(update={"thresholds": [*crossed.thresholds, unknown]}))
    assert (made.get("tests"), made.get("failures"), made.get("skipped")) == ("5", "1", "1")
    skipped = made[4].find("skipped")
    assert skipped is not None and skipped.get("message") == "mos: wanted > 4, was not measured"


def test_hostile_texts_parse_and_are_texts() -> None:
    made = suite(sample.hostile())
    assert sample.HOSTILE in (made[0].get("name") or "")
    assert {element.tag for element in made.iter()} == {"testsuite", "testcase", "failure", "system-out"}


def test_what_xml_cannot_hold_is_replaced() -> None:
    made = suite(sample.summary(headline="a\x00b\ufffec\ud800d"))
    assert "a\ufffdb\ufffdc\ufffdd" in "".join(made.itertext())
