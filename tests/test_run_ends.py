"""How runs end before their time: the server dies, time is over, a limit is crossed, somebody stops them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fake_janus import Capacity, FakeJanus
from tests.test_run import JANUSLOAD, ROOT, janusload, summary

STREAM = """
schema = 1
name = "ends"
asks = "How does it end?"
{head}
[stream]
timeout = "1 s"
connections = 4
[shape]
kind = "soak"
load = "60/s"
lasts = "60 s"
[recovery]
at_most = "3 s"
"""


def scenario(tmp_path: Path, head: str = "") -> Path:
    path = tmp_path / "scenario.toml"
    path.write_text(STREAM.format(head=head))
    return path


@contextmanager
def server_process(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A scripted Janus that can be killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fake_janus", *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.communicate()


def test_a_dead_server_ends_the_run_within_seconds(tmp_path: Path) -> None:
    with server_process() as (url, server):
        process = subprocess.Popen(
            [*JANUSLOAD, "run", scenario(tmp_path), "--host", url, "--out", tmp_path / "run"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if "timed out" in line and "0 of 0" not in line:
                break  # requests are on their way
        server.kill()
        died = time.monotonic()
        output, _ = process.communicate(timeout=60)
        took_s = time.monotonic() - died
    found = summary(tmp_path / "run")
    assert found["run"]["end"] == "server gone", output
    assert any("the server is gone" in words for _, words in found["timeline"]["markers"])
    load_s = found["run"]["duration_s"]
    assert load_s < 40 and took_s < 40, "sixty seconds of load and three of recovery were planned"


def test_run_time_ends_the_load_in_order(tmp_path: Path) -> None:
    with FakeJanus() as janus:
        done = janusload("run", scenario(tmp_path), "--host", janus.url, "--out", tmp_path / "run", "--run-time", "4 s")
        assert not janus.sessions
    found = summary(tmp_path / "run")
    assert found["run"]["end"] == "run time over", done.stdout + done.stderr
    left = [float(seconds) for seconds in re.findall(r", ([\d.]+) s left", done.stdout)]
    assert left and max(left) <= 4, done.stdout
    made = found["requests"]["janus.create"]["count"]
    assert made == pytest.approx(4 * 60, rel=0.25), "four seconds of sixty a second"
    assert found["failure"]["kind"] == "none"


def test_a_crossed_limit_ends_the_run_with_exit_code_3(tmp_path: Path) -> None:
    limits = 'limits = ["janus.create p95 < 50 ms over 3 s, abort", "janus.create count > 10"]'
    with FakeJanus(Capacity(40)) as janus:
        done = janusload("run", scenario(tmp_path, limits), "--host", janus.url, "--out", tmp_path / "run")
    found = summary(tmp_path / "run")
    assert found["run"]["end"].startswith("limit crossed: janus.create p95 < 50 ms"), done.stdout + done.stderr
    assert [limit["passed"] for limit in found["thresholds"]] == [False, True]
    if found["generator"]["valid"]:
        assert done.returncode == 3 and found["verdict"] == "failed"
    assert found["run"]["duration_s"] < 40


def test_sigterm_ends_in_order(tmp_path: Path) -> None:
    with FakeJanus() as janus:
        process = subprocess.Popen(
            [*JANUSLOAD, "run", scenario(tmp_path), "--host", janus.url, "--out", tmp_path / "run"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        deadline = time.monotonic() + 30
        while sum(r["janus"] == "create" for r in janus.requests) < 60:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGTERM)
        output, _ = process.communicate(timeout=40)
        assert not janus.sessions, "a session was left behind"
    assert summary(tmp_path / "run")["run"]["end"] == "interrupted", output
