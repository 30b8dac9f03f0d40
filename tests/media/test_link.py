"""The link to one worker: what it does when the worker does not keep up, and when it cannot be started."""

from __future__ import annotations

import os
import signal
from typing import Any

import gevent
import pytest

from janusload.errors import MediaError, WorkerLost
from janusload.media import link
from janusload.media.link import WorkerLink


def a_link(said: list[dict[str, Any]], ended: list[tuple[WorkerLost, str | None]]) -> WorkerLink:
    return WorkerLink(
        0,
        on_said=said.append,
        on_end=lambda error, reason: ended.append((error, reason)),
        public_targets=False,
        tick="python",
    )


def test_a_worker_that_does_not_keep_up_is_asked_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "OUTBOX_LIMIT", 8)
    ended: list[tuple[WorkerLost, str | None]] = []
    worker = a_link([], ended)
    worker.start()
    worker.wait_hello()
    try:
        os.kill(worker.pid, signal.SIGSTOP)

        def ask() -> MediaError | None:
            # long enough that a few fill the kernel's buffer
            try:
                worker.ask({"verb": "accept", "peer": 9, "sdp": "x" * 100_000, "timeout_s": 1}, 10)
            except MediaError as exc:
                return exc
            return None

        asking = [gevent.spawn(ask) for _ in range(40)]
        gevent.sleep(0.2)
        refused = [each for each in asking if each.ready()]
        assert refused and all("does not take requests" in str(each.value) for each in refused)
        assert len(worker._outbox) <= 8
        os.kill(worker.pid, signal.SIGCONT)
        answers = [str(each.get(timeout=10)) for each in asking if each not in refused]
        assert answers and all("no such peer" in each for each in answers)
        assert not worker._asks
    finally:
        worker.tell_stop()
        worker.finish(5)
    assert [reason for _, reason in ended] == [None]


def test_what_cannot_be_started_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(os.listdir("/proc/self/fd"))
    monkeypatch.setattr("janusload.media.launch.sys.executable", "/nowhere/python")
    worker = a_link([], [])
    with pytest.raises(MediaError, match="cannot be started"):
        worker.start()
    assert worker.pid == -1 and not worker.alive
    worker.tell_stop()
    worker.finish(1)
    assert set(os.listdir("/proc/self/fd")) == before
