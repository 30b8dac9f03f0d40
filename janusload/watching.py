"""What the parent of a run does while the load process works: it watches the server, names a stall while it lasts, and
gathers the evidence.

All of it goes on when the load process itself is stuck: then the ladder's news stop, but the server is still seen.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from janusload import wording
from janusload.errors import RunFolderError
from janusload.evidence import Scene, gather
from janusload.generator_watch import GeneratorWatch
from janusload.last_transactions import last_transactions
from janusload.records import MarkerKind, MarkerRecord, RecordingRecord, Rung, ServerRecord, StorageRecord, ThreadRecord
from janusload.run_folder import RecordWriter, RunFolder
from janusload.server import advisories
from janusload.server.backtrace import backtraces
from janusload.server.bounded import Bounded
from janusload.server.watch import Look
from janusload.stall_watch import WORKING, Stall, StallWatch
from janusload.summary import FailureKind

#: a look on suspicion comes at most so soon after the one before
_NOT_BEFORE_S = 0.3
_STORAGE_WITHIN_S = 0.5
#: how long the end of a run waits for evidence that is being gathered
_EVIDENCE_WITHIN_S = 40.0
_MOST_BUNDLES = 5
#: a load process whose event loop is so late, or whose news come so late, asks late and hears late: for so long after
#: that its ladder alone tells nothing of the server
_LATE_MS = 200.0
_LATE_NEWS_NS = 1_000_000_000
_LATE_FOR_NS = 3_000_000_000
#: after a debugger has let the server go
_SETTLE_S = 1.0


class Watch(Protocol):
    """The server, seen from here (`server/watch.LocalWatch`) or through an agent."""

    def look(self) -> Look: ...

    def facts(self) -> dict[str, Any]: ...

    def tail(self) -> list[str]: ...

    def pid(self) -> int | None: ...

    def remote_evidence(self) -> dict[str, str]: ...

    def remote_recordings(self, since_s: float) -> tuple[list[RecordingRecord], str]: ...

    def close(self) -> None: ...


@dataclass
class WatchOptions:
    """How a run is watched.

    Attributes:
        exit_status: how the server's process ended: exit status, minus the signal, or None.
        backtrace: whether the evidence may take backtraces, which stops the server for up to seconds.
        secrets: words that must be in no file.
    """

    exit_status: Callable[[], int | None] = lambda: None
    backtrace: bool = True
    secrets: list[str] = field(default_factory=list)


class Watcher:
    """Owned by the run; `second` is called once a second, `heard` with every message of the load process, and
    `heard_all` when for the moment there is none left.

    Args:
        watch: the server; None where it cannot be seen.
        storage: reads what lies in the folder of the recordings; None where that cannot be seen.
        pressure: warns, in words, of a page cache that the disk will not keep up with, and of a disk that gets full.
    """

    def __init__(
        self,
        folder: RunFolder,
        writer: RecordWriter,
        watch: Watch | None,
        options: WatchOptions,
        say: Callable[[str], None],
        storage: Callable[[], StorageRecord] | None = None,
        pressure: Callable[[ServerRecord, StorageRecord], str | None] = lambda server, storage: None,
    ) -> None:
        self._folder = folder
        self._writer = writer
        self._watch = watch
        self._options = options
        self._say = say
        # a disk that does not answer must not keep the run
        self._storage = Bounded("recordings", storage, within_s=_STORAGE_WITHIN_S) if storage is not None else None
        self._pressure = pressure
        self._stalls = StallWatch()
        self._generator = GeneratorWatch()
        self._begin_ns = time.monotonic_ns()
        self._looked_s = 0.0
        self._blind_until_s = 0.0
        self._stopped: deque[tuple[int, int]] = deque()
        self._exit_status: int | None = None
        self._told_contradiction = False
        self._news = False
        self._late_until_ns = 0
        self._ladder: deque[tuple[float, str, str]] = deque(maxlen=3000)
        self._readings: deque[ServerRecord] = deque(maxlen=180)
        self._threads: deque[list[ThreadRecord]] = deque(maxlen=2)
        self._gathering: list[threading.Thread] = []
        self._bundles = 0
        self._ended = self._closed = False

    @property
    def words(self) -> str:
        """What is stuck now, or that the generator is the limit, for the live view; empty if nothing is."""
        stall, limited = self._stalls.stall, self._generator.limited
        if stall is not None:
            return f"{stall.finding.kind.replace('_', ' ')}: {stall.finding.rule}"
        return "" if limited is None else f"generator limited: {limited.why}"

    def second(self) -> None:
        """Look at everything, and judge. Raises RunFolderError if the records cannot be written."""
        self._look()
        if self._storage is not None and (stored := self._storage.collect()) is not None:
            self._stored(stored)
        self._judge()
        self._writer.flush()

    def heard(self, message: dict[str, Any]) -> None:
        """What the load process says: news of a rung, or its progress."""
        if message.get("type") == "progress":
            self._stalls.loaded = bool(message.get("offered_per_s") or message.get("offered"))
            self._ended = self._ended or message.get("phase") == "end"
            self._limited(message)
            return
        rung, due_ns, at_ns, state = Rung(message["rung"]), message["due_ns"], message["at_ns"], message["state"]
        was_suspicious = self._stalls.suspicious
        self._stalls.notice(rung, due_ns, at_ns, state)
        self._ladder.append(
            ((at_ns - self._begin_ns) / 1e9, rung, f"{state} (asked {(at_ns - due_ns) / 1e9:.3f} s ago)")
        )
        self._news = self._news or was_suspicious or self._stalls.suspicious
        now_ns = time.monotonic_ns()
        if now_ns - at_ns > _LATE_NEWS_NS:
            self._late_until_ns = max(self._late_until_ns, now_ns + _LATE_FOR_NS)

    def heard_all(self) -> None:
        """Judge what was heard: not before the answers among it, or a watch that is behind would see none."""
        if not self._news:
            return
        self._news = False
        if time.monotonic() - self._looked_s >= _NOT_BEFORE_S:
            self._look()
        self._judge()

    def close(self) -> None:
        """Wait for the evidence, and write down how well the server could be watched; once."""
        if self._closed:
            return
        self._closed = True
        until = time.monotonic() + _EVIDENCE_WITHIN_S
        for thread in self._gathering:
            thread.join(max(0.0, until - time.monotonic()))
        with contextlib.suppress(RunFolderError):
            version = (self._folder.read_meta().get("server") or {}).get("version_string")
            known = [each.sentence for each in advisories.known(str(version))]
            self._folder.write_aside(advisories=known)
        if self._watch is not None:
            with contextlib.suppress(RunFolderError):
                self._folder.write_aside(watched={**self._watch.facts(), "exit_status": self._exit_status})
            self._watch.close()

    def remote_recordings(self, since_s: float) -> list[RecordingRecord]:
        """What the agent says of the recordings written in the last `since_s` seconds; takes as long as that takes."""
        if self._watch is None:
            return []
        found, trouble = self._watch.remote_recordings(since_s)
        if trouble:
            self._say(trouble)
            self._writer.write(MarkerRecord(time.monotonic_ns(), MarkerKind.NOTE, label=trouble))
        return found

    def _stored(self, stored: StorageRecord) -> None:
        self._writer.write(stored)
        if self._readings and not self._ended and (warning := self._pressure(self._readings[-1], stored)):
            self._say(warning)
            self._writer.write(MarkerRecord(stored.t_ns, MarkerKind.NOTE, label=warning))

    def _look(self) -> None:
        self._looked_s = time.monotonic()
        if self._watch is None or time.monotonic() < self._blind_until_s:
            return
        look = self._watch.look()
        for record in look.records():
            self._writer.write(record)
        for note in look.notes:
            self._writer.write(MarkerRecord(time.monotonic_ns(), MarkerKind.NOTE, label=note))
        for seen in look.observations:
            self._readings.append(seen.server)
            if seen.threads is not None:
                self._threads.append(seen.threads.records())
        if look.storage is not None:
            self._stored(look.storage)
        status = self._options.exit_status()
        if not self._ended:  # afterwards it is told to stop
            self._exit_status = status
        self._stalls.signal = -status if status is not None and status < 0 else None
        # the log first: it may tell why a process went
        self._stalls.look(None, None, look.log)
        for seen in look.observations:
            self._stalls.look(seen.server, seen.threads.records() if seen.threads is not None else None, [])
            if seen.server.state == "":
                # what comes next may be of the process that took its place
                self._judge()

    def _judge(self) -> None:
        if self._ended or time.monotonic() < self._blind_until_s:
            return  # the server is about to be told to stop, or a debugger of ours looks at it
        while self._stopped:
            self._stalls.excuse(*self._stopped.popleft())
        now_ns = time.monotonic_ns()
        self._stalls.believed = now_ns >= self._late_until_ns
        before, now = self._stalls.stall, self._stalls.judge(now_ns)
        if self._stalls.contradiction and not self._told_contradiction:
            self._told_contradiction = True
            words = "the process is said to be gone or stopped, but Janus answers: what is seen of it is not believed"
            self._writer.write(MarkerRecord(now_ns, MarkerKind.NOTE, label=words))
            self._say(words[0].upper() + words[1:] + ".")
        if now is before:
            return
        self._stalls.stall = now
        if before is not None and before.finding.kind not in WORKING and now is None:
            lasted_s = (now_ns - before.since_ns) / 1e9
            words = wording.failure(before.finding.kind)
            self._writer.write(MarkerRecord(now_ns, MarkerKind.STALL_END, label=words, value=lasted_s))
            self._say(f"Over after {lasted_s:.1f} s: {words}.")
        if now is not None and now.finding.kind not in WORKING:
            self._begun(now)

    def _limited(self, progress: dict[str, Any]) -> None:
        """Whether the generator is the limit, or is no longer."""
        now_ns = time.monotonic_ns()
        if (progress.get("lag_p99_ms") or 0.0) > _LATE_MS:
            self._late_until_ns = max(self._late_until_ns, now_ns + _LATE_FOR_NS)
        before = self._generator.limited
        self._generator.take(progress, now_ns)
        now = self._generator.limited
        if before is None and now is not None:
            label = f"{FailureKind.GENERATOR_LIMITED}: {now.why}"
            since_s = (now_ns - now.since_ns) / 1e9
            self._writer.write(MarkerRecord(now_ns, MarkerKind.LIMITED, label=label, value=since_s))
            self._say(f"Generator limited: {now.why}. What is measured meanwhile is not the server's doing.")
        elif before is not None and now is None:
            lasted_s = (now_ns - before.since_ns) / 1e9
            label = f"the generator keeps up again, after {lasted_s:.0f} s"
            self._writer.write(MarkerRecord(now_ns, MarkerKind.LIMITED_END, label=label, value=lasted_s))
            self._say(f"The generator keeps up again, after {lasted_s:.0f} s.")

    def _backtraces(self, pid: int) -> str:
        """While a debugger stops the server, nothing of what it shows is its own doing."""
        began_ns = time.monotonic_ns()
        self._blind_until_s = float("inf")
        try:
            found = backtraces(pid)
        finally:
            # one that was due just before could not be answered in time either
            begin_ns, end_ns = began_ns - round(_SETTLE_S * 1e9), time.monotonic_ns() + round(_SETTLE_S * 1e9)
            self._stopped.append((begin_ns, end_ns))
            self._blind_until_s = time.monotonic() + _SETTLE_S
        if found.startswith("$"):
            stopped_s = (time.monotonic_ns() - began_ns) / 1e9
            note = f"backtraces were taken, for which the server was stopped for up to {stopped_s:.1f} s"
            self._writer.write(MarkerRecord(began_ns, MarkerKind.NOTE, label=note, value=stopped_s))
        return found

    def _begun(self, stall: Stall) -> None:
        kind, rule = stall.finding.kind, stall.finding.rule
        after_s = (stall.found_ns - stall.since_ns) / 1e9
        self._writer.write(MarkerRecord(stall.found_ns, MarkerKind.STALL, label=f"{kind}: {rule}", value=after_s))
        self._say(f"{wording.capital(wording.failure(kind))} (named {after_s:.1f} s after the first sign): {rule}.")
        if self._bundles >= _MOST_BUNDLES:
            return
        self._bundles += 1
        thread = threading.Thread(
            target=self._gather, args=(f"{self._bundles}-{kind}", stall), name="evidence", daemon=True
        )
        self._gathering.append(thread)
        thread.start()

    def _gather(self, name: str, stall: Stall) -> None:
        watch = self._watch
        try:
            scene = Scene(
                begin_ns=self._begin_ns,
                ladder=list(self._ladder),
                readings=list(self._readings),
                pid=watch.pid() if watch is not None else None,
                log_tail=watch.tail() if watch is not None else [],
                meta=self._folder.read_meta(),
                backtraces=self._backtraces if self._options.backtrace else None,
                transactions=lambda: last_transactions(self._folder.records, stall.since_ns),
                threads=list(self._threads),
                remote=watch.remote_evidence() if watch is not None else {},
                secrets=self._options.secrets,
            )
            path = gather(self._folder.evidence, name, stall, scene)
        except (OSError, RunFolderError) as error:
            self._say(f"The evidence could not be written: {error}.")
        else:
            self._say(f"Evidence: {Path(self._folder.path.name) / path.relative_to(self._folder.path)}.tar.gz")
