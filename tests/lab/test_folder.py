from __future__ import annotations

import fcntl
import os
import stat
import subprocess
from pathlib import Path

import pytest

from janusload.errors import LabError
from janusload.lab.folder import LabFolder, sweep


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def dead() -> int:
    """Number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_only_this_user_can_enter_and_read(temporary: Path) -> None:
    folder = LabFolder()
    folder.write_config({"janus.jcfg": "secret"})
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder.config / "janus.jcfg").stat().st_mode) == 0o600
    folder.close()
    folder.close()
    assert list(temporary.iterdir()) == []


def test_a_temporary_folder_that_cannot_be_written_is_a_lab_error(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = LabFolder()
    monkeypatch.setattr("janusload.lab.folder.secrets.token_hex", lambda _: folder.path.name.rpartition("-")[2])
    with pytest.raises(LabError, match="cannot be made: File exists"):
        LabFolder()
    # the one that was there first is not touched
    assert folder.config.is_dir()
    folder.close()


def test_sweep_takes_what_dead_processes_left_and_nothing_else(temporary: Path, dead: int) -> None:
    alive = LabFolder()
    left = temporary / f"janusload-{dead}-00aa"
    (left / "config").mkdir(parents=True)
    (temporary / "janusload-x").mkdir()
    (temporary / f"janusload-{dead}-11bb").symlink_to(alive.path)
    assert sweep() == [left]
    assert alive.config.is_dir()
    assert (temporary / "janusload-x").is_dir()
    alive.close()


def test_sweep_spares_a_locked_folder_of_an_unknown_process(temporary: Path, dead: int) -> None:
    # as of a lab in another container that shares the temporary folder
    held = temporary / f"janusload-{dead}-00aa"
    held.mkdir()
    lock = os.open(held, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert sweep() == []
    os.close(lock)
    assert sweep() == [held]
