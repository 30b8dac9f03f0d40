"""Which sessions the server should still have, from what it answered on a real connection."""

from __future__ import annotations

import time
from typing import Any

import gevent

from janusload.janus.connection import Connection
from janusload.janus.protocol import Transaction
from janusload.load.sessions import SessionBook
from tests.fake_janus import SILENCE, FakeJanus


def settle(seconds: float = 0.3) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        gevent.sleep(0.02)


def test_what_is_made_and_undone_and_what_is_not() -> None:
    book = SessionBook()
    with FakeJanus() as janus:
        with Connection(janus.url, observer=book.take) as connection:
            first, second = connection.create(), connection.create()
            assert book.open == {first.id, second.id}
            first.destroy()
            assert book.open == {second.id} and book.unanswered == 0
            connection.ping()
        # what a connection undid as it closed was not answered: the server's own list decides
        settle()
        assert janus.sessions <= book.open == {second.id}


def test_an_answer_that_comes_late_is_a_session_too_and_none_at_all_may_be_one() -> None:
    book = SessionBook()
    creates = iter([0.4, SILENCE])

    def script(request: dict[str, Any]) -> float | str:
        return next(creates) if request["janus"] == "create" else 0.0

    with FakeJanus(script) as janus, Connection(janus.url, observer=book.take) as connection:
        late: list[Transaction] = []
        connection.submit("create", timeout_s=0.1, on_late=late.append)
        settle(0.2)
        assert (book.open, book.unanswered) == (set(), 1)
        settle(0.4)
        assert len(late) == 1 and book.open == janus.sessions and book.unanswered == 0
        connection.submit("create", timeout_s=0.1)
        settle(0.2)
        assert (len(book.open), book.unanswered) == (1, 1)
    other = SessionBook()
    other.add(book.facts())
    assert other.facts() == {"open": sorted(book.open), "unanswered": 1}
    other.complete = False
    assert other.facts()["unanswered"] is None
