"""A worker on another machine: a network namespace with a clock of its own, against a real Janus, over its own wire."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.ipc
import pytest

from janusload.analysis.frames import read_frames
from janusload.lab import Lab
from janusload.lab.network import Network
from janusload.run_folder import RunFolder

ROOT = Path(__file__).parents[2]

#: how far its clock is from ours
AHEAD_S = 7_200

SCENARIO = """
schema = 1
name = "two-machines"
asks = "Do two machines make what one would?"
[[users]]
name = "talker"
weight = 1
spawn_rate = "4/s"
clip = "tone:440"
[stream]
rate = "40/s"
timeout = "2 s"
connections = 4
[shape]
kind = "soak"
load = 4
lasts = "8 s"
[recovery]
at_most = "4 s"
"""


@contextmanager
def other_machine(lab: Lab) -> Iterator[Network]:
    """A namespace that reaches us and, through us, the lab: only these two interfaces forward."""
    machine = Network()
    try:
        for near, far in ((machine, lab.network), (lab.network, machine)):
            Path(f"/proc/sys/net/ipv4/conf/{near.interface}/forwarding").write_text("1")
            route = ("ip", "route", "add", str(far.subnet), "via", str(near.host_address))
            subprocess.run(near.inside(*route), check=True)
        yield machine
    finally:
        subprocess.run(lab.network.inside("ip", "route", "del", str(machine.subnet)), check=False)
        Path(f"/proc/sys/net/ipv4/conf/{lab.network.interface}/forwarding").write_text("0")
        machine.close()


@pytest.mark.lab
def test_its_load_and_its_audio_count_and_its_records_line_up(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO)
    with other_machine(lab) as machine:
        address = f"{machine.host_address}:{15_000 + os.getpid() % 20_000}"
        worker = subprocess.Popen(
            machine.inside(
                *("unshare", "--time", "--monotonic", str(AHEAD_S)),
                *(sys.executable, "-m", "janusload", "run", "--worker", address),
            ),
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        command = ["run", path, "--host", lab.url, "--admin", lab.admin_url, "--out", tmp_path / "run"]
        fleet = ["--processes", "1", "--master", address, "--workers", "1"]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "janusload", *command, *fleet],
                capture_output=True,
                text=True,
                timeout=150,
                cwd=ROOT,
                env={**os.environ, "JANUS_ADMIN_SECRET": lab.admin_secret},
                check=False,
            )
            assert done.returncode in (0, 4), done.stdout + done.stderr
            assert f"Waiting for a worker first: janusload run --worker {address}" in done.stdout
            _, errors = worker.communicate(timeout=30)
        finally:
            worker.kill()
            worker.communicate()
    assert worker.returncode == 0 and f"waiting for the master at {address}" in errors, errors
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["run"]["end"] == "completed", done.stdout + done.stderr
    assert summary["leaks"]["sessions"] == 0
    assert summary["media"]["participants"] == 4 and summary["media"]["failed"] == 0 and summary["media"]["silent"] == 0

    folder = RunFolder.open(tmp_path / "run")
    here, there = sorted(folder.read_meta()["fleet"]["took_part"], key=lambda worker: worker["clock_offset_ns"])
    assert here["clock_offset_ns"] == here["clock_error_ns"] == 0
    offset_ns, error_ns = there["clock_offset_ns"], there["clock_error_ns"]
    assert abs(offset_ns - AHEAD_S * 10**9) <= error_ns < 20e6, "one kernel: the truth is known"
    assert summary["generator"]["clocks"][there["process"]] == pytest.approx([offset_ns / 1e6, error_ns / 1e6])
    words = f"{offset_ns / 1e6:+,.1f} ms ± {error_ns / 1e6:.1f} ms, taken out of its records"
    assert words in (tmp_path / "run" / "report.html").read_text()
    assert [step["offered"] for step in summary["steps"]] == [4], "participants, and not the rate of the stream"

    # every arrival once, half of them from there; and those moments, moved, are the true ones within the stated error
    requests = read_frames(folder)["request"]
    stream = requests[(requests["name"] == "janus.create") & (requests["source"] == "arrivals")]
    assert stream.groupby("writer", observed=True).size().to_dict() == {"load-1": 160, "load-2": 160}
    moved = sorted(stream["due_ns"][stream["writer"] == there["process"]])
    raw = sorted(
        due_ns
        for file in folder.records.glob(f"request-{there['process']}*.arrows")
        for batch in pyarrow.ipc.open_stream(file)
        for row in batch.to_pylist()
        for due_ns in [row["due_ns"]]
        if row["name"] == "janus.create" and row["source"] == "arrivals"
    )
    assert len(raw) == len(moved) == 160
    assert max(abs(a - (b - AHEAD_S * 10**9)) for a, b in zip(moved, raw, strict=True)) <= error_ns
    # 25 ms apart, in turn from here and from there
    both = sorted(stream["due_ns"])
    assert max(abs(both[k] - both[0] - k * 25_000_000) for k in range(320)) <= error_ns + 1_000
    assert abs(both[0] - time.monotonic_ns()) < 600e9
