"""Shapes of load: their legs, and what does not go together."""

from __future__ import annotations

import pytest

from tests.scenario.files import faults, plan

STREAM = '[stream]\ntimeout = "2 s"\n'
USERS = '[[users]]\nname = "u"\nweight = 1\n'


def test_every_shape_has_the_legs_that_it_says() -> None:
    steps = plan(STREAM + '[shape]\nrates = ["100/s", "200/s"]\nsettle = "2 s"\n').legs()
    assert [(leg.begin, leg.duration_s) for leg in steps] == [(100, 10), (200, 10)]
    ramp = plan(STREAM + '[shape]\nkind = "ramp"\nfrom = "10/s"\nto = "50/s"\nover = "1 min"\n').legs()
    assert ramp == [(10, 50, 60)]
    spike = plan(
        STREAM + '[shape]\nkind="spike"\nlow="5/s"\nhigh="50/s"\nlow_for="2 s"\nhigh_for="1 s"\ntimes=2\n'
    ).legs()
    assert [leg.begin for leg in spike] == [5, 50, 5, 50, 5]
    soak = plan(STREAM + '[shape]\nkind = "soak"\nload = "5/s"\nlasts = "1 h"\n').legs()
    assert soak == [(5, 5, 3600)]
    search = plan(STREAM + '[shape]\nkind = "search"\nfrom = "10/s"\nat_most = "50/s"\n').legs()
    assert [leg.begin for leg in search] == [10, 20, 40, 50]


def test_users_as_the_axis() -> None:
    capacity = plan(
        USERS
        + '[[users]]\nname = "base"\ncount = 3\n[stream]\nrate = "60/s"\ntimeout = "2 s"\n[shape]\nusers = [4, 8]\n'
    )
    assert capacity.by_users and capacity.axis == "participants"
    assert [capacity.users_at(leg.begin) for leg in capacity.legs()] == [7, 11]
    assert capacity.user_count == 11
    # 600 samples at the steady 60/s are 10 s, and 5 s settle
    assert [leg.duration_s for leg in capacity.legs()] == [15, 15]


def test_a_churn_has_lives_and_people() -> None:
    churn = plan('people = 5\n[[users]]\nname="u"\nweight=1\n[shape]\nkind="churn"\nlives="6/s"\nlasts="9 s"\n')
    assert churn.user_count == 5 and churn.legs() == [(6, 6, 9)]


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        (STREAM + '[shape]\nrates = ["1/s"]\nusers = [1]\n', "shape", "needs either rates"),
        (STREAM + '[shape]\nkind = "zigzag"\n', "shape.kind", "known are steps, ramp"),
        (STREAM + '[shape]\nkind="ramp"\nfrom="1/s"\nto=5\nover="1 s"\n', "shape", "must both be"),
        (STREAM + '[shape]\nkind="search"\nfrom="9/s"\nat_most="5/s"\n', "shape", "must be above"),
        (STREAM + '[shape]\nrates = ["0/s"]\n', "shape.rates.0", "greater than 0"),
        (USERS + STREAM + "[shape]\nusers = [1]\n", "stream.rate", "is missing"),
        (STREAM + '[shape]\nusers = [1]\n[[users]]\nname="u"\ncount=1\n', "users", "a weight"),
        (USERS + 'count = 2\n[shape]\nkind="soak"\nload=2\nlasts="2 s"\n', "users.0.weight", "a count already"),
        (USERS + '[shape]\nkind="churn"\nlives="1/s"\nlasts="2 s"\n', "people", "is missing"),
        (STREAM + 'rate = "2/s"\n[shape]\nrates = ["1/s"]\n', "stream.rate", "says already how fast"),
        (
            'run_time = "5 s"\n[rooms]\ncount = 2\nusers_each = 1\n[[users]]\nname = "u"\ncount = 3\n',
            "rooms.0.users_each",
            "3 are to come",
        ),
        (
            'run_time = "5 s"\n[[rooms]]\nname="a"\nidle=true\n[[users]]\nname="u"\ncount=1\nrooms="a"\n',
            "users.0.rooms",
            "are idle",
        ),
        ('run_time = "5 s"\n[[users]]\nname="u"\ncount=1\nrooms="attic"\n', "users.0.rooms", "no rooms called 'attic'"),
    ],
)
def test_what_does_not_go_together_names_its_key(text: str, key: str, words: str) -> None:
    found = faults(text)
    assert words in found[key], found
