"""The E-model against what its Recommendations print."""

from __future__ import annotations

import pytest

from janusload.media import mos


@pytest.mark.parametrize(("rating", "score"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_scores_are_those_of_table_b1(rating: float, score: float) -> None:
    """G.107 Annex B, Table B.1."""
    # of 80 the table prints 4.03, where the formula beside it gives 4.024
    assert mos.opinion(rating) == pytest.approx(score, abs=0.007)


def test_a_call_at_all_defaults_is_4_41() -> None:
    """G.107 section 7.7: R is 93.2 there, which Annex B makes 4.41."""
    rating = mos.rating(one_way_ms=0, lost_share=0, ie=mos.equipment("pcmu", 64_000), bpl=mos.BPL_G711)
    assert rating == 93.2
    assert round(mos.opinion(rating), 2) == 4.41


@pytest.mark.parametrize(
    ("percent", "ie"), [(0, 0), (1, 5), (2, 7), (3, 10), (5, 15), (7, 20), (10, 25), (15, 35), (20, 45)]
)
def test_loss_of_g711_costs_what_g113_measured(percent: float, ie: float) -> None:
    """G.113 Appendix I, G.711 with concealment under random loss; Bpl is a fit to these."""
    lost = mos.rating(one_way_ms=0, lost_share=percent / 100, ie=0, bpl=mos.BPL_G711)
    assert mos.BEST - lost == pytest.approx(ie, abs=3)


def test_delay_costs_nothing_up_to_100_ms_and_then_what_the_formula_says() -> None:
    assert mos.delay_impairment(100) == 0
    # x = 1 and x = 2, by hand
    assert mos.delay_impairment(200) == pytest.approx(25 * (2 ** (1 / 6) - 3 * (730 / 729) ** (1 / 6) + 2))
    assert mos.delay_impairment(400) == pytest.approx(25 * (65 ** (1 / 6) - 3 * (793 / 729) ** (1 / 6) + 2))
    costs = [mos.delay_impairment(delay) for delay in range(100, 1000, 10)]
    assert costs == sorted(costs)


def test_opus_gains_by_bits_and_by_fec() -> None:
    assert mos.equipment("opus", 24_000) == pytest.approx(1.8, abs=0.05)
    assert mos.equipment("opus", 64_000) == 0
    assert mos.equipment("opus", 6_000) > mos.equipment("opus", 12_000) > mos.equipment("opus", 24_000)
    assert mos.equipment("opus", 0) == 0
    with_fec, without = (
        mos.rating(one_way_ms=50, lost_share=0.1, ie=1.8, bpl=bpl) for bpl in (mos.BPL_OPUS_FEC, mos.BPL_OPUS)
    )
    assert with_fec > without


def test_scores_stay_on_their_scale() -> None:
    worst = mos.rating(one_way_ms=5000, lost_share=1.0, ie=30, bpl=10)
    assert worst == 0 and mos.opinion(worst) == 1.0
    assert all(1.0 <= mos.opinion(each / 10) <= 4.5 for each in range(1100))
