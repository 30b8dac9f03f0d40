from __future__ import annotations

import pytest

from janusload.report import tables
from janusload.summary import Generator, Media, OnsetStatus, Quantiles, RequestSummary, Step
from tests.report import sample


@pytest.mark.parametrize("make", [sample.summary, sample.without_extras, sample.hostile])
def test_rows_are_as_wide_as_their_heads(make: object) -> None:
    summary = make()  # type: ignore[operator]
    for table in (tables.rates, tables.latencies, tables.steps, tables.requests, tables.media, tables.server):
        made = table(summary)
        assert all(len(row) == len(made.heads) for row in made.rows)


def test_steps_say_what_was_left_out_and_why() -> None:
    rows = tables.steps(sample.for_status(OnsetStatus.GENERATOR_LIMITED)).rows
    assert rows[0][-1] == "5 s to settle"
    assert rows[4][-1].startswith("all of it: the generator was the limit")
    assert rows[7][5] == "ok 5,926, timeout 2,210, dropped 1".replace("5,926", rows[7][5].split()[1].rstrip(","))


def test_a_step_may_lose_a_part_only() -> None:
    step = sample.steps()[0].model_copy(update={"left_out": "3 s of a paused generator"})
    assert tables.steps(sample.summary(steps=[step])).rows[0][-1] == "5 s to settle; 3 s of a paused generator"
    unsettled = step.model_copy(update={"settled_s": step.begin_s})
    assert tables.steps(sample.summary(steps=[unsettled])).rows[0][-1] == "3 s of a paused generator"


def test_rates_say_what_they_prove() -> None:
    said = [row[-1] for row in tables.rates(sample.summary()).rows]
    assert said == ["credibly under"] * 4 + ["credibly over"] * 4
    assert tables.proves(_step(2, 100), 0.01) == "undecided"
    assert tables.proves(_step(2, 100).model_copy(update={"counted": False}), 0.01) == "left out"


def test_the_request_under_test_comes_first() -> None:
    rows = tables.requests(sample.summary()).rows
    assert [row[0] for row in rows] == ["janus.create", "audiobridge.configure", "audiobridge.join"]
    assert rows[0][-1].endswith("janus 490 ×2")


def test_what_is_not_known_makes_no_row_but_sessions_left_behind() -> None:
    bare = sample.without_extras()
    assert tables.media(bare).rows == []
    assert tables.server(bare).rows == []
    assert tables.generator(bare).rows == [
        ["arrivals that no client could take", "0"],
        ["sessions left behind", "not known: Janus was not asked"],
    ]
    few = tables.media(sample.summary(media=Media(participants=3, mos=4.2, mos_sent=3.1, heard={"tone": 2}))).rows
    assert few == [
        ["participants with audio at once", "3"],
        ["MOS (estimated)", "4.2"],
        ["MOS of what the server received", "3.1"],
        ["heard: tone", "2"],
    ]


def test_server_has_its_log() -> None:
    assert ["log lines: srtp", "14"] in tables.server(sample.summary()).rows


def test_generator_names_its_processes() -> None:
    generator = Generator(valid=True, reasons=[], cpu_percent_max={"media-1": 12.0})
    assert ["CPU of media-1, at most", "12 %"] in tables.generator(sample.summary(generator=generator)).rows


def test_facts_are_flat_and_leave_out_the_unknown() -> None:
    assert tables.facts({"a": {"b": 1, "c": None}, "d": [1, 2]}) == [["a.b", "1"], ["d", "1, 2"]]


@pytest.mark.parametrize("count", [1, 3, 5, 8, 20])
def test_nearest_keeps_the_onset(count: int) -> None:
    steps = sample.steps()
    near = tables.nearest(steps, (239.28, 299.1), count)
    assert len(near) == min(count, len(steps))
    assert near == sorted(near, key=lambda step: step.index)
    if count >= 3:
        assert {3, 4} <= {step.index for step in near}
    assert tables.nearest(steps, None, 2) == steps[:2]
    assert tables.nearest(steps, (None, 1.0), 3)[0].index == 0


def test_errors_of_a_request_without_quantiles() -> None:
    request = RequestSummary(count=1, outcomes={"api_error": 1}, latency_ms=Quantiles(), errors={"janus 403": 1})
    rows = tables.requests(sample.summary(requests={"janus.create": request})).rows
    assert rows == [["janus.create", "1", "–", "–", "–", "0", "error 1, janus 403 ×1"]]


def _step(x: int, n: int) -> Step:
    return sample.steps()[0].model_copy(update={"rate": sample.bounds(x, n)})
