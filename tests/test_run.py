"""`janusload run` as a person types it, against a scripted server: the answer, and every kind of bad surroundings."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from janusload.exit_codes import INCONCLUSIVE
from tests.fake_janus import SILENCE, Capacity, FakeJanus

ROOT = Path(__file__).parent.parent
JANUSLOAD = [sys.executable, "-m", "janusload"]

STREAM = """
schema = 1
name = "fake-knee"
asks = "Where does a scripted server with a known capacity begin to time out?"
[stream]
timeout = "1 s"
connections = 4
[shape]
rates = [{rates}]
samples_per_step = 300
shortest = "3 s"
settle = "{settle}"
[recovery]
at_most = "20 s"
"""


def scenario(tmp_path: Path, *rates: int, settle: str = "2 s") -> Path:
    path = tmp_path / "scenario.toml"
    path.write_text(STREAM.format(rates=", ".join(f'"{rate}/s"' for rate in rates), settle=settle))
    return path


def janusload(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*JANUSLOAD, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        check=False,
    )


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def run_that_counts(scenario: Path, janus: FakeJanus, out: Path) -> subprocess.CompletedProcess[str]:
    """A run, made again (twice at most) where it says itself that the host left the generator too little."""
    done = janusload("run", scenario, "--host", janus.url, "--out", out)
    for _ in range(2):
        if done.returncode != INCONCLUSIVE or summary(out)["generator"]["valid"]:
            break
        done = janusload("run", scenario, "--host", janus.url, "--out", out, "--replace")
    return done


def test_a_known_onset_comes_out_in_the_right_step(tmp_path: Path) -> None:
    # 150 creates a second is what it can; the queue behind it passes T = 1 s within the step at 240/s
    with FakeJanus(Capacity(150)) as janus:
        done = run_that_counts(scenario(tmp_path, 60, 100, 240, 300), janus, tmp_path / "run")
        assert done.returncode == 0, done.stdout + done.stderr
        assert not janus.sessions, "late sessions were not destroyed"
    found = summary(tmp_path / "run")
    assert found["onset"]["status"] == "found"
    good, bad = found["onset"]["load_bracket"]
    assert good == pytest.approx(100, rel=0.03) and bad == pytest.approx(240, rel=0.03)
    assert good <= found["onset"]["load"] <= bad
    assert found["onset"]["timeout_s"] == 1.0
    assert found["failure"]["kind"] == "overload"
    assert 0 <= found["failure"]["recovered_after_s"] < 20
    assert found["generator"]["valid"] is True, found["generator"]
    assert found["headline"] in done.stdout.replace("\n", " ")
    assert str(tmp_path / "run" / "report.html") in done.stdout.replace("\n", "")
    assert (tmp_path / "run" / "report.html").stat().st_size > 100_000
    again = janusload("report", tmp_path / "run")
    assert again.returncode == 0
    assert summary(tmp_path / "run") == found


def test_no_onset_is_said_with_a_bound(tmp_path: Path) -> None:
    with FakeJanus() as janus:
        done = run_that_counts(scenario(tmp_path, 60, 100), janus, tmp_path / "run")
    found = summary(tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert found["onset"]["status"] == "no_onset"
    assert found["failure"]["kind"] == "none"
    assert 0 < found["onset"]["rate_upper"] < 0.02
    assert found["requests"]["janus.create"]["outcomes"]["ok"] >= 600


def test_ctrl_c_ends_in_order_with_a_report(tmp_path: Path) -> None:
    with FakeJanus() as janus:
        process = subprocess.Popen(
            [*JANUSLOAD, "run", scenario(tmp_path, 50, 60, 70), "--host", janus.url, "--out", tmp_path / "run"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        deadline = time.monotonic() + 20
        # some more than are asked for below: the ladder and the preflight create as well
        while sum(r["janus"] == "create" for r in janus.requests) < 120:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=40)
        assert not janus.sessions
    assert process.returncode in (0, 4), output
    assert "Ending the run in order" in output
    found = summary(tmp_path / "run")
    assert found["run"]["end"] == "interrupted"
    assert found["requests"]["janus.create"]["count"] >= 100
    assert (tmp_path / "run" / "report.html").exists()


def test_killed_load_process_leaves_a_report(tmp_path: Path) -> None:
    with FakeJanus() as janus:
        process = subprocess.Popen(
            [*JANUSLOAD, "run", scenario(tmp_path, 50, 60), "--host", janus.url, "--out", tmp_path / "run"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        deadline = time.monotonic() + 20
        while sum(r["janus"] == "create" for r in janus.requests) < 150:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 1
        os.kill(int(children[0]), signal.SIGKILL)
        output, _ = process.communicate(timeout=40)
    assert process.returncode == 1
    assert "SIGKILL" in output and "report.html" in output
    assert summary(tmp_path / "run")["requests"]["janus.create"]["count"] > 0


# -- bad surroundings: one clear sentence, the right exit code --------------------------------------------------------


def sentence(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    first, *rest = done.stderr.strip().splitlines()
    assert first.startswith("janusload: ")
    assert len(rest) <= 1 and all(line.startswith("report of what there was") for line in rest)
    return first


def run_against(tmp_path: Path, url: str, **env: str) -> subprocess.CompletedProcess[str]:
    return janusload("run", scenario(tmp_path, 50), "--host", url, "--out", tmp_path / "run", env=env)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_host_unreachable(tmp_path: Path) -> None:
    url = f"ws://127.0.0.1:{free_port()}"
    assert f"{url}: connection refused" in sentence(run_against(tmp_path, url), 1)


def test_name_that_does_not_resolve(tmp_path: Path) -> None:
    words = sentence(run_against(tmp_path, "ws://no-such-host.invalid:8188"), 1)
    assert "ws://no-such-host.invalid:8188" in words


def test_tcp_but_no_websocket(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"ws://127.0.0.1:{server.getsockname()[1]}"
        assert "nothing answered the WebSocket upgrade" in sentence(run_against(tmp_path, url), 1)


def test_a_websocket_that_is_not_janus(tmp_path: Path) -> None:
    with FakeJanus(lambda r: SILENCE, subprotocol=None) as other:
        assert "no answer to `info`" in sentence(run_against(tmp_path, other.url), 1)


def test_wrong_api_secret(tmp_path: Path) -> None:
    with FakeJanus(api_secret="right") as janus:
        done = run_against(tmp_path, janus.url, JANUS_API_SECRET="wr0ng-s3cret")
        assert "refuses our API secret" in sentence(done, 1)
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file():
            assert b"wr0ng-s3cret" not in path.read_bytes(), path


def test_right_api_secret_and_a_wire_log_without_it(tmp_path: Path) -> None:
    wire = tmp_path / "wire.jsonl"
    with FakeJanus(api_secret="r1ght") as janus:
        path = scenario(tmp_path, 30, settle="1 s")
        env = {"JANUS_API_SECRET": "r1ght"}
        where = ("--host", janus.url, "--out", tmp_path / "run", "--wire-log", wire)
        done = janusload("run", path, *where, env=env)
        assert summary(tmp_path / "run")["requests"]["janus.create"]["outcomes"]["ok"] > 0, done.stderr
        asked = len(janus.requests)
    lines = [json.loads(line) for line in wire.read_text().splitlines()]
    assert "r1ght" not in wire.read_text() and {line["direction"] for line in lines} == {"sent", "received"}
    assert sum(line["direction"] == "sent" for line in lines) == asked
    assert all(line["message"].get("apisecret", "***") == "***" for line in lines)


def test_plugin_missing(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('name = "x"\nasks = "?"\nrun_time = "2 s"\n[[users]]\nname = "talker"\ncount = 1\n')
    with FakeJanus(plugins=("janus.plugin.echotest",)) as janus:
        done = janusload("run", path, "--host", janus.url, "--out", tmp_path / "run")
    assert "has no janus.plugin.audiobridge" in sentence(done, 1)


def test_faulty_scenario(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(STREAM.format(rates='"50"', settle="2 parsec") + "colour = 1\n")
    done = janusload("scenario", "check", path)
    assert done.returncode == 2
    for words in ("shape.rates.0: ", "shape.settle: ", "recovery.colour: no such key", str(path)):
        assert words in done.stderr
    assert janusload("run", path, "--host", "ws://127.0.0.1:1").returncode == 2


def test_public_target_and_userinfo_are_refused(tmp_path: Path) -> None:
    assert "--allow-public" in sentence(run_against(tmp_path, "ws://192.88.99.1:8188"), 2)
    words = sentence(
        janusload("run", scenario(tmp_path, 50), "--host", "ws://me:hush@127.0.0.1:1", "--out", tmp_path / "other"), 2
    )
    assert "hush" not in words


def test_something_else_in_the_way_of_the_run_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    done = janusload(
        "run", scenario(tmp_path, 50), "--host", "ws://127.0.0.1:1", "--out", tmp_path / "run", "--replace"
    )
    assert "is no run folder" in sentence(done, 1)
    assert (tmp_path / "run" / "thesis.txt").read_text() == "years of work"


def test_full_disk_ends_the_run_with_what_there_is(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(disk)], check=True)
    try:
        with FakeJanus() as janus:
            path = scenario(tmp_path, 400, 450, 500, 550)
            done = janusload("run", path, "--host", janus.url, "--out", disk / "run")
        assert done.returncode == 1, done.stdout + done.stderr
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr
        # what was written before the disk was full can be read elsewhere
        shutil.copytree(disk / "run", tmp_path / "copy")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    assert janusload("report", tmp_path / "copy").returncode in (0, 4)
    assert summary(tmp_path / "copy")["requests"]["janus.create"]["count"] > 0
