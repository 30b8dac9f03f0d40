"""Keeping recordings out of the page cache while Janus writes them: for an unmodified Janus in a memory limit.

Janus never asks the kernel to let go of what it has written, so every byte of a recording stays in the page cache,
charged to its control group, until the limit is reached and the kernel takes pages back under pressure. This does from
outside what a patched recorder would do: each time a file has grown by `every_bytes`, and at the latest when a part of
it has waited for as long as the kernel itself lets pages wait (a hundred small files are a big one too), that part is
written out and its pages are let go of. It reads sizes and nothing else of the files, and changes nothing in them.

What it costs: one sync_file_range per piece, and the disk is written steadily instead of in bursts. A recording that is
played back at once is read from the disk. When it helps, and when not: see docs/recordings.md. It makes no disk faster.
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
#: a part of a file waits no longer than this: the kernel's vm.dirty_expire_centisecs, after which it would be written
WAITS_AT_MOST_S = 30.0
_PAGE_BYTES = 4096
_ENDS_WITHIN_S = 20.0


@contextmanager
def beside(
    folder: Path, every_bytes: int = EVERY_BYTES, say: Callable[[str], None] = lambda words: None
) -> Iterator[None]:
    """Run it beside the block in a process of its own, as an operator does: `janusload recordings uncache`.

    Args:
        say: takes what it has to say at its end: how much it dropped, and what it failed at.
    """
    command = [sys.executable, "-m", "janusload", "recordings", "uncache", str(folder)]
    with subprocess.Popen(
        [*command, "--every", f"{every_bytes / 1e6:g}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,  # a few lines at its end
        text=True,
        start_new_session=True,  # Ctrl-C is for the run, which ends it
    ) as helper:
        try:
            yield
        finally:
            helper.terminate()
            try:
                said, _ = helper.communicate(timeout=_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:  # the disk does not take what it brings there
                helper.kill()
                said = "\nit did not end"
            say(f"uncache: {' '.join(said.splitlines()[1:]) or f'ended with {helper.returncode}'}")


@dataclass
class _Growing:
    since_s: float  # when the oldest byte that was not dropped was seen
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
    waits_at_most_s: float = WAITS_AT_MOST_S
    dropped_bytes: int = 0
    drops: int = 0
    slowest_s: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)
    _files: dict[tuple[int, int], _Growing] = field(default_factory=dict)

    def once(self, *, everything: bool = False) -> None:
        """Look at every file, and drop what it has grown by; `everything`: also what is not due yet."""
        now_s = time.monotonic()
        for path, key, size in self._look():
            known = self._files.setdefault(key, _Growing(now_s))
            if size < known.dropped:
                known.dropped = 0  # begun anew
            # the last page of one that grows is still written to: it goes the next time
            end = size if everything or size == known.size else size - size % _PAGE_BYTES
            known.size, known.seen_s = size, now_s
            if end <= known.dropped:
                known.since_s = now_s
            elif everything or end - known.dropped >= self.every_bytes or now_s - known.since_s >= self.waits_at_most_s:
                self._drop(path, known, end)
                known.since_s = now_s
        for key in [key for key, known in self._files.items() if known.seen_s != now_s]:
            del self._files[key]

    def run(self, stop: Callable[[], bool], *, interval_s: float = 0.5) -> None:
        """Go on until `stop` says so; what is left is dropped at the end."""
        while not stop():
            self.once()
            time.sleep(interval_s)
        self.once(everything=True)

    def _drop(self, path: Path, known: _Growing, end: int) -> None:
        began_s = time.monotonic()
        try:
            # opened for this only: there may be more files than descriptors
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                drop(fd, known.dropped, end)
            finally:
                os.close(fd)
        except FileNotFoundError:
            return  # renamed or removed meanwhile
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
