"""What is known of the mixes that rooms record: for how long somebody was in a room while it was surely recorded.

Janus mixes, and writes the mix, only while somebody is in the room; so the file must be at least as long. Counted is
from the answer to a join until leaving is asked for, of rooms that this process made and so knows to be recorded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from janusload.records import MixRecord


@dataclass
class _Room:
    name: str  # of what is recorded now; empty if nothing is
    here: int = 0
    since_ns: int | None = None  # recorded with somebody there
    due_ns: int = 0
    spans: int = 0
    sure: bool = True


class RoomTakes:
    """The rooms of one process; rooms that it did not make are left out in silence.

    Args:
        tell: takes a record of each recording when it ends.
        clock: monotonic ns.
    """

    def __init__(self, tell: Callable[[MixRecord], None], clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._tell = tell
        self._clock = clock
        self._rooms: dict[int, _Room] = {}

    def made(self, number: int, *, recorded: bool) -> None:
        """A room is there, and recorded from the beginning or not; Janus names that file itself."""
        self._rooms[number] = _Room(f"janus-audioroom-{number}-" if recorded else "")

    def come(self, number: int) -> None:
        """Janus has let somebody in."""
        if (room := self._rooms.get(number)) is not None:
            room.here += 1
            self._look(room)

    def go(self, number: int, *, sure: bool = True) -> None:
        """Somebody is about to leave; not `sure` if he may have been gone for a while."""
        if (room := self._rooms.get(number)) is not None:
            room.here -= 1
            room.sure = room.sure and sure
            self._look(room)

    def begin(self, number: int, name: str) -> None:
        """Janus has agreed to record the mix; it does so to the file of whoever asked first."""
        if (room := self._rooms.get(number)) is not None and not room.name:
            room.name = name
            self._look(room)

    def end(self, number: int) -> None:
        """Janus is about to be told to end the recording, or the room."""
        room = self._rooms.get(number)
        if room is None or not room.name:
            return
        name, room.name = room.name, ""
        self._look(room)
        due_s = room.due_ns / 1e9 if room.sure else None
        self._tell(MixRecord(self._clock(), number, name, due_s, room.spans))
        room.due_ns, room.spans, room.sure = 0, 0, True

    def _look(self, room: _Room) -> None:
        on = bool(room.name) and room.here > 0
        if on and room.since_ns is None:
            room.since_ns = self._clock()
            room.spans += 1
        elif not on and room.since_ns is not None:
            room.due_ns += self._clock() - room.since_ns
            room.since_ns = None
