"""The library of the C tick (tick.c), compiled where a C compiler is.

An installation need not be writable, workers that start together may all compile, and no library of an older source is
ever loaded: it is kept in the user's cache folder under a name that holds the source's hash.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("tick.c")
FLAGS = ("-O2", "-shared", "-fPIC")
#: a compiler that takes longer than this hangs
COMPILE_S = 60.0


class NoNativeTick(Exception):
    """The C tick cannot be had here; the text says why."""


def load() -> ctypes.CDLL:
    """The library, compiled if it is not there yet.

    Raises:
        NoNativeTick: no compiler, or what it makes cannot be loaded.
    """
    try:
        source = SOURCE.read_bytes()
    except OSError as exc:
        raise NoNativeTick(f"its source is not installed: {exc.strerror}") from exc
    name = hashlib.sha256(b"\0".join((source, *map(str.encode, FLAGS), platform.machine().encode()))).hexdigest()[:16]
    with tempfile.TemporaryDirectory(prefix="janusload-") as own:
        try:
            folder = _cache_folder()
        except OSError:
            # nowhere to keep it: compiled anew each time, and gone once it is loaded
            folder = Path(own)
        path = folder / f"tick-{name}.so"
        if not _ours(path):
            _compile(path)
        try:
            return ctypes.CDLL(str(path))
        except OSError as exc:
            raise NoNativeTick(f"{path.name} cannot be loaded: {exc}") from exc


def _cache_folder() -> Path:
    """Where compiled code is kept: a folder that only this user can write.

    Raises:
        OSError: there is no such place.
    """
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(root) / "janusload"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _ours(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} can be written by others, or not by us")
    return folder


def _ours(path: Path) -> bool:
    """Whether it exists and nobody but us can have written it: it is going to be run."""
    try:
        found = path.stat()
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _compile(path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoNativeTick("there is no C compiler (cc or gcc)")
    # moved into place when it is whole: others may be compiling, or loading it
    made = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        subprocess.run(
            [compiler, *FLAGS, "-o", str(made), str(SOURCE)],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=COMPILE_S,
        )
        made.chmod(0o700)
        made.replace(path)
    except subprocess.CalledProcessError as exc:
        first = exc.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise NoNativeTick(f"it does not compile: {first[:200]}") from exc
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise NoNativeTick(f"it cannot be compiled: {exc}") from exc
    finally:
        made.unlink(missing_ok=True)
