"""The number that the tool reports, against servers whose onset is known (issue 6, "How right")."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from janusload.analysis import summarize
from janusload.analysis.bootstrap import StepSample, bootstrap
from janusload.analysis.onset import Rule, locate_all
from janusload.summary import OnsetStatus
from tests.analysis import check_statistics
from tests.analysis.check_statistics import LAWS, score
from tests.analysis.laws import T_S, Bursts, Lognormal
from tests.analysis.simulated import Simulated, knee

RUNS = 300
SEED = 3

WITH_ONSET = [name for name, law in LAWS.items() if law.first_bad() is not None]


@pytest.mark.parametrize("name", WITH_ONSET)
def test_the_right_step(name: str) -> None:
    found = score(LAWS[name], RUNS, SEED, intervals=False)
    assert found.within_one >= 0.97 * RUNS
    assert found.false <= 0.01 * RUNS
    # where the step below the onset is a hair under p0 it is taken for bad now and then, else hardly ever; and bounds
    # that take neighbouring requests for independent promise a little too much where they are not
    near = "early" in name or "autocorrelated" in name or "0.5 %" in name
    assert found.early <= (0.16 if near else 0.015) * RUNS
    assert found.right_status == RUNS


@pytest.mark.parametrize("name", sorted(LAWS.keys() - WITH_ONSET))
def test_no_false_onset(name: str) -> None:
    found = score(LAWS[name], 1000, SEED)
    assert found.false <= 10
    assert found.right_status >= 990


@pytest.mark.parametrize("steps, samples", [(6, 268), (12, 268), (20, 268), (12, 600), (20, 600), (12, 1500)])
def test_no_false_onset_whatever_the_plan(steps: int, samples: int) -> None:
    """At a flat rate of p0 itself, where it is hardest, for other numbers of steps and samples."""
    attempts = np.full((20_000, steps), float(samples))
    timeouts = np.random.default_rng(SEED).binomial(samples, 0.01, attempts.shape).astype(float)
    assert (locate_all(attempts, timeouts, Rule()).bad >= 0).mean() <= 0.01


def test_the_interval_covers_the_truth() -> None:
    covered = intervals = 0
    for name in WITH_ONSET:
        found = score(LAWS[name], 25, SEED)
        assert found.intervals >= 10 and found.covered >= 0.9 * found.intervals, name
        covered, intervals = covered + found.covered, intervals + found.intervals
    assert covered >= 0.95 * intervals


@pytest.mark.parametrize("seed", range(8))
def test_through_the_run_folder(tmp_path: Path, seed: int) -> None:
    """A server with a known onset, written as a run and read back, comes out in the right step."""
    random = np.random.default_rng(seed)
    loads = (60, 80, 100, 120, 140, 160)
    bad = int(random.integers(1, 5))
    run = Simulated(loads=loads, law=knee(loads[bad], float(random.uniform(0.05, 0.6))), seed=seed)
    onset = summarize(run.write(tmp_path / "run")).onset
    assert onset.status is OnsetStatus.FOUND
    assert onset.load_bracket == (pytest.approx(loads[bad - 1], rel=0.02), pytest.approx(loads[bad], rel=0.02))
    assert onset.latency_ms is not None and onset.latency_ms.p95 is not None
    assert onset.latency_ms.p95.ci95 is not None and onset.load_ci95 is not None
    low, high = onset.latency_ms.p95.ci95
    assert low <= onset.latency_ms.p95.value * 1.01 and onset.latency_ms.p95.value <= high * 1.01


def samples(law: Lognormal | Bursts, seed: int) -> list[StepSample]:
    steps = law.steps(600, np.random.default_rng(seed))
    return [StepSample(step.achieved, step.due_ns, step.wait_s, step.timed_out) for step in steps]


def test_the_bootstrap_has_a_fixed_seed() -> None:
    first, second = (bootstrap(samples(Lognormal(), 7), Rule(), T_S, (0.5, 0.95)) for _ in range(2))
    assert first == second and len(first.latency_s) == 2


def test_bursts_widen_the_interval() -> None:
    """The same number of timeouts in a few bursts is less evidence than scattered ones: blocks must show that."""
    scattered = samples(Lognormal(), 3)
    random = np.random.default_rng(1)
    bursty = []
    for step in scattered:
        order = np.argsort(step.wait_s)
        # all slow ones side by side
        shift = int(random.integers(0, len(order)))
        order = np.roll(order, shift)
        bursty.append(step._replace(wait_s=step.wait_s[order], timed_out=step.timed_out[order]))
    wide, narrow = (bootstrap(each, Rule(), T_S, (0.95,)) for each in (bursty, scattered))
    assert wide.latency_s is not None and narrow.latency_s is not None
    assert wide.without > narrow.without or np.log(wide.latency_s[0][1] / wide.latency_s[0][0]) > 1.2 * np.log(
        narrow.latency_s[0][1] / narrow.latency_s[0][0]
    )


def test_the_share_without_onset_is_told() -> None:
    steps = samples(Bursts(every_s=100.0), 2)  # a burst in some steps only
    found = bootstrap(steps, Rule(), T_S, (0.95,))
    assert 0.0 <= found.without <= 1.0
    quiet = [step._replace(timed_out=np.zeros_like(step.timed_out)) for step in steps]
    assert bootstrap(quiet, Rule(), T_S, (0.95,)).without == 1.0


def test_the_table_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_statistics, "LAWS", {name: LAWS[name] for name in ("lognormal", "flat")})
    monkeypatch.setattr(check_statistics, "OUT", tmp_path / "out" / "statistics.md")
    assert check_statistics.main(["2"]) == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "out" / "statistics.md").read_text() == printed
    first, *_, lognormal, flat = printed.splitlines()
    assert first.startswith("2 runs a law") and lognormal.startswith("| lognormal ") and flat.startswith("| flat ")
    cells = [[cell.strip() for cell in row.split("|")[2:]] for row in (lognormal, flat)]
    assert cells[0][0] == cells[0][3] == cells[0][4] == "100.0%" and cells[1][2] == "0.0%"
