from __future__ import annotations

import pytest

from janusload.report.first_screen import failure_in_time, first_screen
from janusload.summary import Failure, FailureKind, Generator, Leaks, OnsetStatus, Server, Threshold, Verdict
from tests.report import sample


def test_says_which_run_it_was() -> None:
    screen = first_screen(sample.summary())
    assert screen.name == "audiobridge-knee"
    assert screen.facts == ["Janus 1.1.2 on lab", "2026-11-22 11:40 UTC", "3 min 50 s"]


def test_a_run_that_broke_off_says_so() -> None:
    run = sample.summary().run.model_copy(update={"end": "failed: the run was cut off"})
    assert first_screen(sample.summary(run=run)).facts[-1] == "failed: the run was cut off"


def test_moments_are_told_in_utc() -> None:
    run = sample.summary().run.model_copy(update={"started_utc": "2026-11-22T13:40:07+02:00"})
    assert "2026-11-22 11:40 UTC" in first_screen(sample.summary(run=run)).facts


@pytest.mark.parametrize(
    ("verdict", "said"),
    [(Verdict.PASSED, "✓ PASSED"), (Verdict.FAILED, "✗ FAILED"), (Verdict.INCONCLUSIVE, "? INCONCLUSIVE")],
)
def test_verdict_in_a_sign_and_a_word(verdict: Verdict, said: str) -> None:
    assert first_screen(sample.summary(verdict=verdict)).verdict == said


def test_limits_with_their_values() -> None:
    limits = first_screen(sample.with_limits()).limits
    assert [(limit.sign, limit.word, limit.value) for limit in limits] == [
        ("✗", "FAILED", "239–299/s"),
        ("✓", "passed", "0.02 %"),
        ("✓", "passed", "0"),
    ]


def test_a_limit_that_nobody_could_judge_is_neither_kept_nor_crossed() -> None:
    heard = Threshold(name="media loss", limit="< 1 %", value="not measured", passed=False, judged=False)
    summary = sample.with_limits()
    screen = first_screen(summary.model_copy(update={"thresholds": [*summary.thresholds[:1], heard]}))
    assert [(limit.sign, limit.word) for limit in screen.limits] == [("✗", "FAILED"), ("?", "not judged")]
    alone = first_screen(sample.summary(verdict=Verdict.INCONCLUSIVE, thresholds=[heard]))
    assert alone.reason == "it cannot be told whether a limit was kept: media loss < 1 % (not measured)"


def test_a_soak_that_broke_off_says_why_it_proves_nothing() -> None:
    run = sample.summary().run.model_copy(update={"end": "interrupted", "climbs": False})
    screen = first_screen(sample.summary(verdict=Verdict.INCONCLUSIVE, run=run))
    assert screen.reason == "the run did not come to its end (interrupted)"


def test_context_says_whether_to_believe_it() -> None:
    assert first_screen(sample.summary()).context == [
        "participants 8",
        "all heard audio",
        "loss 0.021 %",
        "server CPU 100 % of its quota",
        "generator fine (31.2 % of a core)",
        "no session left behind",
    ]


def test_what_is_not_known_is_absent() -> None:
    assert first_screen(sample.without_extras()).context == ["generator fine"]


def test_troubles_are_in_the_context() -> None:
    media = sample.summary().media
    assert media is not None
    screen = first_screen(
        sample.summary(
            media=media.model_copy(update={"failed": 2, "silent": 1, "mos": 4.3}),
            server=Server(cpu_percent_max=97.0),
            generator=Generator(valid=False, reasons=["hub lag"]),
            leaks=Leaks(sessions=3),
        )
    )
    nobody = first_screen(sample.summary(media=media.model_copy(update={"participants": 0, "failed": 9, "silent": 0})))
    assert nobody.context[:3] == ["participants 0", "9 could not join", "loss 0.021 %"]
    assert {"2 could not join", "1 heard nothing", "MOS 4.3", "server CPU 97 % of a core"} <= set(screen.context)
    assert {"GENERATOR LIMITED: hub lag", "3 sessions left behind"} <= set(screen.context)


def test_inconclusive_has_its_reason_once() -> None:
    screen = first_screen(sample.for_status(OnsetStatus.GENERATOR_LIMITED))
    assert screen.reason == "process load over 90 % CPU"
    assert "GENERATOR LIMITED" in screen.context
    assert first_screen(sample.for_status(OnsetStatus.INSUFFICIENT_DATA)).reason.startswith("25 samples")
    assert first_screen(sample.summary()).reason == ""


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_failure_of_the_server_is_named(kind: FailureKind) -> None:
    screen = first_screen(sample.summary(failure=Failure(kind=kind, rule="the rule")))
    if kind in {FailureKind.NONE, FailureKind.GENERATOR_LIMITED}:
        assert screen.failure == ""
    else:
        assert screen.failure.endswith(": the rule")


def test_failure_in_time_says_whether_the_server_came_back() -> None:
    assert failure_in_time(sample.summary()) == (
        "Overload, first seen 107 s into the run; the server was back 2.4 s after the load went away"
    )
    assert failure_in_time(sample.summary(failure=Failure(kind=FailureKind.CRASHED, rule="x"))) == "Crashed"
    assert failure_in_time(sample.for_status(OnsetStatus.NO_ONSET)) == ""
