from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusload import wording
from janusload.records import Outcome
from janusload.summary import FailureKind, OnsetStatus, Quantile, Verdict
from tests.report import sample


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [(0.4123, "0.412 ms"), (9.2, "9.2 ms"), (48.21, "48.2 ms"), (999.4, "999 ms"), (999.6, "1 s"), (1320, "1.32 s")],
)
def test_latencies_in_the_unit_people_use(milliseconds: float, said: str) -> None:
    assert wording.duration(milliseconds) == said


@pytest.mark.parametrize(
    ("share", "said"), [(0, "0 %"), (0.00021, "0.021 %"), (0.0244, "2.4 %"), (0.208, "20.8 %"), (1, "100 %")]
)
def test_shares_in_percent(share: float, said: str) -> None:
    assert wording.percent(share) == said


@pytest.mark.parametrize(
    ("value_s", "said"), [(0.4, "0 s"), (107.3, "107 s"), (230.4, "3 min 50 s"), (240, "4 min"), (7500, "2 h 5 min")]
)
def test_spans(value_s: float, said: str) -> None:
    assert wording.span(value_s) == said


@given(st.floats(min_value=0, max_value=1e12))
def test_numbers_never_have_an_exponent_that_people_must_decode(value: float) -> None:
    assert "e" not in wording.number(value) or value < 1e-4


def test_a_lower_bound_says_so() -> None:
    assert wording.quantile(Quantile(value=2000, at_least=True)) == "≥ 2 s"
    assert wording.quantile(Quantile(value=2000)) == "2 s"
    assert wording.quantile(None) == "–"


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    line = wording.one_line(text)
    assert all(c.isprintable() or c.isspace() or ord(c) > 0x7F for c in line)
    assert not {"\x1b", "\x00", "\u202e", "\n"} & set(line)


def test_long_lines_are_cut_visibly() -> None:
    assert wording.one_line("a" * 30, 10) == "a" * 9 + "…"


def test_every_outcome_has_words_and_a_sign_for_every_verdict() -> None:
    assert {outcome.value for outcome in Outcome} <= set(wording.OUTCOMES)
    assert set(wording.SIGNS) == set(Verdict)


def test_outcomes_in_one_order_without_those_that_never_were() -> None:
    assert wording.in_order({"x": 1, "api_error": 2, "ok": 3, "cut": 0}) == [("ok", 3), ("api_error", 2), ("x", 1)]


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_failure_has_words(kind: FailureKind) -> None:
    assert wording.failure(kind).replace(" ", "").replace(",", "").isalpha()


def test_a_stuck_plugin_is_named() -> None:
    assert wording.failure(FailureKind.PLUGIN_STUCK, "audiobridge") == "plugin stuck (audiobridge)"


@pytest.mark.parametrize("status", list(OnsetStatus))
def test_every_status_has_a_short_and_a_full_form(status: OnsetStatus) -> None:
    onset = sample.for_status(status).onset
    for bracket in (onset.load_bracket, None, (None, None), (100.0, None), (None, 100.0), (100.0, 200.0)):
        changed = onset.model_copy(update={"load_bracket": bracket})
        assert wording.onset_in_short(changed)
        assert "create" in wording.onset_finding(changed)
        assert "None" not in wording.onset_finding(changed) + wording.onset_in_short(changed)


def test_onset_titles_are_findings() -> None:
    found = sample.for_status(OnsetStatus.FOUND).onset
    assert wording.onset_finding(found) == "create begins timing out between 239 and 299 requests/s"
    assert wording.onset_in_short(found) == "239–299 requests/s"
    none = sample.for_status(OnsetStatus.NO_ONSET).onset
    assert wording.onset_finding(none) == "create does not time out up to 479 requests/s"
    assert wording.onset_in_short(none) == "none up to 479 requests/s"


def test_other_axes_keep_their_own_words() -> None:
    onset = sample.summary().onset.model_copy(update={"axis": "users"})
    assert wording.onset_in_short(onset) == "239–299 users"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (181.7, "182"), (0.01234, "0.0123"), (12345.6, "12,346"), (9.996, "10"), (1.0, "1"), (99.96, "100")],
)
def test_numbers_with_the_digits_that_matter(value: float, words: str) -> None:
    assert wording.number(value) == words


@given(st.floats(1e-6, 1e9))
def test_a_number_is_within_half_a_percent(value: float) -> None:
    assert float(wording.number(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (1310, "1.3 s"),
        (996, "1 s"),
        (994.2, "994 ms"),
        (40.2, "40 ms"),
        (0.43, "0.43 ms"),
        (25_000, "25 s"),
        (0, "0 ms"),
    ],
)
def test_durations_in_a_sentence(ms: float, words: str) -> None:
    assert wording.duration(ms, 2) == words


def test_ranges_name_the_unit_once_where_they_can() -> None:
    def q(value: float, at_least: bool = False) -> Quantile:
        return Quantile(value=value, at_least=at_least)

    assert wording.duration_range(q(1310), q(1700)) == "1.3-1.7 s"
    assert wording.duration_range(q(40), q(90)) == "40-90 ms"
    assert wording.duration_range(q(40), q(1700)) == "40 ms to 1.7 s"
    assert wording.duration_range(q(40), q(2000, True)) == "40 ms to at least 2 s"
    assert wording.duration_range(q(2000, True), q(2000, True)) == "at least 2 s"
    assert wording.duration_range(q(41), q(41.1)) == "41 ms"
    assert wording.bound(q(2000, True)) == "at least 2 s"


def test_loads_get_as_many_digits_as_tell_them_apart() -> None:
    assert wording.load_range(179.98, 220.03) == ("180", "220")
    assert wording.load_range(1000, 1010) == ("1,000", "1,010")
    assert wording.load_range(40, 44) == ("40", "44")
    assert wording.load_range(0.5, 0.75) == ("0.5", "0.75")


def test_shares_in_a_sentence() -> None:
    assert wording.percent(0.01) == "1 %" and wording.percent(0.00361) == "0.36 %" and wording.percent(1) == "100 %"
