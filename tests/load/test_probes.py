"""The ladder: every rung asked, news of what is overdue, and care not to make a stall worse."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest

from janusload.errors import ConnectFailed, MediaError
from janusload.janus.connection import Connection
from janusload.load.assembly import make_ladder
from janusload.load.probes import OVERDUE_S, Ladder, Notice
from janusload.load.recorder import Recorder
from janusload.load.stage import Stage, Target
from janusload.media.engine import Engine
from janusload.records import ProbeRecord, Rung
from tests.fake_janus import DROP, SILENCE, FakeJanus, at_once
from tests.scenario.files import plan


class Kept:
    """What a ladder wrote and told."""

    def __init__(self) -> None:
        self.records: list[ProbeRecord] = []
        self.notices: list[Notice] = []

    def ok(self) -> Counter[str]:
        return Counter(str(record.rung) for record in self.records if record.ok)

    def missed(self) -> Counter[str]:
        return Counter(str(record.rung) for record in self.records if not record.ok)

    def told(self, state: str) -> set[Rung]:
        return {notice.rung for notice in self.notices if notice.state == state}


@contextmanager
def ladder(
    janus: FakeJanus, *, deadline_s: float = 2.0, connect: Callable[[], Connection] | None = None, **options: Any
) -> Iterator[Kept]:
    kept = Kept()
    asked = Ladder(
        connect or (lambda: Connection(janus.url, timeout_s=deadline_s)),
        kept.records.append,
        deadline_s=deadline_s,
        audiobridge=True,
        notice=kept.notices.append,
        **options,
    )
    try:
        asked.start()
        yield kept
    finally:
        asked.stop()


def wait_until(condition: Callable[[], object], within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        gevent.sleep(0.02)


EVERY = {str(rung) for rung in Rung} - {Rung.MEDIA}


def body_of(request: dict[str, Any]) -> str:
    return str((request.get("body") or {}).get("request"))


def test_a_scenario_says_how_often_it_is_asked() -> None:
    kept = Kept()
    often = plan('run_time = "5 s"\n[stream]\nrate = "1/s"\n[probes]\nevery = "200 ms"\n')
    with FakeJanus() as janus:
        stage = Stage(Target(janus.url), Recorder(None), Engine())
        asked = make_ladder(often, stage, kept.records.append, plugins=frozenset())
        try:
            asked.start()
            gevent.sleep(2.1)
        finally:
            asked.stop()
    assert 8 <= kept.ok()["ping"] <= 11


def test_every_rung_answers_and_nothing_is_left_behind() -> None:
    with FakeJanus() as janus:
        with ladder(janus) as kept:
            wait_until(lambda: len(kept.ok()) == len(EVERY) and min(kept.ok().values()) >= 2)
        wait_until(lambda: not janus.sessions)
        assert set(kept.ok()) == EVERY and not kept.missed()
        assert kept.told("answered") == {Rung(name) for name in EVERY} and not kept.told("overdue")
        verbs = Counter(request["janus"] for request in janus.requests)
    assert verbs["attach"] == 1, "it attaches beforehand, once"
    assert "handle_info" not in verbs


def test_what_it_made_is_destroyed_before_it_hangs_up() -> None:
    slow = {"create": 0.0, "destroy": 0.1}
    with FakeJanus(lambda request: slow.get(request["janus"], 0.0), reclaim=True) as janus:
        with ladder(janus) as kept:
            wait_until(lambda: kept.ok()["create"] >= 1)
            slow["create"] = 0.1
            asked = [request["janus"] for request in janus.requests].count("create")
            wait_until(lambda: [request["janus"] for request in janus.requests].count("create") > asked)
        # the server keeps sessions whose WebSocket is gone
        assert not janus.sessions


def test_what_is_overdue_is_told_before_its_deadline_and_the_late_answer_too() -> None:
    slow = [0.0]
    with FakeJanus(lambda request: slow[0] if request["janus"] == "ping" else 0.0) as janus:
        with ladder(janus, deadline_s=10.0) as kept:
            wait_until(lambda: kept.ok()["ping"])
            slow[0] = 1.5
            wait_until(lambda: Rung.PING in kept.told("overdue"))
            overdue = next(notice for notice in kept.notices if notice.state == "overdue")
            assert OVERDUE_S <= (overdue.at_ns - overdue.due_ns) / 1e9 < OVERDUE_S + 0.3
            slow[0] = 0.0
            wait_until(lambda: kept.notices[-1].state == "answered")
            wait_until(
                lambda: any(
                    notice.due_ns == overdue.due_ns and notice.state == "answered" and notice.rung is Rung.PING
                    for notice in kept.notices
                )
            )
        assert kept.told("overdue") == {Rung.PING}


def test_a_stuck_plugin_is_left_with_few_questions_and_no_attach() -> None:
    stuck = [False]

    def script(request: dict[str, Any]) -> float | str:
        return SILENCE if stuck[0] and request["janus"] == "message" else 0.0

    with FakeJanus(script) as janus:
        with ladder(janus, deadline_s=0.5) as kept:
            wait_until(lambda: kept.ok()["audiobridge_async"])
            stuck[0] = True
            already = len(janus.requests)
            wait_until(lambda: kept.missed()["audiobridge_sync"] >= 4)
            asked = Counter(body_of(request) for request in list(janus.requests)[already:])
        assert asked["exists"] == 3 and asked["leave"] == 3
        assert not any(request["janus"] == "attach" for request in list(janus.requests)[already:])
        details = {record.detail for record in kept.records if record.rung == Rung.AUDIOBRIDGE_SYNC and not record.ok}
        assert all("no answer within" in detail for detail in details) and any("not asked again" in d for d in details)
        assert not kept.missed()["ping"] and not kept.missed()["create"]


def test_while_the_core_is_silent_new_connections_are_not_closed() -> None:
    stuck = [False]

    def script(request: dict[str, Any]) -> float | str:
        return SILENCE if stuck[0] and request["janus"] in ("ping", "create") else 0.0

    with FakeJanus(script) as janus, ladder(janus, deadline_s=1.0) as kept:
        wait_until(lambda: kept.ok()["ping"])
        stuck[0] = True
        wait_until(lambda: kept.missed()["ping"] >= 4)
        upgrades = [record for record in kept.records if record.rung == Rung.WS_UPGRADE]
        since = next(record.due_ns for record in kept.records if record.rung == Rung.PING and not record.ok)
        assert 2 <= sum(record.due_ns > since for record in upgrades) <= 4, "held open, then not asked again"
        stuck[0] = False
        before = kept.ok()["ws_upgrade"]
        wait_until(lambda: kept.ok()["ws_upgrade"] >= before + 2)


def test_after_a_lost_connection_it_asks_on_and_attaches_again() -> None:
    drop = [False]

    def script(request: dict[str, Any]) -> float | str:
        if drop[0] and request["janus"] == "ping":
            drop[0] = False
            return DROP
        return 0.0

    with FakeJanus(script) as janus:
        with ladder(janus) as kept:
            wait_until(lambda: kept.ok()["audiobridge_sync"])
            drop[0] = True
            wait_until(lambda: not drop[0])
            before = kept.ok()["audiobridge_sync"]
            wait_until(lambda: kept.ok()["audiobridge_sync"] >= before + 2)
        assert sum(request["janus"] == "attach" for request in janus.requests) == 2


@contextmanager
def hole() -> Iterator[str]:
    """An address where TCP never answers: the queue of those who wait to be accepted is full."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"


def test_tcp_that_does_not_answer_is_overdue_as_soon_as_any_other_rung() -> None:
    with FakeJanus(at_once) as janus, hole() as nowhere:
        url = [janus.url]
        with ladder(janus, connect=lambda: Connection(url[0])) as kept:
            wait_until(lambda: kept.ok()["tcp"] and kept.ok()["ws_upgrade"])
            url[0] = nowhere
            wait_until(lambda: Rung.TCP in kept.told("overdue"))
            overdue = next(notice for notice in kept.notices if notice.state == "overdue")
            assert overdue.rung is Rung.TCP and (overdue.at_ns - overdue.due_ns) / 1e9 < OVERDUE_S + 0.3
            wait_until(lambda: kept.missed()["tcp"])
            assert not kept.missed()["ws_upgrade"], "which is given longer to come up"
            missed = next(record for record in kept.records if record.rung == Rung.TCP and not record.ok)
            assert missed.answered_ns is None and missed.due_ns == overdue.due_ns
            assert not kept.missed()["ping"]


class Packets:
    """An echo that can be broken off."""

    def __init__(self, *, fails: bool = False) -> None:
        self.flows = True
        self.gone = False
        self.opened = 0
        self._fails = fails
        self._heard = 0

    def open(self, connection: Connection) -> None:
        connection.open().close()
        if self._fails:
            raise MediaError("no way through", phase="ice")
        self.gone = False
        self.opened += 1

    def heard(self) -> int:
        self._heard += self.flows
        return self._heard

    def close(self) -> None:
        self.flows = False


def test_media_that_breaks_off_is_its_own_rung() -> None:
    echo = Packets()
    with FakeJanus(at_once) as janus, ladder(janus, echo=echo) as kept:
        wait_until(lambda: kept.ok()["media"] >= 2)
        echo.flows = False
        wait_until(lambda: kept.missed()["media"])
        assert Rung.MEDIA in kept.told("overdue") and not kept.missed()["ping"]


def test_what_a_server_lost_that_was_started_anew_is_made_again_once_it_is_back() -> None:
    drop = [False]

    def script(request: dict[str, Any]) -> float | str:
        return DROP if drop[0] else 0.0

    echo = Packets()
    with FakeJanus(script) as janus:
        url = [janus.url]
        with ladder(janus, connect=lambda: Connection(url[0]), echo=echo) as kept:
            wait_until(lambda: kept.ok()["audiobridge_sync"] and kept.ok()["media"])
            # what is made again at this very moment meets a closed door
            url[0], drop[0], echo.gone = "ws://127.0.0.1:1", True, True
            wait_until(lambda: kept.missed()["create"] >= 3)
            url[0], drop[0] = janus.url, False
            before = kept.ok()
            wait_until(lambda: kept.ok()["audiobridge_sync"] >= before["audiobridge_sync"] + 2)
            wait_until(lambda: kept.ok()["media"] >= before["media"] + 2)
        assert echo.opened == 2


def test_without_media_the_rest_is_asked_all_the_same() -> None:
    with FakeJanus(at_once) as janus, ladder(janus, echo=Packets(fails=True)) as kept:
        wait_until(lambda: kept.ok()["create"] >= 2)
        assert "media" not in kept.ok() + kept.missed()


def test_a_server_without_the_plugin_is_asked_the_rest() -> None:
    def script(request: dict[str, Any]) -> float | str:
        return "error" if request["janus"] == "attach" else 0.0

    with FakeJanus(script) as janus:
        with ladder(janus, needs_audiobridge=False) as kept:
            wait_until(lambda: kept.ok()["create"] >= 2)
            assert "audiobridge_sync" not in kept.ok() + kept.missed()
        with pytest.raises(Exception, match="490"), ladder(janus):
            pass


@pytest.mark.lab
def test_it_costs_a_real_janus_less_than_a_hundredth_of_a_core() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.bench_ladder", "--seconds", "8", "--rounds", "1"]
    done = subprocess.run([*command, "--janus", "janus"], capture_output=True, text=True, check=True)
    found = re.search(r"costs (-?[\d.]+) % of a core; (\d+) rungs", done.stdout)
    assert found is not None, done.stdout
    assert 0.0 < float(found[1]) < 1.0 and int(found[2]) == len(Rung), done.stdout


def test_what_could_not_be_asked_for_want_of_descriptors_says_nothing_of_the_server() -> None:
    failures: list[BaseException] = []
    with FakeJanus() as janus:
        full = False

        def connect() -> Connection:
            if full:
                error = ConnectFailed("no socket: too many open files", phase="tcp")
                raise error from OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return Connection(janus.url, timeout_s=2)

        with ladder(janus, connect=connect, every_s=0.2, on_failure=failures.append) as kept:
            wait_until(lambda: kept.ok()["tcp"] >= 2)
            full = True
            wait_until(lambda: len(failures) >= 3)
            upgrades = kept.ok()["ws_upgrade"]
            wait_until(lambda: len(failures) >= 6)
            assert not kept.missed() and not kept.told("unanswered")
            # the others go on over the connection that there is
            assert kept.ok()["ws_upgrade"] <= upgrades + 1 and kept.ok()["ping"] > upgrades
