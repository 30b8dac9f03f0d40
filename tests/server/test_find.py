"""Which process is meant: by pid, container, name; a fake /proc and the real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from janusload.errors import SurroundingsError
from janusload.server.find import Followed, find

CONTAINER = "4f3c2b1a0d9e"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for pid, name, group in (
        (1, "init", "/"),
        (7, "sh", f"/docker/{CONTAINER}ffff"),
        (8, "janus", f"/docker/{CONTAINER}ffff"),
        (9, "janus", "/system.slice/janus.service"),
        (10, "turnserver", "/"),
    ):
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "comm").write_text(name + "\n")
        (folder / "cgroup").write_text(f"0::{group}\n")
        (folder / "stat").write_text("")
    return tmp_path


def test_by_pid_container_and_name(proc: Path) -> None:
    assert find("9", proc) == 9
    assert find(CONTAINER, proc) == 8
    assert find("turnserver", proc) == 10
    assert find(str(os.getpid())) == os.getpid()


@pytest.mark.parametrize("which", ["999", "janus", "nothing", "0123456789ab", "no-such-unit.service", "--help.service"])
def test_none_or_several_is_said(proc: Path, which: str) -> None:
    with pytest.raises(SurroundingsError):
        find(which, proc)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts a program with a name that no other process of this machine has."""
    name = tmp_path / f"jf{os.getpid()}"
    name.symlink_to(shutil.which("sleep") or "")
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([name, "60"]))
        deadline = time.monotonic() + 5
        while Path(f"/proc/{started[-1].pid}/comm").read_text().strip() != name.name:
            assert time.monotonic() < deadline
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_process_that_was_started_anew_is_followed_and_its_end_is_seen(
    program: Callable[[], subprocess.Popen[bytes]],
) -> None:
    first = program()
    pid = Followed(f"jf{os.getpid()}")
    assert pid() == pid() == first.pid
    first.kill()
    first.wait()
    second = program()
    assert [pid(), pid(), pid()] == [first.pid, second.pid, second.pid], "its end is seen once, then it is let go"
    second.kill()  # and not waited for: a zombie is no process
    os.waitid(os.P_PID, second.pid, os.WEXITED | os.WNOWAIT)
    assert [pid(), pid()] == [second.pid, second.pid]
    third = program()
    assert pid() == third.pid


def test_a_pid_stays_that_process(program: Callable[[], subprocess.Popen[bytes]]) -> None:
    first = program()
    pid = Followed(str(first.pid))
    first.kill()
    first.wait()
    program()
    assert [pid(), pid(), pid()] == [first.pid] * 3
