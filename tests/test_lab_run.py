"""`janusload run --lab` on the real Janus: real ICE, DTLS and SRTP, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from janusload.lab import Lab

ROOT = Path(__file__).parent.parent
LOCUST = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles" / "audiobridge.py")]
ROOM = ["--janus-room", "4321", "--janus-make-room"]


def janusload(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "janusload", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=150,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        check=False,
    )


def orphaned_links() -> list[str]:
    """Interfaces of labs whose owner is gone; a lab's interface is named after its owner's pid."""
    owners = {link: re.match(r"jl(\d+)-", link) for link in os.listdir("/sys/class/net")}
    return [link for link, owner in owners.items() if owner and not psutil.pid_exists(int(owner[1]))]


def processes_under(text: str) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if text in words:
            found.append(words)
    return found


@pytest.mark.lab
def test_smoke_talks_mutes_records_and_leaves_nothing(tmp_path: Path) -> None:
    done = janusload("run", ROOT / "scenarios" / "smoke.toml", "--lab", "--out", tmp_path / "run")
    assert "Traceback" not in done.stdout + done.stderr + (tmp_path / "run" / "load.log").read_text()
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert found["media"]["participants"] == 2, done.stdout
    assert found["media"]["failed"] == 0 and found["media"]["silent"] == 0
    assert found["leaks"] == {"sessions": 0, "processes": 0}
    assert found["failure"]["kind"] == "none"
    assert found["server"]["version"] == "1.1.2"
    requests = found["requests"]
    for name in (
        "ws.connect",
        "janus.create",
        "janus.attach",
        "audiobridge.join",
        "audiobridge.configure",
        "audiobridge.leave",
        "janus.hangup",
        "janus.detach",
        "janus.destroy",
    ):
        assert requests[name]["outcomes"].get("ok", 0) >= 2, name
        assert "api_error" not in requests[name]["outcomes"], (name, requests[name])
    log = (tmp_path / "run" / "janus.log").read_text(errors="replace")
    recorded = [int(size) for size in re.findall(r"File is (\d+) bytes: .*janusload-talker", log)]
    # 50 packets a second at 10 + 12 + 8 bytes and more for two seconds or so, half of it muted
    assert len(recorded) >= 2 and min(recorded) > 2000, "the participants were not recorded"
    assert processes_under(str(tmp_path)) == []
    assert orphaned_links() == []


@pytest.mark.lab
@pytest.mark.parametrize("after_s", [0.4, 0.9, 1.6, 2.5, 4.0, 7.0])
def test_ctrl_c_at_any_moment_leaves_nothing(tmp_path: Path, after_s: float) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "janusload",
            "run",
            ROOT / "scenarios" / "smoke.toml",
            "--lab",
            "--out",
            tmp_path / "run",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert "Traceback" not in output or after_s < 0.5, output  # before our first line Python speaks for itself
    assert process.returncode in (0, 1, 4, -signal.SIGINT), output
    if process.returncode in (0, 4):
        assert json.loads((tmp_path / "run" / "summary.json").read_text())["leaks"] == {"sessions": 0, "processes": 0}
        assert (tmp_path / "run" / "report.html").exists()
    else:
        assert not (tmp_path / "run").exists(), output
    assert processes_under(str(tmp_path)) == []
    assert orphaned_links() == []


@pytest.mark.lab
def test_janus_not_installed(tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    for folder in ("/usr/sbin", "/usr/bin"):
        for program in Path(folder).iterdir():
            if not program.name.startswith("janus") and not (bare / program.name).exists():
                (bare / program.name).symlink_to(program)
    done = janusload(
        "run", ROOT / "scenarios" / "smoke.toml", "--lab", "--out", tmp_path / "run", env={"PATH": str(bare)}
    )
    assert done.returncode == 1
    assert "janusload lab install" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.lab
def test_locust_runs_the_same_users_headless(lab: Lab, tmp_path: Path) -> None:
    done = subprocess.run(
        [*LOCUST, "--host", lab.url, "--headless", "-u", "3", "-r", "3", "-t", "6s", *ROOM, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    start = done.stdout.index("[")
    stats = {entry["name"]: entry for entry in json.loads(done.stdout[start:])}
    for name in ("audiobridge.join", "audiobridge.leave", "janus.destroy"):
        assert stats[name]["num_requests"] == 3 and stats[name]["num_failures"] == 0, stats
    assert lab.sessions() == 0


@pytest.mark.lab
def test_locust_web_ui_starts_stops_and_starts_again(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    before = lab.sessions()
    process = subprocess.Popen(
        [*LOCUST, "--host", "ws://127.0.0.1:1", "--web-port", str(port), "--janus-room", "777", "--janus-make-room"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )

    def ask(path: str, **form: object) -> str:
        data = urllib.parse.urlencode(form).encode() if form else None
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=10) as answer:
            return answer.read().decode()

    def counted(name: str) -> tuple[int, int]:
        rows = {row["name"]: row for row in json.loads(ask("/stats/requests"))["stats"]}
        return (rows[name]["num_requests"], rows[name]["num_failures"]) if name in rows else (0, 0)

    try:
        wait_until(lambda: answers(port))
        for users in (3, 2):
            ask("/swarm", user_count=users, spawn_rate=users, host=lab.url)
            wait_until(lambda users=users: counted("audiobridge.join") == (users, 0))  # type: ignore[misc]
            ask("/stop", now=1)
            wait_until(lambda: lab.sessions() == before)
            wait_until(lambda users=users: counted("audiobridge.leave") == (users, 0))  # type: ignore[misc]
    finally:
        process.terminate()  # Locust hears SIGTERM between greenlets; SIGINT is raised inside whichever runs
        _, errors = process.communicate(timeout=20)
    assert "Traceback" not in errors, errors


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)


def test_locust_says_clearly_that_the_host_is_unreachable() -> None:
    done = subprocess.run(
        [*LOCUST, "--host", "ws://127.0.0.1:1", "--headless", "-u", "1", "-t", "5s"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 1
    assert "ws://127.0.0.1:1: connection refused" in done.stderr
    assert "Traceback" not in done.stderr
