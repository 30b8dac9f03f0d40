"""Whole runs on control groups of version 2: what the report says of memory, and what stalls are called."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from janusload.analysis.frames import read_frames
from janusload.run_folder import RunFolder
from tests.benchmarks.lab_runs import stalls_of

ROOT = Path(__file__).parents[2]


def run(scenario: str, out: Path, *words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.vm.patience", "run", scenario, "--lab", "--out", str(out), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (out / "summary.json").exists(), done.stdout + done.stderr
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return summary


def test_a_recorded_run_in_a_memory_limit(tmp_path: Path) -> None:
    few = ["--set", "users.0.count=2", "--set", "rooms.0.count=1", "--set", 'lab.memory="64 MB"']
    summary = run("scenarios/record-soak.toml", tmp_path / "run", "--run-time", "60 s", *few)
    memory = summary["memory"]
    # a minute of an overloaded machine is too short to say anything of growth
    assert memory["source"] == "control group", memory
    assert memory["limit_mb"] == 64 and memory["oom_kills"] == 0 and memory["limit_hits"] is not None
    assert memory["state"] in ("below_limit", "at_limit_harmless"), memory["state_words"]
    # what only version 2 splits up
    assert memory["slab_mb_max"] > 0 and memory["kernel_stack_mb_max"] > 0 and memory["sock_mb_max"] is not None
    assert memory["file_mb_max"] > 1 and memory["dirty_mb_max"] > 0 and memory["written_mb"] > 1
    assert 1 < memory["firm_mb"] < memory["limit_mb"]


def test_stalls_are_called_by_their_names(tmp_path: Path) -> None:
    words = ["--no-backtrace", "--run-time", "60 s", "--set", "users.0.count=1", "--set", "users.1.count=1"]
    words += ["--fault", "freeze after 20 s for 8 s", "--fault", "few-threads after 42 s for 6 s"]
    run("tests/benchmarks/faults.toml", tmp_path / "run", "--set", 'shape.load="5/s"', *words)
    marker = read_frames(RunFolder.open(tmp_path / "run"))["marker"]
    stalls = [kind for _, kind in stalls_of(marker.sort_values("t_ns", kind="stable"))]
    # Janus 1.1.2 may crash where it gets no thread
    assert stalls in (["process_frozen", "threads"], ["process_frozen", "threads", "crashed"])
