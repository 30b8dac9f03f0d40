from __future__ import annotations

import pytest

from janusload.scenario.limits import FORMS, limit


def test_limits_as_one_writes_them() -> None:
    found = limit("janus.create p95 < 500 ms")
    assert (found.kind, found.request, found.quantile, found.value) == ("latency", "janus.create", "p95", 500)
    assert found.holds(499) and not found.holds(500)
    assert limit("timeout rate < 1 %").value == pytest.approx(0.01)
    assert limit("onset load > 40/s").value == 40 and limit("onset load >= 20").value == 20
    windowed = limit("audiobridge.join p99 <= 2 s over 30 s, abort")
    assert (windowed.over_s, windowed.abort, windowed.value) == (30, True, 2000)
    assert limit("timeout rate < 5 % abort").over_s == 10


def test_every_example_is_one() -> None:
    assert {limit(form.example).kind for form in FORMS} == {form.kind for form in FORMS}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fast", "write METRIC < VALUE"),
        ("happiness > 3", "nothing that is measured"),
        ("janus.create p95 < 500", "no unit that fits"),
        ("janus.create p33 < 500 ms", "nothing that is measured"),
        ("onset load > 40/s over 10 s", "only known after the run"),
        ("leaked sessions < 1 abort", "only known after the run"),
        ("timeout rate < 1 % over 100 ms", "too little to judge"),
    ],
)
def test_faulty_limits_say_why(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        limit(text)
