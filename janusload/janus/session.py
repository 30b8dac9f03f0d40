"""A Janus session: kept alive, and destroyed when its block is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

import gevent

from janusload.errors import ConnectionLost, CoreError, JanusError
from janusload.janus import keepalive
from janusload.janus.events import Detached, Listeners, Notification, SessionTimeout
from janusload.janus.handle import Handle
from janusload.janus.protocol import Transaction, created_id

if TYPE_CHECKING:
    from janusload.janus.connection import Connection

H = TypeVar("H", bound=Handle)

#: how old a session gets before its connection asks the server for its session timeout, and how often it asks again
_ASK_AFTER_S = 1.0
_ASK_AGAIN_S = 5.0

_SESSION_NOT_FOUND = 458


class Session(Listeners):
    """One Janus session; leaving its block destroys it.

    Attributes:
        connection: the one that owns it.
        id: the id that Janus gave it.
        handles: the handles attached in it, by id.
        ended: why it is no more; None while it lives.
    """

    def __init__(self, connection: Connection, session_id: int, *, keepalive_s: float | None) -> None:
        super().__init__()
        self.connection = connection
        self.id = session_id
        self.handles: dict[int, Handle] = {}
        self.ended: JanusError | None = None
        self._keepalive_s = keepalive_s
        self._phase = keepalive.next_phase()
        self._timer: Any = None
        self._schedule()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @overload
    def attach(
        self,
        plugin: type[H],
        *,
        opaque_id: str | None = None,
        loop_index: int | None = None,
        timeout_s: float | None = None,
    ) -> H: ...

    @overload
    def attach(
        self,
        plugin: str,
        *,
        opaque_id: str | None = None,
        loop_index: int | None = None,
        timeout_s: float | None = None,
    ) -> Handle: ...

    def attach(
        self,
        plugin: type[Handle] | str,
        *,
        opaque_id: str | None = None,
        loop_index: int | None = None,
        timeout_s: float | None = None,
    ) -> Handle:
        """Attach a handle of this plugin: a facade, or a package name for a handle without one.

        When the answer comes too late, the handle that it names is detached.

        Args:
            opaque_id: what event handlers and the Admin API call it.
            loop_index: which of Janus's event loops it is to run in; only where Janus allows that.

        Raises:
            CoreError: 460 if the plugin is missing, 405 if the token does not allow it.
        """
        make: Callable[[int], Handle]
        if isinstance(plugin, str):
            package, short = plugin, plugin.rpartition(".")[2]
            make = lambda handle_id: Handle(self, handle_id, package)  # noqa: E731 - one of two ways to do one thing
        else:
            package, short, kind = plugin.package, plugin.short, plugin
            make = lambda handle_id: kind(self, handle_id)  # noqa: E731 - as above
        fields: dict[str, Any] = {"session_id": self.id, "plugin": package}
        if opaque_id is not None:
            fields["opaque_id"] = opaque_id
        if loop_index is not None:
            fields["loop_index"] = loop_index
        reply = self.connection.request(
            "attach", fields=fields, plugin=short, timeout_s=timeout_s, on_late=self._detach_late
        )
        handle = make(created_id(reply))
        self.handles[handle.id] = handle
        if self.ended is not None:
            handle.lost(self.ended)  # between the answer and now
        return handle

    def keepalive(self, timeout_s: float | None = None) -> None:
        """Keep the session alive now, beside what happens by itself. Raises CoreError 458 if it is gone."""
        self.connection.request("keepalive", fields={"session_id": self.id}, timeout_s=timeout_s)

    def claim(self, connection: Connection | None = None, timeout_s: float | None = None) -> Session:
        """Take the session over to another connection, or to its own after that was reconnected. Never done by itself.

        Janus keeps sessions whose WebSocket is gone for its `reclaim_session_timeout`; with 0, its default, there is
        nothing to claim.

        Raises:
            CoreError: 458 if the session is gone.
        """
        target = self.connection if connection is None else connection
        target.request("claim", fields={"session_id": self.id}, timeout_s=timeout_s)
        self.connection.sessions.pop(self.id, None)
        self.connection = target
        target.sessions[self.id] = self
        self.ended = None
        for handle in self.handles.values():
            handle.lost(None)
        self._schedule()
        return self

    def destroy(self, timeout_s: float | None = None) -> None:
        """Destroy the session at Janus, with all its handles.

        Raises:
            CoreError: 458 if it is gone already.
        """
        self.lost(ConnectionLost("this side destroyed the session"))
        self.connection.request("destroy", fields={"session_id": self.id}, timeout_s=timeout_s)

    def close(self) -> None:
        """Destroy the session without waiting for the answer; never raises. For leaving a block in any mood."""
        if self.ended is None and self.connection.is_open:
            self.lost(ConnectionLost("this side destroyed the session"))
            self.connection.submit("destroy", fields={"session_id": self.id})

    # -- called by the connection -----------------------------------------------------------------------------------

    def take(self, notification: Notification) -> list[Callable[[Any], None]]:
        """Take a notification that names this session; returns whom to tell: its handle's listeners, then its own."""
        if isinstance(notification, SessionTimeout):
            self.lost(ConnectionLost("Janus let the session expire"))
        told: list[Callable[[Any], None]] = []
        handle = self.handles.get(notification.handle_id) if notification.handle_id is not None else None
        if handle is not None:
            handle.take(notification)
            if isinstance(notification, Detached):
                del self.handles[handle.id]
                handle.lost(self.ended or ConnectionLost("Janus detached the handle"))
            told += handle.listeners(notification)
        return told + self.listeners(notification)

    def lost(self, cause: JanusError) -> None:
        """The session is no more; its handles learn why."""
        if self.ended is None:
            self.ended = cause
            self._stop_timer()
            self.connection.sessions.pop(self.id, None)
            for handle in self.handles.values():
                handle.lost(cause)

    # -- keeping alive ----------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        self._stop_timer()
        timeout_s = self.connection.session_timeout_s
        interval_s = self._keepalive_s
        if interval_s is None:
            if timeout_s is None:
                self._start_timer(_ASK_AFTER_S, 0.0, self._ask_timeout)
                return
            interval_s = keepalive.interval_s(timeout_s)
        if interval_s > 0:
            first_s = keepalive.first_after_s(time.monotonic(), interval_s, self._phase)
            self._start_timer(first_s, interval_s, self._keep_alive)

    def _start_timer(self, after_s: float, repeat_s: float, callback: Callable[[], None]) -> None:
        self._timer = gevent.get_hub().loop.timer(after_s, repeat_s)
        self._timer.start(callback)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _ask_timeout(self) -> None:
        if self.connection.session_timeout_s is not None:
            self._schedule()
        elif self.connection.is_open:
            self.connection.submit("info", on_done=self._timeout_told)

    def _timeout_told(self, _: Transaction) -> None:
        if self.ended is not None:
            return
        if self.connection.session_timeout_s is not None:
            self._schedule()
            return
        self._keep_alive()
        self._stop_timer()
        self._start_timer(_ASK_AGAIN_S, 0.0, self._ask_timeout)

    def _keep_alive(self) -> None:
        if self.ended is None and self.connection.is_open:
            self.connection.submit("keepalive", fields={"session_id": self.id}, on_done=self._kept_alive)

    def _kept_alive(self, transaction: Transaction) -> None:
        if isinstance(transaction.error, CoreError) and transaction.error.code == _SESSION_NOT_FOUND:
            self.lost(ConnectionLost("Janus does not know the session any more"))

    def _detach_late(self, transaction: Transaction) -> None:
        """Detach the handle that an `attach` made after its timeout: nobody else would."""
        handle_id = created_id(transaction.reply) if transaction.reply is not None else 0
        if handle_id and self.ended is None and self.connection.is_open:
            self.connection.submit("detach", fields={"session_id": self.id, "handle_id": handle_id})
