"""How `locust` exits with our users: requests that fail are what was measured, unless somebody wants it otherwise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake_janus import FakeJanus

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("options", "code"), [((), 0), (("1",), 1)])
def test_failed_requests(options: tuple[str, ...], code: int) -> None:
    wanted = [word for value in options for word in ("--exit-code-on-error", value)]
    # room 404 is the one that this server does not have
    users = ["--headless", "-u", "1", "-r", "1", "-t", "8s", "--janus-room", "404"]
    with FakeJanus() as janus:
        done = subprocess.run(
            [sys.executable, "-m", "locust", "-f", "locustfiles/audiobridge.py", "--host", janus.url, *users, *wanted],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            check=False,
        )
        assert not janus.sessions
    assert "audiobridge error 485" in done.stderr, done.stderr
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
