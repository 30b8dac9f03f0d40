"""What the stall ladder costs the server: CPU of an idle Janus with it and without it, by turns.

    python -m tests.benchmarks.bench_ladder [--seconds 30] [--rounds 2] [--janus 1.1.2 1.4.1]

CPU is what the kernel has charged to the whole process, threads that have ended included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import gevent
import gevent.monkey

gevent.monkey.patch_all()

from janusload.janus.connection import Connection  # noqa: E402 - the patches come first
from janusload.lab import Lab, LabOptions  # noqa: E402
from janusload.load.echo import EchoPeer  # noqa: E402
from janusload.load.probes import Ladder  # noqa: E402
from janusload.media.engine import Engine  # noqa: E402
from janusload.records import ProbeRecord, Rung  # noqa: E402

#: until the peer of the media rung is heard
_SETTLE_S = 3.0


def cpu_s(pid: int) -> float:
    """CPU time of another process, by its clock (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def percent(pid: int, seconds: float) -> float:
    """Of a core, over so long."""
    before_s, began = cpu_s(pid), time.monotonic()
    gevent.sleep(seconds)
    return 100.0 * (cpu_s(pid) - before_s) / (time.monotonic() - began)


def asked(lab: Lab, engine: Engine, seconds: float) -> tuple[float, list[ProbeRecord]]:
    """CPU of Janus while every rung is asked, and what they answered."""
    records: list[ProbeRecord] = []
    ladder = Ladder(
        lambda: Connection(lab.url, timeout_s=5.0),
        records.append,
        deadline_s=5.0,
        audiobridge=True,
        echo=EchoPeer(engine),
    )
    ladder.start()
    gevent.sleep(_SETTLE_S)
    del records[:]
    cost = percent(lab.pid, seconds)
    ladder.stop()
    return cost, records


def measured(janus: str, seconds: float, rounds: int, log: Path) -> tuple[float, list[ProbeRecord]]:
    """The difference that the ladder makes, percent of a core, and its records."""
    differences: list[float] = []
    records: list[ProbeRecord] = []
    with Lab(LabOptions(janus=janus), log) as lab:
        engine = Engine(on_record=lambda record: None)
        engine.start()
        for _ in range(rounds):
            without = percent(lab.pid, seconds)
            cost, answers = asked(lab, engine, seconds)
            differences.append(cost - without)
            records += answers
        engine.stop()
    return median(differences), records


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--janus", nargs="+", default=["1.1.2", "1.4.1"])
    options.add_argument("--seconds", type=float, default=30.0)
    options.add_argument("--rounds", type=int, default=2)
    wanted = options.parse_args()
    for janus in wanted.janus:
        with tempfile.TemporaryDirectory() as folder:
            cost, records = measured(janus, wanted.seconds, wanted.rounds, Path(folder) / "log")
        rungs = sum(any(record.ok and record.rung is rung for record in records) for rung in Rung)
        silent = sum(not record.ok for record in records)
        print(
            f"Janus {janus}: the ladder costs {cost:.2f} % of a core; {rungs} rungs, {len(records)} questions,"
            f" {silent} not answered in time",
            flush=True,
        )


if __name__ == "__main__":
    main()
