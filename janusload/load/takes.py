"""What a user knows of the recordings of its own audio: how much of what it sent belongs into which file.

Counted are packets that left while a recording was surely on: after Janus had agreed to begin, and before it was asked
to end. What leaves between a request and its answer may be in the file or not, so a file may hold a few packets more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from janusload.records import TakeRecord


class Takes:
    """The recordings of one user, one after the other.

    All counts are of packets that the user's peer had sent at a moment; None: that was not to be had.

    Args:
        user: whose.
        exact: whether every packet that is counted as sent did leave at once; not so where a bad network is played.
        tell: takes a record of each recording that was ended in order, and of what was sent while muted besides.
    """

    def __init__(self, user: str, *, exact: bool, tell: Callable[[TakeRecord], None]) -> None:
        self._user = user
        self._exact = exact
        self._tell = tell
        self._name = ""
        self._due: int | None = None
        self._since: int | None = None
        self._muted_since: int | None = None
        self._muted = 0

    def begin(self, name: str, sent: int | None) -> None:
        """Janus has agreed to record to a file of this name."""
        self._name = name
        self._due = 0 if self._exact and sent is not None else None
        self._since = sent

    def mute(self, sent: int | None) -> None:
        """Janus is about to be told to let nobody hear us: it records nothing meanwhile."""
        self._count(sent)
        self._since = None
        self._muted_since = sent

    def unmute(self, sent: int | None) -> None:
        """Janus has agreed to let us be heard again."""
        self._since = sent
        if sent is None:
            self._due = None
        self._end_of_silence(sent)

    def end(self, ssrc: int | None, sent: int | None) -> None:
        """Janus is about to be told to end the recording, or we are about to do what ends it."""
        self._count(sent)
        self._end_of_silence(sent)
        self._write(ssrc)

    def part(self, ssrc: int | None, sent: int | None) -> None:
        """The peer is about to be closed: tell what was muted of it, which a recording of the room's lacks."""
        self._end_of_silence(sent)
        if self._muted:
            self._write(ssrc)

    def _count(self, sent: int | None) -> None:
        if self._muted_since is not None:
            return
        if sent is None or self._since is None:
            self._due = None
        elif self._due is not None:
            self._due += sent - self._since

    def _end_of_silence(self, sent: int | None) -> None:
        if self._muted_since is not None and sent is not None:
            self._muted += max(0, sent - self._muted_since)
        self._muted_since = None

    def _write(self, ssrc: int | None) -> None:
        if ssrc is not None:
            self._tell(TakeRecord(time.monotonic_ns(), self._user, ssrc, self._name, self._due, self._muted))
        self._name, self._due, self._since, self._muted = "", None, None, 0
