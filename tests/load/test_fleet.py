"""One run on several processes: the sum of the load is exact, nothing is lost, and losses are said."""

from __future__ import annotations

import itertools
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

import gevent.event
import pytest

from janusload import __version__
from janusload.analysis import merge, summarize
from janusload.analysis.frames import read_frames
from janusload.analysis.gaps import missing_of
from janusload.errors import SurroundingsError
from janusload.load.fleet import Fleet
from janusload.load.limit_watch import LimitWatch
from janusload.records import Outcome
from janusload.report.tables import generator
from janusload.run_folder import RunFolder
from tests.fake_janus import SILENCE, FakeJanus

ROOT = Path(__file__).parents[2]

#: how far the clock of the worker on "another machine" is from ours
AHEAD_S = 3600

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

LIMITED = """
schema = 1
name = "limited"
asks = "Does a limit count for all processes together?"
limits = ["timeout rate < 50 % over 4 s, abort"]
[stream]
timeout = "300 ms"
connections = 3
[shape]
kind = "soak"
load = "12/s"
lasts = "60 s"
[recovery]
at_most = "2 s"
"""


class Started:
    """`python -m janusload.load` on a folder, without the report behind it."""

    def __init__(self, path: Path, url: str, scenario: str, **fleet: object) -> None:
        self.folder = RunFolder.create(path / "run")
        self.folder.write_text("scenario.toml", scenario)
        self.said: list[dict[str, Any]] = []
        target = {"url": url, "allow_public": False, "ca": None, "insecure": False}
        self.folder.write_meta(target=target, scenario={"text": scenario, "changes": []}, fleet=fleet)
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
        self.said = [json.loads(line) for line in output.splitlines()]
        return self.said[-1]


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
        started = Started(tmp_path, janus.url, SCENARIO.format(shortest="2 s"), workers=3, local=1, bind=address)
        # the second is on a clock of its own, an hour ahead, as a worker on another machine is
        others = [
            subprocess.Popen([*elsewhere, sys.executable, "-m", "janusload", "run", "--worker", address], cwd=ROOT)
            for elsewhere in ([], ["unshare", "--time", "--monotonic", str(AHEAD_S)])
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
    ahead_ms = sorted(round(worker["clock_offset_ns"] / 1e6) for worker in took_part)
    assert ahead_ms[:2] == [0, 0], "one machine, one clock"
    assert ahead_ms[2] == pytest.approx(AHEAD_S * 1000, abs=50)
    # and it is stated; the moments of its records are the master's all the same
    summary = summarize(started.folder)
    (other,) = summary.generator.clocks
    assert summary.generator.clocks[other][0] == pytest.approx(AHEAD_S * 1000, abs=50)
    assert any("taken out" in value for _, value in generator(summary).rows)
    begins = in_steps.groupby(["step", "writer"], observed=True)["due_ns"].min().groupby("step")
    # the first of each worker's arrivals come one after the other, 20 and 11 ms apart
    assert (begins.max() - begins.min()).max() < 100e6


def test_what_a_worker_still_has_of_a_killed_master_is_merged_into_its_run(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    scratch = {**os.environ, "TMPDIR": str(tmp_path)}
    command = ["unshare", "--time", "--monotonic", str(AHEAD_S), sys.executable, "-m", "janusload", "run"]
    with FakeJanus() as janus:
        started = Started(tmp_path, janus.url, SCENARIO.format(shortest="9 s"), workers=1, local=0, bind=address)
        worker = subprocess.Popen([*command, "--worker", address], cwd=ROOT, env=scratch)
        until(lambda: sum(request["janus"] == "create" for request in janus.requests) > 150)
        started.process.kill()
        started.process.communicate()
        killed_at = time.monotonic_ns()
        time.sleep(3)
        worker.kill()
        worker.wait()
    started.log.close()
    (kept,) = tmp_path.glob("janusload-worker-*")
    moved = merge([started.folder, RunFolder.open(kept)], tmp_path / "merged")
    assert "measured by the master" in moved[1].how
    whole, masters = (
        read_frames(folder, only={"request"})["request"]
        for folder in (RunFolder.open(tmp_path / "merged"), started.folder)
    )
    after = whole[(whole["due_ns"] > killed_at) & (whole["source"] == "arrivals")]
    assert len(after) > 50, "the worker went on for a while, and its hour is taken off"
    assert after["due_ns"].max() < killed_at + 4e9
    assert len(whole) > len(masters) and not whole.duplicated(["writer", "attempt", "name"]).any()


def test_a_lost_worker_and_one_that_is_held_up_are_said_and_the_others_go_on(tmp_path: Path) -> None:
    with FakeJanus() as janus:
        started = Started(tmp_path, janus.url, SCENARIO.format(shortest="7 s"), workers=3, local=3, bind="")
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
    frames = read_frames(started.folder)
    lost, held_up = missing_of(frames["marker"])
    if lost.end_ns is not None:
        lost, held_up = held_up, lost
    assert "is lost (its process has ended" in lost.words and "has said nothing for" in held_up.words
    assert abs(lost.begin_ns - killed_at) < 1e9 and lost.end_ns is None
    assert abs(held_up.begin_ns - killed_at) < 1e9
    assert held_up.end_ns is not None and 4e9 < held_up.end_ns - held_up.begin_ns < 7e9
    summary = summarize(started.folder)
    assert {gap.process for gap in summary.generator.gaps} == {lost.process, held_up.process}
    assert not any(step.counted for step in summary.steps), "both steps lost a third of their load"
    assert not summary.generator.valid and "was missing for" in " ".join(summary.generator.reasons)
    requests = frames["request"]
    after = requests[(requests["due_ns"] > killed_at) & (requests["source"] == "arrivals")]
    by_writer = after.groupby("writer", observed=True).size()
    assert sorted(by_writer)[-1] > 100, "the third went on"
    before = requests[(requests["due_ns"] < killed_at - 1_500_000_000) & (requests["source"] == "arrivals")]
    assert set(before["writer"]) == {"load-1", "load-2", "load-3"}, "what the lost one had written is there"
    gone = [worker["process"] for worker in started.folder.read_meta()["fleet"]["took_part"] if worker["gone"]]
    assert len(gone) == 1
    # and a person who watches sees it: the gap while it lasts, and how the busiest of those that are there does
    progress = [each for each in started.said if each["type"] == "progress"]
    assert {len(each["missing"]) for each in progress} == {0, 1, 2} and progress[-1]["missing"] == gone
    assert {each["processes"] for each in progress} >= {2, 3, 4}, "with the master, which asks the server too"


def test_a_limit_that_ends_the_run_is_judged_over_all_processes(tmp_path: Path) -> None:
    # four a second from each of three: none of them alone has the twenty that are judged within four seconds
    creates = itertools.count()

    def script(request: dict[str, Any]) -> float | str:
        # it is looked at before the load, and then no more
        return SILENCE if request["janus"] == "create" and next(creates) > 8 else 0.0

    with FakeJanus(script) as janus:
        started = Started(tmp_path, janus.url, LIMITED, workers=3, local=3, bind="")
        said = started.finish()
    assert said["type"] == "end", said
    assert said["end"].startswith("limit crossed: timeout rate < 50 % over 4 s, abort: "), said
    loaded = [each for each in started.said if each.get("phase") == "steps"]
    assert len(loaded) < 20, "it went on for long after the limit was crossed"


class Told:
    """A runner that only takes listeners, and a message from a worker."""

    def __init__(self, **data: object) -> None:
        self.listeners: dict[str, Callable[..., None]] = {}
        self.node_id = "elsewhere"
        self.data = data

    def register_message(self, kind: str, listener: Callable[..., None]) -> None:
        self.listeners[kind] = listener


def test_a_worker_of_another_version_is_refused_in_one_sentence(tmp_path: Path) -> None:
    hello = Told(host="blue", pid=1, boot="b", beside=False, version="0.0.9")
    fleet = Fleet(hello, 1, tmp_path, LimitWatch([], "janus.create", "arrivals"))
    hello.listeners["janusload.hello"](msg=hello)
    with pytest.raises(SurroundingsError, match=f"the worker on blue is janusload 0.0.9, the master {__version__}"):
        fleet.wait_for_workers(gevent.event.Event())
