"""The conversation with Janus as JSON lines that a maintainer can read: every message, both clocks, no secrets.

A line:

    {"utc": "2026-01-31T12:00:00.123456Z", "monotonic_ns": 81234567890, "connection": 3, "direction": "sent",
     "message": {"janus": "create", "transaction": "17", "apisecret": "***"}}

What was no JSON stands under `text` instead of `message`. The last line of a log that reached its limit says so.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from janusload.errors import SurroundingsError
from janusload.janus.redaction import Redactor

_decode = json.JSONDecoder().raw_decode
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

#: a line is on the disk after so long at the latest, so that little is missing after a crash
_FLUSH_EVERY_NS = 500_000_000

#: of a message that is no JSON
_TEXT_KEPT = 10_000


def of_process(path: Path, process: str) -> Path:
    """The log of one of several processes: of `load`, the only one of most runs, `path` itself."""
    return path if process == "load" else path.with_name(f"{path.stem}-{process}{path.suffix}")


class WireLog:
    """One file, shared by the connections of a process.

    Args:
        path: overwritten if it is there; readable by its owner alone.
        max_bytes: where it stops.

    Raises:
        SurroundingsError: the file cannot be made.
    """

    def __init__(self, path: Path, *, max_bytes: int = 2**30) -> None:
        self.path = path
        try:
            path.unlink(missing_ok=True)
            # whoever may read the log reads what people said to Janus; closed by `close`
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._file = os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise SurroundingsError(f"the wire log {path} cannot be written: {error.strerror}") from None
        self._numbers = itertools.count(1)
        self._left_bytes = max_bytes
        self._flushed_ns = 0
        self._lock = threading.Lock()

    def connection(self, secrets: tuple[str | None, ...] = ()) -> Tap:
        """What one connection hands its messages to; `secrets` are its own, blotted out wherever they turn up."""
        return Tap(self, next(self._numbers), Redactor(secrets))

    def close(self) -> None:
        """Write what is left, as far as the disk takes it. Idempotent."""
        with self._lock, contextlib.suppress(OSError):
            self._file.close()

    def write(self, entry: dict[str, Any], moment_ns: int) -> None:
        """Write one line; called by `Tap`. A full disk ends the log, not the run."""
        now_ns = time.monotonic_ns()
        utc = datetime.fromtimestamp((time.time_ns() - (now_ns - moment_ns)) / 1e9, UTC)
        head = {"utc": utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "monotonic_ns": moment_ns}
        line = _encode({**head, **entry}) + "\n"
        with self._lock:
            if self._file.closed:
                return
            self._left_bytes -= len(line)
            try:
                if self._left_bytes < 0:
                    self._file.write(_encode({**head, "note": "the log has reached its limit and ends here"}) + "\n")
                    self._file.close()
                    return
                self._file.write(line)
                if now_ns - self._flushed_ns > _FLUSH_EVERY_NS:
                    self._flushed_ns = now_ns
                    self._file.flush()
            except OSError:
                self._left_bytes = -1


class Tap:
    """The messages of one connection on their way to the log."""

    __slots__ = ("_log", "_number", "_redactor")

    def __init__(self, log: WireLog, number: int, redactor: Redactor) -> None:
        self._log = log
        self._number = number
        self._redactor = redactor

    def sent(self, text: str, moment_ns: int) -> None:
        """A message goes out."""
        self._note("sent", text, moment_ns)

    def received(self, payload: bytes, moment_ns: int) -> None:
        """A message came in."""
        self._note("received", payload.decode(errors="replace"), moment_ns)

    def _note(self, direction: str, text: str, moment_ns: int) -> None:
        entry: dict[str, Any] = {"connection": self._number, "direction": direction}
        position, size = 0, len(text)
        while position < size:
            if text[position] in " \t\r\n":
                position += 1
                continue
            begin = position
            try:
                message, position = _decode(text, begin)
                self._log.write({**entry, "message": self._redactor.message(message)}, moment_ns)
            except (ValueError, RecursionError):
                rest = self._redactor.unparsed(text[begin : begin + _TEXT_KEPT])
                self._log.write({**entry, "text": rest}, moment_ns)
                return
