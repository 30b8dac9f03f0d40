"""One run on several processes: the sum of the load is exact, nothing is lost, and losses are said."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from janusload.analysis.frames import read_frames
from janusload.records import Outcome
from janusload.run_folder import RunFolder
from tests.fake_janus import FakeJanus

ROOT = Path(__file__).parents[2]

SCENARIO = """
schema = 1
name = "fleet"
asks = "Do three processes make what one would?"
[[users]]
name = "client"
count = 6
media = "none"
spawn_rate = "6/s"
life = ["connect", "create", "attach", "join", "wait 0.5 s", "leave", "detach", "destroy", "disconnect"]
[stream]
timeout = "1 s"
connections = 5
[shape]
rates = ["50/s", "90/s"]
samples_per_step = 50
shortest = "{shortest}"
settle = "0.5 s"
[recovery]
at_most = "4 s"
"""


class Started:
    """`python -m janusload.load` on a folder, without the report behind it."""

    def __init__(self, path: Path, url: str, shortest: str, **fleet: object) -> None:
        self.folder = RunFolder.create(path / "run")
        self.folder.write_text("scenario.toml", SCENARIO.format(shortest=shortest))
        target = {"url": url, "allow_public": False, "ca": None, "insecure": False}
        self.folder.write_meta(target=target, scenario={"changes": []}, fleet=fleet)
        self.log = (path / "load.log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "janusload.load", str(self.folder.path), "--tell-fd", "1"],
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            cwd=ROOT,
        )

    def finish(self) -> dict[str, Any]:
        """What it said last."""
        output, _ = self.process.communicate(timeout=90)
        self.log.seek(0)
        log = self.log.read()
        self.log.close()
        assert "Traceback" not in log, log
        said: dict[str, Any] = json.loads(output.splitlines()[-1])
        return said

    def notes(self) -> list[str]:
        marker = read_frames(self.folder)["marker"]
        return [str(words) for words in marker["label"][marker["kind"] == "note"]]


def until(condition: Callable[[], bool], within_s: float = 90.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def worker_pids(started: Started) -> list[int]:
    children = Path(f"/proc/{started.process.pid}/task/{started.process.pid}/children").read_text().split()
    return sorted(pid for pid in map(int, children) if b"load.worker" in Path(f"/proc/{pid}/cmdline").read_bytes())


def test_workers_of_other_machines_make_the_exact_sum_and_hand_everything_over(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    before = set(Path(tempfile.gettempdir()).glob("janusload-worker-*"))
    with FakeJanus() as janus:
        started = Started(tmp_path, janus.url, "2 s", workers=3, local=1, bind=address)
        others = [
            subprocess.Popen([sys.executable, "-m", "janusload", "run", "--worker", address], cwd=ROOT)
            for _ in range(2)
        ]
        said = started.finish()
        assert [each.wait(timeout=20) for each in others] == [0, 0]
        assert not janus.sessions
    assert said == {"type": "end", "end": "completed"}
    assert set(Path(tempfile.gettempdir()).glob("janusload-worker-*")) == before, "handed over, so no longer kept"
    requests = read_frames(started.folder)["request"]
    stream = requests[(requests["name"] == "janus.create") & (requests["source"] == "arrivals")]
    in_steps = stream[stream["step"] >= 0]
    # 2.5 s at 50/s and at 90/s: every arrival once, from whichever worker
    assert in_steps.groupby("step", observed=True).size().to_dict() == {0: 125, 1: 225}
    assert set(in_steps["writer"]) == {"load-1", "load-2", "load-3"}
    assert in_steps.groupby("writer", observed=True).size().max() - len(in_steps) / 3 < 3
    assert set(stream["outcome"]) == {Outcome.OK}
    users = set(requests["user"]) if "user" in requests else set()
    assert not users  # names are not read by the analysis
    took_part = started.folder.read_meta()["fleet"]["took_part"]
    assert [worker["process"] for worker in took_part] == ["load-1", "load-2", "load-3"]
    assert all(worker["clock_offset_ns"] == 0 for worker in took_part), "one machine, one clock"


def test_a_lost_worker_and_one_that_is_held_up_are_said_and_the_others_go_on(tmp_path: Path) -> None:
    with FakeJanus() as janus:
        started = Started(tmp_path, janus.url, "7 s", workers=3, local=3, bind="")
        until(lambda: sum(request["janus"] == "create" for request in janus.requests) > 150)
        pids = worker_pids(started)
        assert len(pids) == 3
        os.kill(pids[0], signal.SIGKILL)
        os.kill(pids[1], signal.SIGSTOP)
        killed_at = time.monotonic_ns()
        time.sleep(4.5)
        os.kill(pids[1], signal.SIGCONT)
        said = started.finish()
    assert said == {"type": "end", "end": "completed"}
    notes = started.notes()
    assert any("is lost (its process has ended" in words for words in notes), notes
    assert any("has said nothing for" in words for words in notes), notes
    assert any("is back" in words for words in notes), notes
    requests = read_frames(started.folder)["request"]
    after = requests[(requests["due_ns"] > killed_at) & (requests["source"] == "arrivals")]
    by_writer = after.groupby("writer", observed=True).size()
    assert sorted(by_writer)[-1] > 100, "the third went on"
    before = requests[(requests["due_ns"] < killed_at - 1_500_000_000) & (requests["step"] >= 0)]
    assert before.groupby("writer", observed=True).size().count() == 3, "what the lost one had written is there"
    gone = [worker["process"] for worker in started.folder.read_meta()["fleet"]["took_part"] if worker["gone"]]
    assert len(gone) == 1
