"""Faults at a time: which come when during a run, and when each is undone."""

from __future__ import annotations

import math
import re
import time
from contextlib import AbstractContextManager, suppress
from typing import NamedTuple

from janusload.errors import LabError, UsageError
from janusload.lab.faults import named
from janusload.lab.instance import Lab

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_WORDS = re.compile(rf"(?P<name>[a-z-]+) after (?P<after>{_NUMBER}) s(?: for (?P<lasts>{_NUMBER}) s)?")


class PlannedFault(NamedTuple):
    """One fault of a run.

    Attributes:
        name: one of `FAULTS`.
        after_s: seconds after the run began.
        for_s: how long until it is undone; None for the end of the run.
    """

    name: str
    after_s: float
    for_s: float | None


class Done(NamedTuple):
    """What a look at the timetable brought about: a fault in force since `t_ns` (monotonic), or undone then."""

    t_ns: int
    name: str
    undone: bool


def planned(words: str) -> PlannedFault:
    """`freeze after 10 s for 15 s` as a fault; without `for` it lasts until the run ends.

    Raises:
        UsageError: it does not read like that, or there is no such fault.
    """
    match = _WORDS.fullmatch(words.strip())
    if match is None:
        raise UsageError(f"{words!r} is no fault with its time: write it like 'freeze after 10 s for 15 s'")
    named(match["name"])
    return PlannedFault(match["name"], float(match["after"]), float(match["lasts"]) if match["lasts"] else None)


class Timetable:
    """Brings the faults of a run about when each is due; to be looked at by one thread, at `due_s` for example."""

    def __init__(self, lab: Lab, faults: list[PlannedFault]) -> None:
        self._lab = lab
        self._to_come = sorted(faults, key=lambda fault: fault.after_s)
        self._in_force: list[tuple[PlannedFault, float, AbstractContextManager[None]]] = []

    @property
    def due_s(self) -> float:
        """Seconds after the run began at which there is something to do next; infinite if there is nothing more."""
        begins = [fault.after_s for fault in self._to_come[:1]]
        ends = [since_s + fault.for_s for fault, since_s, _ in self._in_force if fault.for_s is not None]
        return min(begins + ends, default=math.inf)

    def look(self, gone_s: float) -> list[Done]:
        """Do what is due `gone_s` after the run began; returns what was done.

        Raises:
            LabError: a fault cannot be brought about here, or Janus does not come back from one.
        """
        done: list[Done] = []
        for entry in list(self._in_force):
            fault, since_s, manager = entry
            if fault.for_s is not None and gone_s >= since_s + fault.for_s:
                self._in_force.remove(entry)
                manager.__exit__(None, None, None)
                done.append(Done(time.monotonic_ns(), fault.name, undone=True))
        while self._to_come and gone_s >= self._to_come[0].after_s:
            fault = self._to_come.pop(0)
            manager = named(fault.name).inject(self._lab)
            manager.__enter__()
            self._in_force.append((fault, gone_s, manager))
            done.append(Done(time.monotonic_ns(), fault.name, undone=False))
        return done

    def close(self) -> None:
        """Undo what is in force, the latest first; no error of it is raised."""
        while self._in_force:
            _, _, manager = self._in_force.pop()
            with suppress(LabError):
                manager.__exit__(None, None, None)
