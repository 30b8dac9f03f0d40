"""How right the onset is: many runs against servers with a known truth.

Run it for the table (1,000 runs a law take about four minutes)::

    python -m tests.analysis.check_statistics 1000
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass

import numpy as np

from janusload.analysis.answer import onset_of
from janusload.summary import OnsetStatus
from tests.analysis.laws import PLAN, T_S, Bimodal, Bursts, Flat, Law, Lognormal, Queue

SAMPLES = 600

LAWS: dict[str, Law] = {
    "lognormal": Lognormal(),
    "lognormal, 0.1 % lost": Lognormal(background=0.001),
    "lognormal, 0.5 % lost": Lognormal(background=0.005),
    "lognormal, slow growth": Lognormal(growth=1.2),
    "lognormal, heavy tail": Lognormal(sigma=1.0),
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
        within_one: K in the first step that is truly bad, or the next.
        false: K below that step, or where there is none.
        statuses: how often each came out.
        covered, intervals: of the 95 % intervals of the p95 latency, how many hold the truth, of how many.
    """

    runs: int
    within_one: int
    false: int
    statuses: Counter[OnsetStatus]
    covered: int
    intervals: int


def score(law: Law, runs: int, seed: int = 1, *, intervals: bool = True) -> Score:
    """Run against a law; the same seed gives the same score."""
    random = np.random.default_rng(seed)
    truth_s = law.onset_latency_s(PLAN.rule.quantile)
    first_bad = law.first_bad()
    found = Score(runs, 0, 0, Counter(), 0, 0)
    for _ in range(runs):
        onset = onset_of(law.steps(SAMPLES, random), None, PLAN, T_S, intervals=intervals and truth_s is not None)
        found.statuses[onset.status] += 1
        bad = onset.load_bracket[1] if onset.load_bracket else None
        if bad is not None:
            step = round(bad) - 1  # loads are 1 to 12
            found.within_one += first_bad is not None and step in (first_bad, first_bad + 1)
            found.false += first_bad is None or step < first_bad
        if truth_s is not None and onset.latency_ms is not None and onset.latency_ms.p95 is not None:
            interval = onset.latency_ms.p95.ci95
            if interval is not None:
                found.intervals += 1
                found.covered += interval[0] <= truth_s * 1000 <= interval[1]
    return found


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    arguments = sys.argv[1:] if argv is None else argv
    runs = int(arguments[0]) if arguments else 100
    write = sys.stdout.write
    write(f"{runs} runs a law, 12 steps of {SAMPLES} samples, T = {T_S:g} s, p0 = {PLAN.rule.p0:.0%}\n")
    write(f"{'law':28} {'right step':>10} {'false':>7} {'covers':>7}  statuses\n")
    for name, law in LAWS.items():
        found = score(law, runs)
        right = "" if law.first_bad() is None else f"{found.within_one / runs:.1%}"
        covers = f"{found.covered / found.intervals:.1%}" if found.intervals else ""
        statuses = ", ".join(f"{status} {count}" for status, count in found.statuses.most_common())
        write(f"{name:28} {right:>10} {found.false / runs:>7.1%} {covers:>7}  {statuses}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
