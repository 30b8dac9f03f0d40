"""`janusload run` on a lab, as somebody would call it, and what came of it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from janusload import exit_codes
from janusload.analysis.frames import read_frames
from janusload.records import MarkerKind
from janusload.run_folder import RunFolder

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Ran:
    """A run that has ended.

    Attributes:
        folder: its run folder.
        summary: as in `summary.json`; empty where there is none.
        missing: what this machine lacks for it; empty if nothing.
        marker: the frame of its markers, in the order of time.
    """

    folder: Path
    summary: dict[str, Any]
    marker: pd.DataFrame
    missing: str = ""

    @property
    def last_join_ns(self) -> int:
        """When the last join of an AudioBridge room was answered, before anything was named."""
        request = read_frames(RunFolder.open(self.folder))["request"]
        before_ns = min((t_ns for t_ns, _ in stalls_of(self.marker)), default=1 << 62)
        answered = request["answered_ns"][request["name"] == "audiobridge.join"]
        return int(answered[answered < before_ns].max())

    @property
    def report(self) -> str:
        """The kind of failure that the report tells."""
        return str(self.summary["failure"]["kind"])

    @property
    def rule(self) -> str:
        return str(self.summary["failure"]["rule"])


def ran(scenario: Path, out: Path, *options: str) -> Ran:
    """Run it in a lab of its own; raises CalledProcessError with its output where there is no report."""
    command = [
        sys.executable,
        "-m",
        "janusload",
        "run",
        str(scenario),
        "--lab",
        "--out",
        str(out),
        "--replace",
        *options,
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if "this kernel has no" in said.stderr:
        return Ran(out, {}, pd.DataFrame(), " ".join(said.stderr.split()))
    if not (out / "summary.json").exists() or said.returncode in (exit_codes.ERROR, exit_codes.USAGE):
        raise subprocess.CalledProcessError(said.returncode, command, said.stdout, said.stderr)
    frames = read_frames(RunFolder.open(out))
    marker = frames["marker"].sort_values("t_ns", kind="stable")
    return Ran(out, json.loads((out / "summary.json").read_text()), marker)


def here(versions: Sequence[str]) -> str:
    """When and on what it was measured, for the docs: date, machine, versions."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    packages = ", ".join(f"{name} {version(name)}" for name in ("aiortc", "gevent", "locust"))
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores of {model}, Linux {platform.release()},"
        f" Python {platform.python_version()}, {packages}; Janus {' and '.join(versions)}"
    )


def stalls_of(marker: pd.DataFrame) -> list[tuple[int, str]]:
    """(when, kind) of each stall that was named."""
    stalls = marker[marker["kind"] == MarkerKind.STALL]
    return [
        (int(t_ns), str(label).partition(":")[0]) for t_ns, label in zip(stalls["t_ns"], stalls["label"], strict=True)
    ]
