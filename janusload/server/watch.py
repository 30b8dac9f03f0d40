"""Everything that can be seen of a Janus on this machine: its process, its threads and its log, once a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from janusload.records import LogRecord, Record, RecordingRecord, StorageRecord
from janusload.server.log import LogWatch
from janusload.server.process import Observation, ProcessWatch


class Look(NamedTuple):
    """What one look brought.

    Attributes:
        seen: the process and its threads; None where no process can be seen.
        log: what the log gained since the look before.
        notes: what a person should be told, once each.
        storage: the folder of the recordings, where that is seen by whoever looks.
        before: what was seen since the last look, oldest first, where somebody else has looked more often.
    """

    seen: Observation | None
    log: list[LogRecord]
    notes: list[str]
    storage: StorageRecord | None = None
    before: tuple[Observation, ...] = ()

    @property
    def observations(self) -> list[Observation]:
        """Everything that was seen of the process, oldest first."""
        return [*self.before, *([self.seen] if self.seen is not None else [])]

    def records(self) -> list[Record]:
        return [*(record for each in self.observations for record in each.records()), *self.log]


class LocalWatch:
    """Looks at a Janus on this machine.

    Args:
        pid: says which process it is by now (it may be another one after a restart); None to see none.
        log: its log; None if it cannot be read.
        recordings: where it records to.
    """

    def __init__(self, pid: Callable[[], int] | None, log: LogWatch | None, recordings: Path | None = None) -> None:
        self.log = log
        self.process: ProcessWatch | None = None
        self._pid = pid
        self._recordings = recordings
        self._told: set[str] = set()
        self._restarts: list[str] = []
        self._follow()

    def look(self) -> Look:
        # one that has died meanwhile is seen to be gone, also where another has taken its place already
        seen = self.process.sample() if self.process is not None else None
        self._follow()
        lines = self.log.look() if self.log is not None else []
        return Look(seen, lines, self._news())

    def facts(self) -> dict[str, Any]:
        """How well it could be watched, for the run's `meta.json`."""
        facts: dict[str, Any] = {"where": "this machine"}
        if self.process is not None:
            facts["pid"] = self.process.pid
            facts["groups"] = self.process.groups.facts
            facts["cannot_see"] = sorted(self.process.cannot_see)
            facts["late"] = dict(self.process.late)
        if self.log is not None:
            facts["log"] = {
                "lines": self.log.counter.lines,
                "too_long": self.log.counter.cut,
                "notes": dict(self.log.source.notes),
            }
        return facts

    def pid(self) -> int | None:
        """The process; None if there is none to be seen."""
        return self.process.pid if self.process is not None else None

    def remote_evidence(self) -> dict[str, str]:
        """Nothing: all of it can be had on this machine."""
        return {}

    def remote_recordings(self, since_s: float) -> tuple[list[RecordingRecord], str]:
        """None: all of them lie on this machine."""
        return [], ""

    def tail(self) -> list[str]:
        """The last lines of the log."""
        return list(self.log.counter.tail) if self.log is not None else []

    def close(self) -> None:
        if self.process is not None:
            self.process.close()
        if self.log is not None:
            self.log.close()

    def _follow(self) -> None:
        """From the next look on, watch the process that it is by now."""
        if self._pid is None:
            return
        pid = self._pid()
        if self.process is None or self.process.pid != pid:
            if self.process is not None:
                self._restarts.append(f"process {self.process.pid} has become process {pid}: it was started anew")
                self.process.close()
            self.process = ProcessWatch(pid, self._recordings)

    def _news(self) -> list[str]:
        found = []
        if self.process is not None:
            found += [f"cannot see {what}" for what in sorted(self.process.cannot_see)]
            found += [f"the collector of {name} was late" for name in self.process.late]
        if self.log is not None:
            found += [f"Janus's log: {note}" for note in self.log.source.notes]
            if self.log.counter.cut:
                found.append("Janus's log has lines that are too long to be one; they were cut")
        found += self._restarts
        news = [each for each in found if each not in self._told]
        self._told.update(news)
        return news
