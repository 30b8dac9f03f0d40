"""What `meta.json` says before a run begins: what was asked, of what, with what, on what."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from janusload import __version__
from janusload.lab import Lab
from janusload.run_folder import RunFolder
from janusload.run_options import RunOptions
from janusload.scenario import Scenario, shapes

_PACKAGES = ("locust", "gevent", "websockets", "aiortc", "aioice", "pylibsrtp", "av", "pandas", "pyarrow")


def write_first_meta(folder: RunFolder, options: RunOptions, plan: Scenario, text: str, lab: Lab | None) -> None:
    """What is known before the run begins: enough to read whatever becomes of it."""
    started_utc = utc_now()
    stream, shape = plan.stream, plan.shape
    url = lab.url if lab is not None else options.url
    folder.write_meta(
        run={
            "id": f"{plan.name}-{started_utc}",
            "name": plan.name,
            "started_utc": started_utc,
            "command": options.command,
            "where": "lab" if lab is not None else url,
        },
        clock={"monotonic_ns": time.monotonic_ns(), "unix_ns": time.time_ns(), "utc": started_utc},
        target={
            "url": url,
            "allow_public": options.allow_public,
            "ca": options.ca,
            "insecure": options.insecure,
            "wire_log": None if options.wire_log is None else str(options.wire_log.absolute()),
        },
        analysis={
            "request": stream.request if stream else "janus.create",
            "axis": plan.axis,
            "timeout_s": stream.timeout if stream else 0.0,
            "p0": plan.onset.timeout_share,
            "quantile": plan.onset.quantile,
            "alpha": 0.05,
            "settle_s": plan.settle_s,
            "samples_per_step": getattr(shape, "samples_per_step", 0),
            "steps": _planned_steps(plan),
            "climbs": isinstance(shape, shapes.Steps | shapes.Ramp | shapes.Search),
        },
        scenario={"name": plan.name, "asks": plan.asks, "text": text, "changes": list(options.changes)},
        limits=[limit.text for limit in plan.limits],
        run_time_s=options.run_time_s,
        fleet={"workers": options.processes + options.workers, "local": options.processes, "bind": options.bind},
        seed=plan.seed,
        versions=_versions(),
        host={
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
            "kernel": platform.release(),
            "machine": platform.machine(),
            "system": _system(),
            "boot_id": _boot_id(),
        },
        lab=lab.facts() if lab is not None else None,
    )


def _planned_steps(plan: Scenario) -> list[dict[str, float]]:
    """The steps as far as they are known beforehand; of a ramp or a soak none, of a search its growing part."""
    if not isinstance(plan.shape, shapes.Steps | shapes.Spike):
        return []
    return [{"index": index, "offered": leg.begin} for index, leg in enumerate(plan.legs())]


def _versions() -> dict[str, str]:
    found = {"janusload": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _boot_id() -> str | None:
    """What tells whether two runs had the same monotonic clock; None where the kernel does not say."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None


def _system() -> str:
    with contextlib.suppress(OSError, KeyError):
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    return platform.system()


def utc_now() -> str:
    """The wall clock, as in `2026-11-22T11:40:00Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
