"""How long the report of a run takes, and how much memory, from ten thousand records to ten million.

    python -m tests.benchmarks.bench_analysis [LARGEST]

Every row is `janusload report RUN_DIR` in a process of its own on one core: reading, analysis, and every file of the
report. Rows go to reports/out/bench/analysis.json: `records`, `seconds` (from the shell), `cpu_seconds`, `peak_rss_mb`.
The last row is a run of two minutes as `make demo` makes it: 100 to 1,400 requests a second, each with its destroy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from janusload.run_folder import RunFolder
from tests.analysis.simulated import START_NS
from tests.analysis.test_scale import write

OUT = Path("reports/out/bench/analysis.json")
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
TWO_MINUTES = 140_000


def measured(folder: Path, records: int, step_s: float) -> dict[str, float]:
    """One row; the run lies in a scratch folder that is gone afterwards."""
    run = RunFolder.create(folder / f"run-{records}")
    run.write_meta(clock={"monotonic_ns": START_NS}, run={"end": "completed"}, analysis={"timeout_s": 2.0})
    write(run, records, step_s)
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "janusload", "report", str(run.path)],
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 3, 4):
        raise SystemExit(f"janusload report ended with {code}")
    return {
        "records": records,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_rss_mb": round(usage.ru_maxrss / 1024, 1),
        "html_mb": round((run.path / "report.html").stat().st_size / 1e6, 2),
    }


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    largest = int(arguments[0]) if arguments else SIZES[-1]
    rows = []
    for records, step_s in [*((size, 60.0) for size in SIZES if size <= largest), (TWO_MINUTES, 10.0)]:
        with tempfile.TemporaryDirectory() as folder:
            row = measured(Path(folder), records, step_s)
        rows.append(row)
        print(", ".join(f"{key} {value:,}" for key, value in row.items()), flush=True)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
