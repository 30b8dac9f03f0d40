"""Limits judged while a run goes."""

from __future__ import annotations

import time

from janusload.load.limit_watch import LimitWatch
from janusload.records import Outcome, RequestRecord
from janusload.scenario.limits import limit


def record(latency_ms: float | None, outcome: Outcome = Outcome.OK, source: str = "arrivals") -> RequestRecord:
    now = time.monotonic_ns()
    due = now - round((latency_ms or 0.0) * 1e6)
    return RequestRecord(1, "janus.create", source, 0, due, due, None if latency_ms is None else now, 1.0, outcome)


def crossed(text: str, *records: RequestRecord) -> str:
    watch = LimitWatch([limit(text)], "janus.create", "arrivals")
    for each in records:
        watch.take(each)
    return watch.crossed()


def test_latency_and_rates_are_judged_over_the_window() -> None:
    good, slow = [record(10.0)] * 95, [record(900.0)] * 10
    assert crossed("janus.create p95 < 500 ms abort", *good, *slow) == (
        "limit crossed: janus.create p95 < 500 ms abort: 900 ms"
    ), "the p95 of 105 is the sixth from above"
    assert crossed("janus.create p50 < 500 ms abort", *good, *slow) == ""
    timeouts = [record(None, Outcome.API_TIMEOUT)] * 6
    assert crossed("timeout rate < 5 % abort", *good, *timeouts).endswith(": 5.94 %")
    assert crossed("janus.create p95 < 500 ms abort", *good, *timeouts).endswith(": no answer in time")
    assert crossed("failure rate < 5 % abort", *good, *[record(None, Outcome.LOST_CONNECTION)] * 9) != ""


def test_what_does_not_count() -> None:
    timeouts = [record(None, Outcome.API_TIMEOUT)] * 19
    assert crossed("timeout rate < 5 % abort", *timeouts) == "", "too few to judge"
    others = [record(None, Outcome.API_TIMEOUT, source="users")] * 50
    assert crossed("timeout rate < 5 % abort", *others) == "", "not those of the stream"
    assert crossed("timeout rate < 5 % over 10 s", *[record(None, Outcome.API_TIMEOUT)] * 50) == "", "without abort"


def test_the_window_slides() -> None:
    watch = LimitWatch([limit("timeout rate < 5 % over 1 s abort")], "janus.create", "arrivals")
    for _ in range(50):
        watch.take(record(None, Outcome.API_TIMEOUT))
    assert watch.crossed() != ""
    time.sleep(1.1)
    assert watch.crossed() == ""
