"""A million records: how long, and how much memory (issue 6 asks for ten million in 30 s and 2 GB)."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from janusload.records import MarkerKind, MarkerRecord, RequestRecord
from janusload.run_folder import RunFolder, arrow_schema
from tests.analysis.simulated import START_NS, S, ns

STEPS = 12
STEP_S = 60.0


def write(folder: RunFolder, records: int, step_s: float = STEP_S) -> None:
    """A run of twelve steps with timeouts from the ninth on, half creates and half destroys, by whole columns."""
    random = np.random.default_rng(1)
    writer = folder.writer("load")
    schema = arrow_schema(RequestRecord)
    made = 0

    def words(choice: list[str], codes: np.ndarray) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(choice))

    with pa.OSFile(str(folder.records / "request-load.arrows"), "wb") as file, pa.ipc.new_stream(file, schema) as out:
        for step in range(STEPS):
            count = round(records / 2 / (STEPS * (STEPS + 1) / 2) * (step + 1))
            writer.write(MarkerRecord(ns(step * step_s), MarkerKind.STEP_BEGIN, step, value=count / step_s))
            writer.write(MarkerRecord(ns((step + 1) * step_s), MarkerKind.STEP_END, step, value=float(count)))
            for name in (0, 1):
                for piece in np.array_split(np.arange(count), 60):
                    due = START_NS + ((step + piece / count) * step_s * S).astype(np.int64)
                    wait = random.lognormal(np.log(0.04 + 0.02 * step), 0.8, len(piece))
                    slow = (wait > 2.0) | ((random.random(len(piece)) < 0.1) & (step >= 8))
                    none = np.zeros(len(piece), np.int64)
                    columns = [
                        pa.array(made + np.arange(len(piece))),
                        words(["janus.create", "janus.destroy"], none + name),
                        words(["arrivals", "housekeeping"], none + name),
                        pa.array(none + step),
                        pa.array(due),
                        pa.array(due + 200_000),
                        pa.array(due + (wait * S).astype(np.int64), mask=slow),
                        pa.array(np.full(len(piece), 2.0)),
                        words(["ok", "api_timeout"], slow),
                        *[words([""], none)] * 3,
                        pa.nulls(len(piece), pa.int64()),
                        words([f"stream-{n}" for n in range(20)], piece % 20),
                    ]
                    made += len(piece)
                    out.write_batch(pa.record_batch(columns, schema=schema))
    writer.close()


SCRIPT = """
    import json, resource, sys, time
    from pathlib import Path
    from janusload.analysis import summarize
    from janusload.run_folder import RunFolder
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    summary = summarize(RunFolder.open(Path(sys.argv[1])))
    cpu_s = time.process_time() - began
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    size = len(summary.to_json())
    print(json.dumps({"cpu_s": cpu_s, "grown_mb": grown_mb, "size": size, "bad": summary.onset.load_bracket[1]}))
"""


def measured(path: Path, records: int) -> dict[str, float]:
    folder = RunFolder.create(path / f"run-{records}")
    folder.write_meta(
        clock={"monotonic_ns": START_NS}, run={"end": "completed"}, analysis={"timeout_s": 2.0, "settle_s": 5.0}
    )
    write(folder, records)
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder.path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    found: dict[str, float] = json.loads(ended.stdout)
    return found


def test_a_million_records(tmp_path: Path) -> None:
    small, large = measured(tmp_path, 10**5), measured(tmp_path, 10**6)
    assert large["bad"] == pytest.approx(10 * small["bad"], rel=0.01)  # the same step, at ten times the load
    # a tenth of what ten million may take, with room for a busy machine and for what does not grow with the records
    assert large["cpu_s"] < 6.0
    assert large["grown_mb"] < 350
    assert large["size"] < 1.2 * small["size"]  # the summary does not grow with the run
