"""How right the onset is: many runs against servers with a known truth.

Run it for the table (`make check-statistics`: 1,000 runs a law, intervals for a fifth of them)::

    python -m tests.analysis.check_statistics [RUNS [SEED]]
"""

from __future__ import annotations

import multiprocessing
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from janusload.analysis.answer import onset_of
from janusload.summary import OnsetStatus
from tests.analysis.laws import PLAN, T_S, Bimodal, Bursts, Flat, Law, Lognormal, Queue, Remembering

SAMPLES = 600

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
    "bimodal": Bimodal(),
    "bimodal, 0.1 % lost": Bimodal(background=0.001),
    "bimodal, 0.5 % lost": Bimodal(background=0.005),
    "bursts": Bursts(),
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
        covered, intervals: of the 95 % intervals of the p95 latency, how many hold the truth, of how many; where the
            latency jumps, both ends of the jump.
        widths: upper end over lower end of each interval.
    """

    runs: int
    within_one: int = 0
    early: int = 0
    false: int = 0
    statuses: Counter[OnsetStatus] = field(default_factory=Counter)
    covered: int = 0
    intervals: int = 0
    widths: list[float] = field(default_factory=list)


def score(law: Law, runs: int, seed: int = 1, *, intervals: int = 1_000_000, samples: int = SAMPLES) -> Score:
    """Run against a law; the same seed gives the same score.

    Args:
        intervals: of how many of the runs to compute the interval too, which takes most of the time.
    """
    random = np.random.default_rng(seed)
    truth_s = law.onset_latency_s(PLAN.rule.quantile)
    first_bad = law.first_bad()
    found = Score(runs)
    for run in range(runs):
        onset = onset_of(law.steps(samples, random), None, PLAN, T_S, intervals=run < intervals and truth_s is not None)
        found.statuses[onset.status] += 1
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
    """Print the table."""
    arguments = sys.argv[1:] if argv is None else argv
    runs = int(arguments[0]) if arguments else 100
    seed = int(arguments[1]) if len(arguments) > 1 else 1
    write = sys.stdout.write
    write(f"{runs} runs a law, 12 steps of {SAMPLES} samples, T = {T_S:g} s, p0 = {PLAN.rule.p0:.0%}, seed {seed}\n")
    write(f"{'law':31} {'within one':>10} {'early':>6} {'false':>6} {'covers':>7} {'width':>6}  statuses\n")
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        scores = [pool.submit(score, law, runs, seed, intervals=max(1, runs // 5)) for law in LAWS.values()]
        for (name, law), found in zip(LAWS.items(), scores, strict=True):
            write(_row(name, law, found.result()))
            sys.stdout.flush()
    return 0


def _row(name: str, law: Law, found: Score) -> str:
    without = law.first_bad() is None
    right, early = ("" if without else f"{each / found.runs:.1%}" for each in (found.within_one, found.early))
    covers = f"{found.covered / found.intervals:.1%}" if found.intervals else ""
    width = f"x{np.median(found.widths):.2f}" if found.widths else ""
    statuses = ", ".join(f"{status} {count}" for status, count in found.statuses.most_common())
    false = f"{found.false / found.runs:.1%}"
    return f"{name:31} {right:>10} {early:>6} {false:>6} {covers:>7} {width:>6}  {statuses}\n"


if __name__ == "__main__":
    sys.exit(main())
