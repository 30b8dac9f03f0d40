"""What a lab may leave behind on the machine, looked for from outside."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

from janusload.lab.limits import hierarchies


def traces(owner: int) -> list[str]:
    """Everything of the labs of process `owner` that is still there: folders, links, control groups, processes."""
    found = [str(path) for path in Path(tempfile.gettempdir()).glob(f"janusload-{owner}-*")]
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    found += [line.split()[0] for line in links.splitlines() if line.startswith(f"jl{owner}-")]
    for controller in ("cpu", "memory"):
        for hierarchy in hierarchies(controller):
            for folder, names, _ in os.walk(hierarchy.mount):
                found += [f"{folder}/{name}" for name in names if name.startswith(f"janusload-{owner}-")]
    for process in psutil.process_iter(["cmdline"]):
        if any(f"janusload-{owner}-" in argument for argument in process.info["cmdline"] or ()):
            found.append(f"process {process.pid}: {process.info['cmdline']}")
    return found


def traces_after(owner: int, within_s: float) -> list[str]:
    """The same, once nothing is left or `within_s` is over: what the kernel takes down takes it a moment."""
    deadline = time.monotonic() + within_s
    while True:
        found = traces(owner)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)
