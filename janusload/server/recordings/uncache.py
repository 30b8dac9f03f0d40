"""Keeping recordings out of the page cache while Janus writes them: for an unmodified Janus in a memory limit.

Janus never asks the kernel to let go of what it has written, so every byte of a recording stays in the page cache,
charged to its control group, until the limit is reached and the kernel takes pages back under pressure. This does from
outside what a patched recorder would do: each time a file has grown by `every_bytes`, that part is written out and its
pages are let go of. It reads sizes and nothing else of the files, and changes nothing in them.

What it costs: one sync_file_range per `every_bytes` and file, and the disk is written steadily instead of in bursts. A
recording that is played back at once is read from the disk. When it helps, and when not: see the README's chapter on
recordings. A disk that is slower than what is recorded is not made faster by it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from janusload.server.recordings.page_cache import drop

EVERY_BYTES = 2_000_000


@contextmanager
def beside(folder: Path, every_bytes: int = EVERY_BYTES) -> Iterator[None]:
    """Run it beside the block in a process of its own, as an operator does: `janusload recordings uncache`."""
    command = [sys.executable, "-m", "janusload", "recordings", "uncache", str(folder)]
    with subprocess.Popen(
        [*command, "--every", f"{every_bytes / 1e6:g}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the run, which ends it
    ) as helper:
        try:
            yield
        finally:
            helper.terminate()


@dataclass
class _Growing:
    fd: int
    dropped: int = 0
    size: int = 0
    seen_s: float = 0.0


@dataclass
class Uncache:
    """Drops the written pages of the files in a folder, again and again.

    Attributes:
        dropped_bytes: how much was written out and let go of.
        drops: in how many pieces.
        slowest_s: the longest that one of them took: what the disk needed for it.
        failures: files that could not be handled, and why.
    """

    folder: Path
    every_bytes: int = EVERY_BYTES
    dropped_bytes: int = 0
    drops: int = 0
    slowest_s: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)
    _files: dict[tuple[int, int], _Growing] = field(default_factory=dict)

    def once(self, *, everything: bool = False) -> None:
        """Look at every file, and drop what it has grown by; `everything`: also less than `every_bytes`."""
        now_s = time.monotonic()
        for path, key, size in self._look():
            known = self._files.get(key)
            if known is None:
                if size < self.every_bytes and not everything:
                    continue
                try:
                    known = self._files[key] = _Growing(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
                except OSError as error:
                    self.failures[str(path)] = error.strerror or str(error)
                    continue
            known.seen_s = now_s
            # the last page may still be written to: it goes the next time
            end = size if everything else size - size % 4096
            if end - known.dropped >= (1 if everything else self.every_bytes):
                self._drop(path, known, end)
        for key in [key for key, known in self._files.items() if known.seen_s != now_s]:
            os.close(self._files.pop(key).fd)

    def run(self, stop: Callable[[], bool], *, interval_s: float = 0.5) -> None:
        """Go on until `stop` says so; what is left is dropped at the end."""
        while not stop():
            self.once()
            time.sleep(interval_s)
        self.once(everything=True)

    def close(self) -> None:
        for known in self._files.values():
            os.close(known.fd)
        self._files.clear()

    def _drop(self, path: Path, known: _Growing, end: int) -> None:
        began_s = time.monotonic()
        try:
            drop(known.fd, known.dropped, end)
        except OSError as error:
            self.failures[str(path)] = error.strerror or str(error)
            return
        self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
        self.dropped_bytes += end - known.dropped
        self.drops += 1
        known.dropped = end

    def _look(self) -> Iterator[tuple[Path, tuple[int, int], int]]:
        """Regular files below the folder: path, identity (a renamed file keeps it) and size."""
        for root, _, names in os.walk(self.folder):
            for name in names:
                path = Path(root, name)
                try:
                    facts = path.lstat()
                except OSError:
                    continue  # renamed or removed meanwhile
                if facts.st_size and facts.st_mode & 0o170000 == 0o100000:
                    yield path, (facts.st_dev, facts.st_ino), facts.st_size
