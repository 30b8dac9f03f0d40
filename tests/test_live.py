"""What a person reads while a run goes."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from janusload import live

NOW: dict[str, Any] = {
    "phase": "steps",
    "step": 2,
    "steps": 11,
    "offered_per_s": 400.0,
    "unit": "creates/s",
    "request": "janus.create",
    "timeout_s": 2.0,
    "with_audio": True,
    "left_s": 7.6,
    "participants": 3,
    "users": 4,
    "p50_ms": 1.234,
    "p95_ms": None,
    "timeouts": 1200,
    "attempts": 14200,
    "recovered_after_s": None,
    "rungs": {"tcp": True, "create": True},
    "failures": {},
    "processes": 1,
    "missing": [],
    "cpu_percent": 31.4,
    "lag_p99_ms": 2.0,
    "late_limit_ms": 20.0,
    "schedule_lag_p99_ms": 1.0,
    "dropped": 0,
    "exhausted": 0,
}


def test_one_line() -> None:
    assert live.line(NOW) == (
        "step 3 of 11: 400 creates/s, 8 s left · 3 of 4 with audio · "
        "p50 1.2 ms, p95 ≥ 2 s, 1,200 of 14,200 timed out · answers all probes · load process 31 % of a core"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 0}, "step 3: 400 creates/s"),  # a search does not know how many there will be
        ({"step": -1, "unit": "lives/s", "offered_per_s": 8.0, "left_s": 430.0}, "8 lives/s, 7 min 10 s left"),
        ({"with_audio": False, "users": 160}, "· 160 ·"),
        ({"failures": {"a": 2, "b": 1}}, "3 lives ended by an error"),
        ({"rungs": {"tcp": True, "create": False, "ping": False}}, "no answer: create, ping"),
        ({"stall": "stuck: the AudioBridge's lock"}, "stuck: the AudioBridge's lock"),
        ({"phase": "recovery", "left_s": 20.0}, "not yet (20 s left)"),
        ({"recovered_after_s": 7.71}, "back after 7.7 s"),
        ({"processes": 3}, "busiest of 3 load processes 31 % of a core"),
        ({"processes": 3, "missing": ["load-2"]}, "missing: load-2"),
        ({"schedule_lag_p99_ms": 44.0, "dropped": 5}, "NOT KEEPING UP (44 ms late, 5 arrivals dropped)"),
    ],
)
def test_what_else_it_may_say(changes: dict[str, Any], words: str) -> None:
    assert words in live.line({**NOW, **changes})


def test_the_panel_has_its_rows_in_the_same_places() -> None:
    def rows(progress: dict[str, Any]) -> list[str]:
        console = Console(width=100, record=True, file=io.StringIO())
        console.print(live.panel("knee", progress))
        return [line.split(maxsplit=1)[0] for line in console.export_text().splitlines()]

    wanted = ["janusload", "now", "people", "create", "server", "recovered", "generator"]
    assert rows(NOW) == wanted
    nothing = {**NOW, "phase": "setup", "users": 0, "attempts": 0, "rungs": {}, "cpu_percent": None}
    assert rows(nothing) == wanted
