"""Our users under the `locust` command: they come evenly, and what fails is what was measured."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fake_janus import FakeJanus

ROOT = Path(__file__).parents[2]


#: the one that the scripted server does not have
ROOM = "404"


def locust(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "locust", "-f", "locustfiles/audiobridge.py", "--host", url, "--headless"]
    return subprocess.run(
        [*command, "--janus-room", ROOM, *options], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--exit-code-on-error", "1"), 1)])
def test_failed_requests_are_no_failure_unless_somebody_wants_that(options: tuple[str, ...], code: int) -> None:
    with FakeJanus() as janus:
        done = locust(janus.url, "-u", "1", "-t", "8s", *options)
        assert not janus.sessions
    assert "audiobridge error 485" in done.stderr, done.stderr
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


def test_ten_users_a_second_are_one_each_tenth_of_a_second() -> None:
    created: list[float] = []

    def script(request: dict[str, Any]) -> float:
        if request["janus"] == "create":
            created.append(time.monotonic())
        return 0.0

    with FakeJanus(script) as janus:
        done = locust(janus.url, "-u", "10", "-r", "10", "-t", "9s")
    assert len(created) >= 11, done.stderr
    del created[0]  # whether this Janus is fit
    first = [moment - created[0] for moment in created[:10]]
    assert 0.7 < first[-1] < 2.0, first
    assert all(abs(moment - k / 10) < 0.3 for k, moment in enumerate(first)), first


def test_workers_share_one_room_that_the_master_makes(tmp_path: Path) -> None:
    with FakeJanus() as janus:
        options = ("--janus-make-room", "--janus-out", str(tmp_path / "out"), "--processes", "2")
        done = locust(janus.url, "-u", "2", "-r", "2", "-t", "20s", *options)
        asked = [request["body"]["request"] for request in janus.requests if request["janus"] == "message"]
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert asked.count("create") == asked.count("destroy") == 1, asked
    assert asked.index("create") < asked.index("join"), asked
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"worker-0", "worker-1"}
