"""The log of a running Janus, followed wherever it is written and counted by the second.

Whatever comes is data: a line is cut at 8 kB, binary is counted as such, and no more than a few hundred lines are ever
in memory. The known harmless lines are not counted.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import subprocess
import time
from collections import Counter, deque
from pathlib import Path
from typing import Protocol

from janusload.errors import SurroundingsError
from janusload.log_categories import LogCategory
from janusload.records import LogRecord
from janusload.server.log_lines import classify, visible, without_secrets

#: longer lines are cut here; Janus's own stay below 2 kB, SDPs come as many lines
LONGEST_LINE_BYTES = 8192

#: lines kept for the evidence
TAIL_LINES = 400

_CHUNK_BYTES = 1 << 16
#: what one look takes at most; the rest waits on the disk or in the pipe for the next
_LOOK_BYTES = 8 << 20
_LOOK_S = 0.25


class LogCounter:
    """Cuts a stream of bytes into lines and counts them by category.

    Attributes:
        counts: since the last `take`.
        tail: the latest lines as they can be shown to anybody.
        lines: all lines so far, harmless ones included.
        cut: lines that were longer than `LONGEST_LINE_BYTES`.
    """

    def __init__(self) -> None:
        self.counts: Counter[LogCategory] = Counter()
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.lines = 0
        self.cut = 0
        self._half = b""
        self._skipping = False

    def feed(self, data: bytes) -> None:
        """Take what was read; a half line at its end waits for its other half."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            line, self._half = self._half + line, b""
            if self._skipping:
                self._skipping = False  # the end of a line that was counted when it became too long
            elif len(line) > LONGEST_LINE_BYTES:
                self._too_long(line)
            else:
                self._whole(line)
        if self._skipping:
            return
        self._half += rest
        if len(self._half) > LONGEST_LINE_BYTES:
            self._too_long(self._half)
            self._half, self._skipping = b"", True

    def take(self, now_ns: int) -> list[LogRecord]:
        """The counts since the last time, as records."""
        counts, self.counts = self.counts, Counter()
        return [LogRecord(now_ns, category, count) for category, count in sorted(counts.items())]

    def _whole(self, raw: bytes) -> None:
        raw = raw.rstrip(b"\r")
        if not raw:
            return
        self.lines += 1
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            line = raw.decode("utf-8", errors="replace")
        if b"\0" in raw or line.count("\N{REPLACEMENT CHARACTER}") > len(line) // 4:
            self.counts[LogCategory.GARBLED] += 1
            self._keep(line[:200])
            return
        category = classify(line)
        if category is not None:
            self.counts[category] += 1
        self._keep(line[:1000])

    def _too_long(self, raw: bytes) -> None:
        self.lines += 1
        self.cut += 1
        self.counts[LogCategory.GARBLED] += 1
        self._keep(raw[:200].decode("utf-8", errors="replace"), " … (cut: a line too long)")

    def _keep(self, line: str, end: str = "") -> None:
        self.tail.append(without_secrets(visible(line)) + end)


class LogSource(Protocol):
    """Where the bytes come from.

    Attributes:
        notes: what happened to it, in words: rotated, truncated, gone.
    """

    notes: Counter[str]

    def read(self) -> bytes:
        """What is new, at most 64 kB and without waiting; empty if nothing is."""

    def close(self) -> None: ...


class FileSource:
    """A file, or a named pipe, followed by its name through rotation and truncation.

    Args:
        from_start: read what is in it already; otherwise only what is added from now on.
    """

    def __init__(self, path: Path, *, from_start: bool) -> None:
        self.notes: Counter[str] = Counter()
        self._path = path
        self._fd = -1
        self._from_start = from_start
        self._open()
        self._from_start = True  # what comes under this name later is all new

    def read(self) -> bytes:
        if self._fd < 0 and not self._open():
            return b""
        data = self._read()
        if data:
            return data
        try:
            named = os.stat(self._path)
        except OSError:
            self.notes["gone"] += 1 if not self.notes["gone"] else 0
            return b""
        mine = os.fstat(self._fd)
        if (named.st_dev, named.st_ino) != (mine.st_dev, mine.st_ino):
            self.notes["rotated"] += 1
            self.close()
            return self._read() if self._open() else b""
        if not self._is_pipe and mine.st_size < os.lseek(self._fd, 0, os.SEEK_CUR):
            self.notes["truncated"] += 1
            os.lseek(self._fd, 0, os.SEEK_SET)
            return self._read()
        return b""

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> bool:
        try:
            # a pipe without a writer must not keep us
            self._fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            self.notes[f"cannot be read: {error.strerror}"] = 1
            return False
        self._is_pipe = not os.path.isfile(self._path)
        if not self._from_start and not self._is_pipe:
            os.lseek(self._fd, 0, os.SEEK_END)
        return True

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, _CHUNK_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            self.notes[f"cannot be read: {error.strerror}"] += 1
            return b""


class JournalSource:
    """systemd's journal of one unit, through `journalctl -f -o cat`.

    Raises:
        SurroundingsError: no journalctl here, or no such name of a unit.
    """

    def __init__(self, unit: str) -> None:
        self.notes: Counter[str] = Counter()
        program = shutil.which("journalctl")
        if program is None:
            raise SurroundingsError("the log is in the journal, and there is no journalctl here to read it")
        if not re.fullmatch(r"[\w@.:\\-]{1,255}", unit) or unit.startswith("-"):
            raise SurroundingsError(f"{unit!r} is no name of a systemd unit")
        self._process = subprocess.Popen(
            [program, "--follow", "--output=cat", "--lines=0", "--quiet", f"--unit={unit}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        self._fd = self._process.stdout.fileno()
        os.set_blocking(self._fd, False)

    def read(self) -> bytes:
        if self._process.poll() is not None:
            self.notes["journalctl ended"] = 1
        try:
            return os.read(self._fd, _CHUNK_BYTES) if select.select([self._fd], [], [], 0)[0] else b""
        except (BlockingIOError, OSError):
            return b""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._process.terminate()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def source_of(words: str) -> LogSource:
    """What a person named: `journal:UNIT`, or the path of a file or named pipe, from its end on.

    Raises:
        SurroundingsError: it is not there.
    """
    if words.startswith("journal:"):
        return JournalSource(words.removeprefix("journal:"))
    path = Path(words)
    if not path.exists():
        raise SurroundingsError(f"{words}: there is no such log")
    return FileSource(path, from_start=False)


class LogWatch:
    """Reads a source when asked, about once a second.

    Attributes:
        counter: what was counted, and the tail.
        last_ns: when something was last read, monotonic; None before.
        behind: whether the last look left something unread because it took too long.
    """

    def __init__(self, source: LogSource) -> None:
        self.source = source
        self.counter = LogCounter()
        self.last_ns: int | None = None
        self.behind = False

    def look(self) -> list[LogRecord]:
        """Read what is new, within a quarter of a second and 8 MB; returns the counts since the last look."""
        until = time.monotonic() + _LOOK_S
        left = _LOOK_BYTES
        self.behind = False
        while data := self.source.read():
            self.counter.feed(data)
            self.last_ns = time.monotonic_ns()
            left -= len(data)
            if left <= 0 or time.monotonic() > until:
                self.behind = True
                break
        return self.counter.take(time.monotonic_ns())

    def close(self) -> None:
        self.source.close()
