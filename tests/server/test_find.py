"""Which process is meant: by pid, container, name; a fake /proc and the real one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from janusload.errors import SurroundingsError
from janusload.server.find import find

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
