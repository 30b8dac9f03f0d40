"""Faults of the disk that recordings are written to. They need a lab with a disk of its own for them."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from janusload.errors import LabError
from janusload.lab.disk import Disk
from janusload.lab.instance import Lab

_THROTTLE = "blkio.throttle.write_bps_device"
_CHUNK_BYTES = 1 << 20


@contextmanager
def disk_full(lab: Lab) -> Iterator[None]:
    """Fill it to the last block: recordings end without a word, and Janus goes on."""
    filler = _disk(lab).folder / f"filler-{secrets.token_hex(4)}"
    try:
        with open(filler, "wb", buffering=0) as file:
            _fill(file.fileno())
        yield
    finally:
        filler.unlink(missing_ok=True)


@contextmanager
def disk_frozen(lab: Lab) -> Iterator[None]:
    """Freeze it: whoever writes waits in state D, with what he holds, until it is thawed."""
    disk = _disk(lab)
    disk.freeze()
    try:
        yield
    finally:
        disk.thaw()


@contextmanager
def disk_slow(lab: Lab, bytes_per_s: int = 200_000) -> Iterator[None]:
    """Let it take so many bytes a second. Writers feel it once the page cache may not grow (a memory limit)."""
    knob = _throttle()
    device = _disk(lab).device_number
    try:
        knob.write_text(f"{device} {bytes_per_s}")
    except OSError as error:
        raise LabError(f"the recordings' disk cannot be throttled: {knob}: {error.strerror}") from error
    try:
        yield
    finally:
        with suppress(OSError):
            knob.write_text(f"{device} 0")


def _disk(lab: Lab) -> Disk:
    if lab.disk is None:
        raise LabError("the lab's recordings have no disk of their own: start it with one (--recordings-disk '64 MB')")
    return lab.disk


def _fill(descriptor: int) -> None:
    """Write until nothing fits any more; ever smaller pieces, so that the last block goes too."""
    size = _CHUNK_BYTES
    while size:
        try:
            os.write(descriptor, bytes(size))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise LabError(f"the recordings' disk cannot be filled: {error.strerror}") from error
            size //= 2


def _throttle() -> Path:
    """The top's own throttle: written-back pages are the kernel's threads' writes, and these belong to the top.

    A loop device of ours is throttled for everybody, which is nobody else.
    """
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        knob = Path(left.split()[4]) / _THROTTLE
        if kind == "cgroup" and "blkio" in options.split(",") and knob.exists():
            return knob
    raise LabError("the recordings' disk cannot be throttled: that needs the blkio controller of cgroup version 1")
