"""The sentence of runs that were not to find an onset: how long the server bore it."""

from __future__ import annotations

from typing import Any

import pytest

from janusload.analysis.headline import Borne, headline
from janusload.summary import Failure, FailureKind, Onset, OnsetStatus

NOTHING = Onset.model_construct(
    status=OnsetStatus.INSUFFICIENT_DATA, request="janus.create", timeout_s=5.0, load_bracket=None
)
LOCK = "ws_ping answered but ping went unanswered; 21 threads wait for the lock 0x7f of libjanus_audiobridge.so"


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ({"kind": FailureKind.NONE, "rule": ""}, "No stall in 41 s and 1,900 joins."),
        (
            {"kind": FailureKind.CORE_STUCK, "rule": LOCK, "plugin": "audiobridge"},
            "Stopped answering after 41 s and 1,900 joins; did not come back (core stuck, AudioBridge lock).",
        ),
        (
            {"kind": FailureKind.PLUGIN_STUCK, "rule": "", "plugin": "audiobridge", "lasted_s": 3.25},
            "Stopped answering after 41 s and 1,900 joins; over after 3.2 s (plugin stuck, AudioBridge plugin).",
        ),
        (
            {"kind": FailureKind.OVERLOAD, "rule": "", "recovered_after_s": 2.0},
            "Too slow to answer in time after 41 s and 1,900 joins; back after 2.0 s (overload).",
        ),
        (
            {"kind": FailureKind.GENERATOR_LIMITED, "rule": ""},
            "No stall in 41 s and 1,900 joins; then the generator was the limit.",
        ),
        ({"kind": FailureKind.CRASHED, "rule": ""}, "Crashed after 41 s and 1,900 joins."),
    ],
)
def test_how_long_a_server_bore_it(failure: dict[str, Any], said: str) -> None:
    assert headline(NOTHING, Failure(**failure), Borne(41.2, 1900)) == said


def test_without_joins_it_speaks_of_time_alone() -> None:
    nothing = Failure(kind=FailureKind.NONE, rule="")
    assert headline(NOTHING, nothing, Borne(41.2, 0)) == "No stall in 41 s."
    assert headline(NOTHING, nothing, Borne(41.2, 1)) == "No stall in 41 s and 1 join."


def test_a_generator_that_was_the_limit_from_the_start_tells_of_no_server() -> None:
    failure = Failure(kind=FailureKind.GENERATOR_LIMITED, rule="")
    assert headline(NOTHING, failure, Borne(0.2, 0)).startswith("The generator was the limit from the start")
