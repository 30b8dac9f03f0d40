"""The parent of a run, which hears the ladder through a pipe: what it makes of news that come late."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest

from janusload import watching
from janusload.records import Rung, ServerRecord
from janusload.run_folder import RunFolder
from janusload.server.process import Observation
from janusload.server.watch import Look
from janusload.verdict import API_RUNGS
from janusload.watching import Watcher, WatchOptions


def news(rung: Rung, due_ns: int, after_s: float, state: str) -> dict[str, Any]:
    return {"type": "rung", "rung": str(rung), "due_ns": due_ns, "at_ns": due_ns + round(after_s * 1e9), "state": state}


def minute(begin_ns: int, silent_s: range) -> list[dict[str, Any]]:
    """A minute of the ladder, in which a ping of the WebSocket was answered late for some seconds."""
    found = []
    for second in range(60):
        due_ns = begin_ns + second * 10**9
        found += [news(rung, due_ns, 0.01, "answered") for rung in (Rung.TCP, *API_RUNGS) if rung is not Rung.WS_PING]
        late_s = silent_s.stop - second + 0.5 if second in silent_s else 0.01
        if late_s > 0.75:
            found.append(news(Rung.WS_PING, due_ns, 0.75, "overdue"))
        found.append(news(Rung.WS_PING, due_ns, late_s, "answered"))
    return sorted(found, key=lambda message: int(message["at_ns"]))


@pytest.mark.parametrize("in_one_heap", [True, False])
def test_what_was_over_when_it_was_heard_is_no_stall(tmp_path: Path, in_one_heap: bool) -> None:
    said: list[str] = []
    folder = RunFolder.create(tmp_path / "run")
    with contextlib.closing(folder.writer("watch")) as writer:
        watcher = Watcher(folder, writer, None, WatchOptions(), said.append)
        for message in minute(time.monotonic_ns() - 60 * 10**9, range(20, 28)):
            watcher.heard(message)
            if not in_one_heap:
                watcher.heard_all()
        watcher.heard_all()
        watcher.second()
        assert watcher.words == ""
    assert said == []


@pytest.mark.parametrize(("lag_ms", "named"), [(350.0, False), (20.0, True)])
def test_a_load_process_that_is_late_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lag_ms: float, named: bool
) -> None:
    clock = Clock(time.monotonic_ns())
    monkeypatch.setattr(watching, "time", clock)
    said: list[str] = []
    folder = RunFolder.create(tmp_path / "run")
    with contextlib.closing(folder.writer("watch")) as writer:
        watcher = Watcher(folder, writer, None, WatchOptions(backtrace=False), said.append)
        for second in range(10):
            due_ns = clock.now_ns
            clock.now_ns += 750_000_000
            for rung in (Rung.TCP, *API_RUNGS):
                watcher.heard(news(rung, due_ns, 0.75, "overdue" if second else "answered"))
            watcher.heard_all()
            clock.now_ns += 250_000_000
            watcher.heard({"type": "progress", "lag_p99_ms": lag_ms})
            watcher.second()
        assert any("after the first sign" in words for words in said) is named, said
        watcher.close()


class Clock:
    """In place of the module `time`."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns

    def monotonic_ns(self) -> int:
        return self.now_ns

    def monotonic(self) -> float:
        return self.now_ns / 1e9


def test_a_crash_is_seen_although_another_process_is_there_by_the_next_look(tmp_path: Path) -> None:
    said: list[str] = []
    folder = RunFolder.create(tmp_path / "run")
    states, now_ns = ["S", "S", "", "S"], time.monotonic_ns()
    seen = [
        Observation(ServerRecord(now_ns + at * 10**9, 3.0, None, None, None, None, 30, 40, state, fds_limit=1024), None)
        for at, state in enumerate(states)
    ]

    class Seen:
        """An agent that was not asked for two seconds."""

        looks = iter([Look(seen[1], [], [], before=(seen[0],)), Look(seen[3], [], [], before=(seen[2],))])

        def look(self) -> Look:
            return next(self.looks, Look(None, [], []))

    with contextlib.closing(folder.writer("watch")) as writer:
        watcher = Watcher(folder, writer, Seen(), WatchOptions(backtrace=False), said.append)  # type: ignore[arg-type]
        # what is gathered then is another test's
        watcher._begun = lambda stall: said.append(stall.finding.rule)  # type: ignore[method-assign]
        for _ in range(2):
            watcher._look()
            watcher._judge()
    assert said[0] == "the Janus process is gone"
