from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import janusload
from janusload.errors import LabError
from janusload.lab import privilege
from tests.lab.traces import traces

#: A program as the CLI is: goes inside if it must, then opens a lab. Runs on the standard library alone.
PROGRAM = """
import json, os, sys
from pathlib import Path
from janusload.errors import LabError
from janusload.lab import Lab, LabOptions, privilege
started_as = os.getuid()
if privilege.needs_reexec():
    print(json.dumps({"reexec": started_as, "pid": os.getpid()}), flush=True)
    privilege.reexec()
refused = ""
try:
    with Lab(LabOptions(cpu_percent=20), Path(sys.argv[1])):
        pass
except LabError as error:
    refused = str(error)
with Lab(LabOptions(), Path(sys.argv[1])) as lab:
    up = os.popen("/usr/sbin/ip -br address show dev lo").read()
    host = str(lab.network.host_address)
    print(json.dumps({"pid": os.getpid(), "sessions": lab.sessions(), "host": host, "lo": up, "refused": refused}))
"""


def test_root_goes_straight_on_and_others_go_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JANUSLOAD_USER_NAMESPACE", raising=False)
    monkeypatch.setattr(privilege, "_works", lambda *namespaces: True)
    assert not privilege.needs_reexec()
    monkeypatch.setattr(privilege, "_works", lambda *namespaces: "--user" in namespaces)
    assert privilege.needs_reexec()
    # inside, a refusal must not lead one level deeper
    monkeypatch.setenv("JANUSLOAD_USER_NAMESPACE", "1")
    with pytest.raises(LabError, match="needs root or an unprivileged user namespace"):
        privilege.needs_reexec()


def test_what_is_missing_is_named() -> None:
    assert "user.max_user_namespaces is 0" in privilege.missing({"/proc/sys/user/max_user_namespaces": "0"})
    debian = {"/proc/sys/user/max_user_namespaces": "9", "/proc/sys/kernel/unprivileged_userns_clone": "0"}
    assert "kernel.unprivileged_userns_clone is 0" in privilege.missing(debian)
    ubuntu = {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"}
    assert "kernel.apparmor_restrict_unprivileged_userns is 1" in privilege.missing(ubuntu)
    assert "seccomp" in privilege.missing({})


def test_arguments_survive_the_way_inside() -> None:
    command = privilege.reexec_command(["printf", "%s|", "a b", "$HOME", "'"])
    assert command[1:4] == ["--user", "--map-root-user", "--net"]
    assert command[-5:] == ["printf", "%s|", "a b", "$HOME", "'"]
    shell = command[command.index("/bin/sh") :]
    shell[2] = 'exec "$@"'
    assert subprocess.run(shell, capture_output=True, text=True, check=True).stdout == "a b|$HOME|'|"


@pytest.mark.lab
def test_a_lab_without_root(tmp_path: Path) -> None:
    # As nobody, from a place that nobody can read: pytest's own folders and a Python in root's home are closed to it.
    place = Path("/tmp") / f"without-root-{os.getpid()}"
    place.mkdir(mode=0o755)
    try:
        shutil.copytree(Path(janusload.__file__).parent, place / "janusload")
        for folder in [place, *place.rglob("*")]:
            folder.chmod(0o755)
        (place / "out").mkdir()
        (place / "out").chmod(0o777)
        # `env`, since setpriv itself still has root's capabilities when it looks its program up
        become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env"] if os.geteuid() == 0 else []
        done = subprocess.run(
            [*become, _python(become), "-c", PROGRAM, str(place / "out" / "log")],
            cwd=place,
            # an ordinary Debian user has no /usr/sbin on PATH
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.stderr == ""
        before, after = (json.loads(line) for line in done.stdout.splitlines())
        assert before["reexec"] != 0
        assert after["pid"] == before["pid"]
        assert after["sessions"] == 0
        assert after["host"].startswith(("198.18.", "198.19."))
        assert "127.0.0.1" in after["lo"]
        assert "no CPU quota can be set here" in after["refused"]
        assert traces(after["pid"]) == []
    finally:
        shutil.rmtree(place)


def _python(become: list[str]) -> str:
    """A Python 3.11 or later that the other user can run."""
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            subprocess.run(
                [*become, python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"],
                capture_output=True,
                check=True,
                cwd="/",
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    raise AssertionError("no Python 3.11 that an ordinary user can run")
