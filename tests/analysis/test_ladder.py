"""What a rung's answers say, and its silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from janusload.analysis.ladder import RungHistory
from janusload.records import ProbeRecord, Record, Rung
from janusload.summary import FailureKind
from tests.analysis.simulated import knee, ns, probe
from tests.analysis.test_failure import ALL, failure_of, from_then_on, rungs


def history(pattern: str) -> RungHistory:
    """A question a second: `+` was answered, `-` was not."""
    alive = np.array([sign == "+" for sign in pattern], np.bool_)
    due_ns = np.arange(len(pattern), dtype=np.int64)
    return RungHistory(due_ns, np.where(alive, due_ns + 0.5, np.nan), alive)


@pytest.mark.parametrize(
    ("pattern", "dead", "alive"),
    [("", False, False), ("--", False, False), ("+---", True, False), ("---+", False, False), ("-+++", False, True)],
)
def test_three_in_a_row_make_a_state(pattern: str, dead: bool, alive: bool) -> None:
    assert (history(pattern).ends_dead, history(pattern).ends_alive) == (dead, alive)


def test_streaks_and_silences() -> None:
    asked = history("++-+---++----")
    assert asked.first_streak(False) == 4 and asked.first_streak(True) is None
    assert asked.silences() == [(4, 7), (9, 12)]
    assert history("---").silences() == [(0, 2)] and history("+--+").silences() == []
    assert asked.since(9).ends_dead and asked.until(4).first_streak(False) is None


def test_a_rung_that_never_answered_says_nothing(tmp_path: Path) -> None:
    answers = rungs({Rung.AUDIOBRIDGE_SYNC}, from_then_on(0.0))  # the plugin is not there
    assert failure_of(tmp_path, rungs=answers, law=knee(9999)).kind is FailureKind.NONE


@pytest.mark.parametrize(
    ("detail", "kind"),
    [
        ("audiobridge.exists: no answer within 2 s", FailureKind.PLUGIN_STUCK),
        ("", FailureKind.PLUGIN_STUCK),
        ("the handle that was attached beforehand is gone", FailureKind.NONE),
        ("audiobridge.exists: Janus error 458: No such session", FailureKind.NONE),
        ("audiobridge.exists: audiobridge error 485: No such room", FailureKind.NONE),
        ("audiobridge.exists: audiobridge error 485 NO_SUCH_ROOM: No such room (1)", FailureKind.NONE),
    ],
)
def test_only_silence_is_a_sign_of_being_stuck(tmp_path: Path, detail: str, kind: FailureKind) -> None:
    asked: list[Record] = [
        probe(Rung.AUDIOBRIDGE_SYNC, t, True)
        if t < 40
        else ProbeRecord(Rung.AUDIOBRIDGE_SYNC, ns(t), None, 1.0, False, detail)
        for t in np.arange(0.5, 70.0).tolist()
    ]
    answers = {rung: (lambda _t_s: True) for rung in ALL[:5]}
    failure = failure_of(tmp_path, rungs=answers, law=knee(9999), extra=asked)
    assert failure.kind is kind, failure.rule
