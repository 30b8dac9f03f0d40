"""How right the onset is: many runs against servers with a known truth.

Run it for the table (`make check-statistics`: 1,000 runs a law), which also goes to reports/out/statistics.md::

    python -m tests.analysis.check_statistics [RUNS [SEED]]
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from janusload.analysis.answer import onset_of
from janusload.summary import OnsetStatus
from tests.analysis.laws import PLAN, T_S, Bimodal, Bursts, Flat, Law, Lognormal, Queue, Remembering

SAMPLES = 600
OUT = Path("reports/out/statistics.md")

LAWS: dict[str, Law] = {
    "lognormal": Lognormal(),
    "lognormal, 0.1 % lost": Lognormal(background=0.001),
    "lognormal, 0.5 % lost": Lognormal(background=0.005),
    "lognormal, slow growth": Lognormal(growth=1.2),
    "slow growth, late in step": Lognormal(growth=1.2, onset=6.9),
    "lognormal, heavy tail": Lognormal(sigma=1.0),
    "lognormal, onset early in step": Lognormal(onset=6.1),
    "lognormal, onset late in step": Lognormal(onset=6.9),
    "autocorrelated": Remembering(),
    "autocorrelated, 0.5 % lost": Remembering(background=0.005),
    "M/G/1": Queue(),
    "M/G/1, 0.1 % lost": Queue(background=0.001),
    "M/G/1, 0.5 % lost": Queue(background=0.005),
    "bimodal": Bimodal(),
    "bimodal, 0.1 % lost": Bimodal(background=0.001),
    "bimodal, 0.5 % lost": Bimodal(background=0.005),
    "bursts": Bursts(),
    "bursts, 0.1 % lost": Bursts(background=0.001),
    "bursts, 0.5 % lost": Bursts(background=0.005),
    "flat": Flat(),
    "flat, 0.1 % lost": Flat(0.001),
    "flat, 0.5 % lost": Flat(0.005),
    "flat, 1 % lost (p0 itself)": Flat(0.01),
}


@dataclass
class Score:
    """What became of the runs against one law.

    Attributes:
        runs: how many.
        within_one: K is the first step that is truly bad, or a neighbour of it.
        early: K is the step directly below that one. Where the true rate there is a hair under p0 (0.92 % with the
            onset early in a step), no number of samples that anybody would take tells it from p0.
        false: K further below, or where there is no onset at all.
        statuses: how often each came out.
        right_status: how often it was one of `right_statuses`.
        covered, intervals: of the 95 % intervals of the p95 latency, how many hold the truth, of how many; where the
            latency jumps, both ends of the jump.
        widths: upper end over lower end of each interval.
    """

    runs: int
    within_one: int = 0
    early: int = 0
    false: int = 0
    statuses: Counter[OnsetStatus] = field(default_factory=Counter)
    right_status: int = 0
    covered: int = 0
    intervals: int = 0
    widths: list[float] = field(default_factory=list)


def right_statuses(law: Law) -> set[OnsetStatus]:
    """What a run against this law may say.

    A loss of half of p0 at any load is not proven to be below p0 by 600 samples in every run, and the tool says so.
    """
    unsure = law.background >= PLAN.rule.p0 / 2
    if law.first_bad() is None:
        return {OnsetStatus.NO_ONSET} | ({OnsetStatus.INSUFFICIENT_DATA} if unsure else set())
    return {OnsetStatus.FOUND} | ({OnsetStatus.LOWER_UNPROVEN} if unsure else set())


def score(law: Law, runs: int, seed: int = 1, *, intervals: bool = True, samples: int = SAMPLES) -> Score:
    """Run against a law; the same seed gives the same score.

    Args:
        intervals: whether to compute the intervals too, which takes most of the time.
    """
    random = np.random.default_rng(seed)
    truth_s = law.onset_latency_s(PLAN.rule.quantile)
    first_bad = law.first_bad()
    found = Score(runs)
    for _ in range(runs):
        onset = onset_of(law.steps(samples, random), None, PLAN, T_S, intervals=intervals and truth_s is not None)
        found.statuses[onset.status] += 1
        found.right_status += onset.status in right_statuses(law)
        bad = onset.load_bracket[1] if onset.load_bracket else None
        if bad is not None:
            step = round(bad) - 1  # loads are 1 to 12
            found.within_one += first_bad is not None and abs(step - first_bad) <= 1
            found.early += first_bad is not None and step == first_bad - 1
            found.false += first_bad is None or step < first_bad - 1
        if truth_s is not None and onset.latency_ms is not None and onset.latency_ms.p95 is not None:
            interval = onset.latency_ms.p95.ci95
            if interval is not None:
                found.intervals += 1
                found.covered += interval[0] <= truth_s[0] * 1000 and truth_s[1] * 1000 <= interval[1]
                found.widths.append(interval[1] / interval[0])
    return found


def main(argv: list[str] | None = None) -> int:
    """Print the table, row by row as laws are done."""
    arguments = sys.argv[1:] if argv is None else argv
    runs = int(arguments[0]) if arguments else 100
    seed = int(arguments[1]) if len(arguments) > 1 else 1
    lines = [
        f"{runs:,} runs a law, 12 steps of {SAMPLES} samples, T = {T_S:g} s, p0 = {PLAN.rule.p0:.0%}, seed {seed}",
        "",
        f"| {'law':30} | {'step ±1':>7} | {'early':>6} | {'false':>6} | {'status':>7} | {'covers':>7} | {'width':>5} |",
        f"|{'-' * 32}|{'-' * 8}:|{'-' * 7}:|{'-' * 7}:|{'-' * 8}:|{'-' * 8}:|{'-' * 6}:|",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        scores = [pool.submit(score, law, runs, seed) for law in LAWS.values()]
        for (name, law), found in zip(LAWS.items(), scores, strict=True):
            lines.append(_row(name, law, found.result()))
            sys.stdout.write(lines[-1] + "\n")
            sys.stdout.flush()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def _row(name: str, law: Law, found: Score) -> str:
    without = law.first_bad() is None
    right, early = ("" if without else f"{each / found.runs:.1%}" for each in (found.within_one, found.early))
    covers = f"{found.covered / found.intervals:.1%}" if found.intervals else ""
    width = f"x{np.median(found.widths):.1f}" if found.widths else ""
    false, status = f"{found.false / found.runs:.1%}", f"{found.right_status / found.runs:.1%}"
    return f"| {name:30} | {right:>7} | {early:>6} | {false:>6} | {status:>7} | {covers:>7} | {width:>5} |"


if __name__ == "__main__":
    # matrices are small here: threads inside each process would only get in each other's way
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    sys.exit(main())
