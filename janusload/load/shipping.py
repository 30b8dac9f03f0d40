"""A worker's record files on their way to the master, piece by piece; they stay until the master has them whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent

#: bytes in one message; a second's records of a busy worker are a few hundred kB
_PIECE = 256 * 1024
#: pieces of one file on their way at a time
_AHEAD = 4
#: a piece that was not acknowledged within this time is sent again
_AGAIN_S = 3.0
#: how long handing over the rest may take
_HAND_OVER_S = 15.0


class Shipper:
    """Sends what grows in a folder.

    Args:
        folder: holds `KIND-PROCESS.arrows`, which only ever grow.
        send: takes a piece: its file, where it begins, and its bytes.
    """

    def __init__(self, folder: Path, send: Callable[[dict[str, Any]], None]) -> None:
        self.folder = folder
        self._send = send
        self._sent: dict[str, int] = {}
        self._kept: dict[str, int] = {}
        self._asked_s: dict[str, float] = {}

    def ship(self) -> bool:
        """Send what is new; returns whether the master has everything."""
        whole = True
        for path in sorted(self.folder.glob("*.arrows")):
            whole &= self._ship(path)
        return whole

    def kept(self, name: str, size: int) -> None:
        """The master has the first `size` bytes of a file."""
        self._kept[name] = max(size, self._kept.get(name, 0))
        self._asked_s[name] = time.monotonic()

    def hand_over(self) -> bool:
        """Send all that is left and wait until the master has it; returns whether it has."""
        deadline = time.monotonic() + _HAND_OVER_S
        while not self.ship():
            if time.monotonic() > deadline:
                return False
            gevent.sleep(0.05)
        return True

    def _ship(self, path: Path) -> bool:
        name, size = path.name, path.stat().st_size
        kept, sent = self._kept.get(name, 0), self._sent.get(name, 0)
        if kept >= size:
            return True
        if sent > kept and time.monotonic() - self._asked_s.get(name, 0.0) > _AGAIN_S:
            sent = kept  # a message was lost: begin again where the master is
        with path.open("rb") as file:
            file.seek(sent)
            while sent < size and sent - kept < _AHEAD * _PIECE:
                data = file.read(_PIECE)
                self._send({"file": name, "at": sent, "data": data})
                self._asked_s[name] = time.monotonic()
                sent += len(data)
        self._sent[name] = sent
        return False
