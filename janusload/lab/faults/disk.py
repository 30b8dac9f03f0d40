"""Faults of the disk that recordings are written to. They need a lab with a disk of its own for them."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from janusload.errors import LabError
from janusload.lab.disk import Disk
from janusload.lab.instance import Lab

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
    """Let it take so many bytes a second (`Disk.slow`)."""
    disk = _disk(lab)
    disk.slow(bytes_per_s)
    try:
        yield
    finally:
        with suppress(LabError):
            disk.slow(lab.options.recordings_disk_bytes_per_s)


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
