from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from janusload import exit_codes
from janusload.cli import main
from janusload.errors import LabError
from janusload.lab import LabOptions
from janusload.lab.keeper import KeptLab
from tests.lab.traces import traces_after

pytestmark = pytest.mark.lab


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeptLab]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    lab = KeptLab("lab")
    yield lab
    if lab.is_up():
        lab.down()


def test_it_lives_on_its_own_and_leaves_nothing(kept: KeptLab) -> None:
    status = kept.up(LabOptions())
    assert kept.is_up()
    assert (status["alive"], status["faults"]) == (True, [])
    secrets = json.loads((kept.folder / "lab.json").read_text())
    assert secrets["url"] == status["url"]
    assert secrets["admin_secret"] not in json.dumps(status)
    assert (kept.folder / "lab.json").stat().st_mode & 0o077 == 0
    with pytest.raises(LabError, match="up already"):
        kept.up(LabOptions())
    inside = subprocess.run(kept.inside(["ip", "-br", "address"]), capture_output=True, text=True, check=True).stdout
    assert status["address"] in inside
    kept.down()
    assert not kept.is_up()
    assert traces_after(status["keeper"], 3.0) == []
    assert not os.path.exists(f"/proc/{status['pid']}")


def test_faults_come_and_go(kept: KeptLab) -> None:
    pid = kept.up(LabOptions())["pid"]
    assert kept.inject("freeze")["faults"] == ["freeze"]
    with pytest.raises(LabError, match="in force already"):
        kept.inject("freeze")
    assert kept.undo("freeze")["faults"] == []
    with pytest.raises(LabError, match="not in force"):
        kept.undo("freeze")
    with pytest.raises(LabError, match="no fault 'fire'"):
        kept.inject("fire")
    assert kept.inject("kill")["alive"] is False
    with pytest.raises(LabError, match="not running"):
        kept.inside(["true"])
    status = kept.undo("kill")
    assert status["alive"] and status["pid"] != pid
    # what is still in force at the end is undone
    kept.inject("freeze")
    kept.down()


def test_what_is_no_request_is_answered_and_the_lab_goes_on(kept: KeptLab) -> None:
    kept.up(LabOptions())
    for line in (b"{", b"[]", b"{}", b'{"verb": "inject"}'):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(kept.folder / "socket"))
            connection.sendall(line + b"\n")
            assert b"no such request" in connection.recv(1000)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(kept.folder / "socket"))
    assert kept.status()["alive"]


def test_a_lab_that_cannot_come_up_says_why(kept: KeptLab) -> None:
    with pytest.raises(LabError, match=r"no Janus 9\.9 to be had"):
        kept.up(LabOptions(janus="9.9"))
    assert not kept.is_up()


def test_the_command_line(kept: KeptLab, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "status"]) == exit_codes.ERROR
    assert "there is no lab 'lab': start it with `janusload lab up`" in capsys.readouterr().err
    assert main(["lab", "up", "--cpu", "20"]) == exit_codes.USAGE
    assert "has no unit" in capsys.readouterr().err
    assert main(["lab", "up", "--cpu", "50 %", "--memory", "300 MB", "--recordings-disk", "8 MB"]) == exit_codes.PASSED
    assert f"ws://{kept.status()['address']}:8188" in capsys.readouterr().out
    assert main(["lab", "fault", "disk-full"]) == exit_codes.PASSED
    assert "undo: janusload lab fault disk-full --undo" in capsys.readouterr().out
    assert main(["lab", "status"]) == exit_codes.PASSED
    assert "disk-full" in capsys.readouterr().out
    assert main(["lab", "fault", "disk-full", "--undo"]) == exit_codes.PASSED
    assert main(["lab", "exec"]) == exit_codes.USAGE
    assert main(["lab", "faults"]) == exit_codes.PASSED
    assert "plugin-stall" in capsys.readouterr().out
    assert main(["lab", "down"]) == exit_codes.PASSED
