"""The programs of the system that the lab calls, and the interruptions that must not fall between two steps."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from janusload.errors import LabError

#: Debian leaves these out of the PATH of ordinary users, and `ip` lies in one of them.
_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"

#: the Debian package of each program, for the sentence that says what is missing
_PACKAGES = {
    "ip": "iproute2",
    "tc": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "fsfreeze": "util-linux",
    "mkfs.ext4": "e2fsprogs",
}


def which(program: str) -> str | None:
    """Path of `program` on PATH or in the system folders; None where it is missing."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_FOLDERS}")


def find(program: str) -> str:
    """Path of `program`.

    Raises:
        LabError: it is missing.
    """
    path = which(program)
    if path is None:
        package = _PACKAGES.get(program, program)
        raise LabError(f"`{program}` is missing: install the Debian package {package}")
    return path


def run(command: Sequence[str], *, doing: str, timeout_s: float = 10.0) -> str:
    """Run `command` and return what it wrote to standard output.

    Args:
        doing: what it is for, as in `making the veth pair`; opens the sentence of the error.

    Raises:
        LabError: it cannot be run, fails, or takes longer than `timeout_s`.
    """
    try:
        done = subprocess.run(
            [find(command[0]), *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{doing}: `{' '.join(command)}` took longer than {timeout_s:g} s") from error
    except OSError as error:
        raise LabError(f"{doing}: `{' '.join(command)}` cannot be run: {error}") from error
    if done.returncode != 0:
        reason = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise LabError(f"{doing}: `{' '.join(command)}` failed: {reason}")
    return done.stdout


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back SIGINT and SIGTERM while a resource is made and its removal noted down; they act afterwards.

    Only Python's own handlers are held back, since only these raise an exception in the middle of a step (a default
    action ends the process, and the kernel then cleans up). They run in the main thread, so elsewhere there is nothing
    to hold back. A blocked signal mask would not do: another thread could take the signal, and children inherit it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    held = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    held = {number: handler for number, handler in held.items() if callable(handler)}
    try:
        for number in held:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        for received in came:
            signal.raise_signal(received)
