"""Which sessions of ours the server should still have, by what it answered: held against its own list after a run."""

from __future__ import annotations

from typing import Any

from janusload.janus.protocol import Transaction, created_id
from janusload.records import Outcome

#: how a `create` ends that the server may have carried out all the same
_UNKNOWN = frozenset({Outcome.API_TIMEOUT, Outcome.LOST_CONNECTION, Outcome.CUT})
_OK = Outcome.OK


class SessionBook:
    """Told of every transaction.

    Attributes:
        open: ids of sessions that were created and of whose end the server has not told.
        unanswered: `create`s that were written and never answered: whether there is a session, only the server knows.
        complete: whether nothing is missing: a worker that was lost has not told of its own.
    """

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.unanswered = 0
        self.complete = True

    def take(self, transaction: Transaction, late: bool) -> None:
        """A transaction has ended, or (`late`) its answer came after that."""
        reply = transaction.reply
        if transaction.verb == "create":
            if late or transaction.outcome is _OK:
                self.unanswered -= late
                # 0: a late refusal
                if session_id := created_id(reply or {}):
                    self.open.add(session_id)
            elif transaction.sent_ns is not None and transaction.outcome in _UNKNOWN:
                self.unanswered += 1
        elif transaction.verb == "destroy" and reply is not None:
            gone = reply.get("session_id")
            if isinstance(gone, int):
                self.open.discard(gone)

    def add(self, facts: dict[str, Any]) -> None:
        """What the book of another process says."""
        self.open.update(facts["open"])
        self.unanswered += facts["unanswered"]

    def facts(self) -> dict[str, Any]:
        """For the run folder, or for the master of a fleet."""
        return {"open": sorted(self.open), "unanswered": self.unanswered if self.complete else None}
