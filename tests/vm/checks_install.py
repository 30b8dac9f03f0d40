"""`janusload lab install` where systemd runs: what it installs does not start by itself. To be run last."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from janusload.server.find import find

ROOT = Path(__file__).parents[2]
UNIT = "janus.service"


def systemctl(*words: str) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def test_what_the_lab_installs_does_not_start_by_itself() -> None:
    """The package goes, and comes back from the packages that the image brought along."""
    subprocess.run(["dpkg", "--purge", "janus"], check=True, capture_output=True)
    install = [sys.executable, "-m", "janusload", "lab", "install"]
    done = subprocess.run(install, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert systemctl("is-enabled", UNIT) == "masked"
    assert subprocess.run(["pgrep", "-x", "janus"], capture_output=True, check=False).returncode == 1
    assert not Path("/usr/sbin/policy-rc.d").exists()
    for words in done.stdout.partition("undo: ")[2].splitlines()[0].split(" && "):
        systemctl(*words.split()[1:])
    assert systemctl("is-enabled", UNIT) == "enabled"
    systemctl("start", UNIT)
    assert find(UNIT)
