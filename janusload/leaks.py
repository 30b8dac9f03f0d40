"""What a run leaves behind on the server, by Janus's own list of sessions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from janusload.errors import JanusError, SurroundingsError
from janusload.janus.admin import AdminApi

#: how long Janus may take to forget sessions that were destroyed just before the count
SETTLE_S = 5.0

_ASK_AGAIN_S = 0.2


class SessionCount:
    """Asks Janus before and after a run which sessions there are.

    Args:
        admin: its Admin API.
        alone: whether nobody else uses this Janus: then whatever is there afterwards is ours.
    """

    def __init__(self, admin: AdminApi, *, alone: bool) -> None:
        self._admin = admin
        self._alone = alone
        self._before: frozenset[int] = frozenset()

    def begin(self) -> None:
        """See what is there already. Raises SurroundingsError if Janus does not say."""
        try:
            self._before = frozenset(self._admin.list_sessions())
        except JanusError as error:
            raise SurroundingsError(
                f"the Admin API does not say which sessions there are: {error} (its secret is taken from "
                "JANUS_ADMIN_SECRET; without --admin the run goes, and leaked sessions are not counted)"
            ) from error

    def end(self, book: Mapping[str, Any] | None) -> int | None:
        """How many sessions of ours are left, once Janus had time to forget them; None if it does not say.

        Args:
            book: what the load process knows of them (`load/sessions.py`); None if it was killed before it could say.
        """
        deadline = time.monotonic() + SETTLE_S
        while True:
            try:
                new = frozenset(self._admin.list_sessions()) - self._before
            except JanusError:
                return None
            left = len(new) if self._alone or book is None else ours_of(new, book)
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(_ASK_AGAIN_S)


def ours_of(new: frozenset[int], book: Mapping[str, Any]) -> int:
    """How many of the sessions that came during a run are its own, where others make sessions too.

    A `create` that was never answered may have made one all the same: as many of those that nobody knows count.
    """
    known = new & frozenset(book["open"])
    unanswered = book["unanswered"]
    unknown = len(new - known)
    return len(known) + (unknown if unanswered is None else min(unanswered, unknown))
