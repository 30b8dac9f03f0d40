"""The lab's own folder: configuration, secrets and recordings; gone with the lab, or swept away by the next one."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
from pathlib import Path

from janusload.errors import LabError
from janusload.lab.commands import uninterrupted
from janusload.lab.disk import unmount

_NAME = re.compile(r"janusload-(\d+)-[0-9a-f]+")


class LabFolder:
    """A folder in the temporary folder that only this user can enter.

    While the lab lives it holds a lock on the folder, which the kernel lets go when the process ends in any way: that
    is how the next lab knows that a folder was left behind.

    Attributes:
        path: the folder.
        config: what Janus reads, secrets among it.
        recordings: what Janus writes.
    """

    def __init__(self) -> None:
        """Make it, after sweeping away what killed labs have left.

        Raises:
            LabError: the temporary folder cannot be written.
        """
        sweep()
        self.path = Path(tempfile.gettempdir()) / f"janusload-{os.getpid()}-{secrets.token_hex(4)}"
        self.config = self.path / "config"
        self.recordings = self.path / "recordings"
        self._lock = -1
        try:
            with uninterrupted():
                self.path.mkdir(mode=0o700)
                self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.config.mkdir()
            self.recordings.mkdir()
        except OSError as error:
            self.close()
            raise LabError(f"the lab's folder {self.path} cannot be made: {error.strerror}") from error
        except BaseException:
            self.close()
            raise

    def write_config(self, files: dict[str, str]) -> None:
        """Write the configuration, readable by this user only: name -> text."""
        for name, text in files.items():
            descriptor = os.open(self.config / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)

    def close(self) -> None:
        """Remove the folder and all in it; may be called again."""
        with uninterrupted():
            # Nothing is left to clean up for the sweep if the folder was never ours.
            if self._lock >= 0:
                unmount(self.recordings)
                shutil.rmtree(self.path, ignore_errors=True)
                os.close(self._lock)
                self._lock = -1


def sweep(parent: Path | None = None) -> list[Path]:
    """Remove the folders of labs whose process is gone (kill -9); returns what was removed.

    Args:
        parent: where to look; the temporary folder if not given.
    """
    removed: list[Path] = []
    for entry in os.scandir(parent or tempfile.gettempdir()):
        match = _NAME.fullmatch(entry.name)
        # The process number spares a folder that is just being made; the lock tells apart a reused number, and a lab
        # in another container that shares this folder.
        if match and not os.path.exists(f"/proc/{match[1]}") and _is_ours(entry):
            try:
                lock = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            else:
                unmount(Path(entry.path, "recordings"))
                shutil.rmtree(entry.path, ignore_errors=True)
                removed.append(Path(entry.path))
            finally:
                os.close(lock)
    return removed


def _is_ours(entry: os.DirEntry[str]) -> bool:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
