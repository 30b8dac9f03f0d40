"""A connection to Janus: what goes over one WebSocket, and the sessions that it owns."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from janusload.errors import JanusError
from janusload.janus import keepalive
from janusload.janus.channel import SETTLE_S, Channel
from janusload.janus.events import Notification
from janusload.janus.protocol import Transaction, created_id
from janusload.janus.session import Session


class Connection(Channel):
    """A WebSocket to Janus, with everything that the core's API offers without a session; made as `Channel` is.

    Attributes:
        sessions: those that this connection owns, by id.
        session_timeout_s: the server's, as its `info` said; None before anybody asked.
    """

    session_timeout_s: float | None = None
    _version: tuple[int, int, int] | None = None

    @functools.cached_property
    def sessions(self) -> dict[int, Session]:
        return {}

    def ping(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Ask the core's request thread for a `pong`; needs no secret."""
        return self.request("ping", timeout_s=timeout_s)

    def info(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Janus's `server_info`: version, plugins, timeouts; needs no secret."""
        return self.request("info", timeout_s=timeout_s)

    def version(self) -> tuple[int, int, int]:
        """Janus's version, as (1, 1, 2); (0, 0, 0) if it does not say. Asks for `info` once per connection."""
        if self._version is None:
            self.info()  # whose answer is learnt from as it is read
        return self._version or (0, 0, 0)

    def create(
        self, *, session_id: int | None = None, keepalive_s: float | None = None, timeout_s: float | None = None
    ) -> Session:
        """Create a Janus session, which is kept alive by itself.

        When the answer comes too late, the session that it names is destroyed: nobody else would.

        Args:
            session_id: the id that it is to have; by default Janus chooses one.
            keepalive_s: how often it is kept alive, 0 for never. By default as the server's session timeout demands,
                which is asked for (`info`) once per connection if a session lives longer than a second.

        Raises:
            CoreError: 468 if the id is taken, 472 if Janus accepts no sessions.
            UsageError: `keepalive_s` is more than half of what `info` has said.
        """
        keepalive.require_fit(keepalive_s, self.session_timeout_s)
        fields = {"id": session_id} if session_id is not None else None
        reply = self.request("create", fields=fields, timeout_s=timeout_s, on_late=self.destroy_late)
        return self._session(created_id(reply), keepalive_s)

    def claim(self, session_id: int, *, keepalive_s: float | None = None, timeout_s: float | None = None) -> Session:
        """Take over a session of which only the id is known; `Session.claim` takes one over with its handles.

        Raises:
            CoreError: 458 if the session is gone.
        """
        keepalive.require_fit(keepalive_s, self.session_timeout_s)
        self.request("claim", fields={"session_id": session_id}, timeout_s=timeout_s)
        return self._session(session_id, keepalive_s)

    def part(self, within_s: float = SETTLE_S) -> None:
        """Destroy all sessions, and close once that and all else that is under way was answered, see `Channel.part`."""
        for session in list(self.sessions.values()):
            session.close()
        super().part(within_s)

    def destroy_late(self, transaction: Transaction) -> None:
        """Destroy the session that a `create` made after its timeout."""
        session_id = created_id(transaction.reply) if transaction.reply is not None else 0
        if session_id and self.is_open:
            self.submit("destroy", fields={"session_id": session_id})

    def _session(self, session_id: int, keepalive_s: float | None) -> Session:
        session = Session(self, session_id, keepalive_s=keepalive_s)
        self.sessions[session_id] = session
        if self._closed is not None:
            session.lost(self._closed)  # the answer came, and the end of the WebSocket right behind it
        return session

    def _listeners(self, notification: Notification) -> Iterable[Callable[[Any], None]]:
        session = self.sessions.get(notification.session_id) if notification.session_id is not None else None
        return session.take(notification) if session is not None else ()

    def _learn(self, info: dict[str, Any]) -> None:
        timeout_s = info.get("session-timeout")
        if isinstance(timeout_s, int) and not isinstance(timeout_s, bool) and timeout_s >= 0:
            self.session_timeout_s = timeout_s
        number = info.get("version")
        if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
            major, rest = divmod(number, 1000)  # 1102 is 1.1.2
            self._version = (major, *divmod(rest, 100))

    def _lost(self, cause: JanusError) -> None:
        for session in list(self.sessions.values()):
            session.lost(cause)
        self.sessions.clear()
