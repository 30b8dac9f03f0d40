"""Locust's web UI takes orders from its own page only, shows our options, and says why a test could not begin."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCUST = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles" / "audiobridge.py")]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free: int = server.getsockname()[1]
    process = subprocess.Popen(
        [*LOCUST, "--host", "ws://127.0.0.1:1", "--web-port", str(free)], stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", free), timeout=1).close()
            break
        except OSError:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.1)
    try:
        yield free
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=20)
        assert "Traceback" not in errors, errors


def ask(port: int, path: str, headers: dict[str, str] | None = None, **form: object) -> tuple[int, str]:
    data = urllib.parse.urlencode(form).encode() if form else None
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers or {})
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


SWARM: dict[str, Any] = {"user_count": 1, "spawn_rate": 1, "host": "ws://127.0.0.1:1"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "rebound.example"},
    ],
)
def test_other_pages_start_nothing(port: int, headers: dict[str, str]) -> None:
    assert ask(port, "/swarm", headers, **SWARM)[0] == 403
    assert ask(port, "/stop", headers, now=1)[0] == 403
    assert json.loads(ask(port, "/stats/requests")[1])["state"] == "ready"


def test_another_name_reads_nothing(port: int) -> None:
    assert ask(port, "/", {"Host": "rebound.example"})[0] == 403
    assert ask(port, "/", {"Host": f"localhost:{port}"})[0] == 200


def test_our_options_stand_in_the_form_but_not_the_dangerous_ones(port: int) -> None:
    page = ask(port, "/")[1]
    assert "janus_room" in page and "janus_make_room" in page and "janus_timeout" in page
    assert "janus_allow_public" not in page and "janus_out" not in page


def test_its_own_page_is_heard_and_is_told_why_nothing_began(port: int) -> None:
    own = {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}
    assert ask(port, "/swarm", own, **SWARM)[0] == 200
    deadline = time.monotonic() + 10
    while not (said := json.loads(ask(port, "/exceptions")[1])["exceptions"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "ws://127.0.0.1:1: connection refused" in said[0]["msg"]


@pytest.mark.parametrize("host", ["0.0.0.0", "*"])
def test_beyond_loopback_it_wants_a_login_and_tls(host: str) -> None:
    command = [*LOCUST, "--host", "ws://127.0.0.1:1", "--web-port", "0", "--web-host", host]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert done.returncode == 2, done.stderr
    assert "--web-login" in done.stderr and "Traceback" not in done.stderr
