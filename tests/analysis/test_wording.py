"""Numbers as they stand in a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusload.analysis.wording import bound, duration, duration_range, figure, load_range, percent
from janusload.summary import Quantile


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (181.7, "182"), (0.01234, "0.0123"), (12345.6, "12,346"), (9.996, "10"), (1.0, "1"), (99.96, "100")],
)
def test_figure(value: float, words: str) -> None:
    assert figure(value) == words


@given(st.floats(1e-6, 1e9))
def test_a_figure_is_within_half_a_percent(value: float) -> None:
    assert float(figure(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


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
def test_duration(ms: float, words: str) -> None:
    assert duration(ms) == words


def test_ranges_name_the_unit_once_where_they_can() -> None:
    def q(value: float, at_least: bool = False) -> Quantile:
        return Quantile(value=value, at_least=at_least)

    assert duration_range(q(1310), q(1700)) == "1.3-1.7 s"
    assert duration_range(q(40), q(90)) == "40-90 ms"
    assert duration_range(q(40), q(1700)) == "40 ms to 1.7 s"
    assert duration_range(q(40), q(2000, True)) == "40 ms to at least 2 s"
    assert duration_range(q(2000, True), q(2000, True)) == "at least 2 s"
    assert duration_range(q(41), q(41.1)) == "41 ms"
    assert bound(q(2000, True)) == "at least 2 s"


def test_loads_get_as_many_digits_as_tell_them_apart() -> None:
    assert load_range(179.98, 220.03) == ("180", "220")
    assert load_range(1000, 1010) == ("1,000", "1,010")
    assert load_range(40, 44) == ("40", "44")
    assert load_range(0.5, 0.75) == ("0.5", "0.75")


def test_percent() -> None:
    assert percent(0.01) == "1 %" and percent(0.00361) == "0.36 %" and percent(1) == "100 %"
