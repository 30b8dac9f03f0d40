"""A Janus session: kept alive, and destroyed when its block is left."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import gevent

from janusload.errors import ConnectionLost, JanusError
from janusload.janus.handle import Handle
from janusload.janus.protocol import Notification

if TYPE_CHECKING:
    from janusload.janus.connection import Connection

H = TypeVar("H", bound=Handle)


class Session:
    """One Janus session; leaving its block destroys it.

    Attributes:
        id: the id that Janus gave it.
        handles: the handles attached in it, by id.
        ended: why it is no more; None while it lives.
        on_event: called with every notification of this session after its handle has seen it.
    """

    def __init__(self, connection: Connection, session_id: int, *, keepalive_s: float) -> None:
        self.connection = connection
        self.id = session_id
        self.handles: dict[int, Handle] = {}
        self.ended: JanusError | None = None
        self.on_event: Callable[[Notification], None] | None = None
        # The first one comes after a random part of the interval, so that sessions made together do not beat together.
        self._keepalive = gevent.get_hub().loop.timer(random.uniform(0.3, 1.0) * keepalive_s, keepalive_s)
        self._keepalive.start(self._keep_alive)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def attach(self, plugin: type[H], *, opaque_id: str | None = None, timeout_s: float | None = None) -> H:
        """Attach a handle of this plugin.

        Raises:
            CoreError: 460 if the plugin is missing, 405 if the token does not allow it.
        """
        fields: dict[str, Any] = {"session_id": self.id, "plugin": plugin.package}
        if opaque_id is not None:
            fields["opaque_id"] = opaque_id
        reply = self.connection.request("attach", fields=fields, plugin=plugin.short, timeout_s=timeout_s)
        handle = plugin(self, reply["data"]["id"])
        self.handles[handle.id] = handle
        return handle

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

    def take(self, notification: Notification) -> None:
        """Called by the connection with every notification that names this session."""
        if notification.kind == "timeout":
            self.lost(ConnectionLost("Janus let the session expire"))
        handle = self.handles.get(notification.handle_id) if notification.handle_id is not None else None
        if handle is not None:
            handle.take(notification)
        if self.on_event is not None:
            self.on_event(notification)

    def lost(self, cause: JanusError) -> None:
        """The session is no more; its handles learn why."""
        if self.ended is None:
            self.ended = cause
            self._keepalive.stop()
            self._keepalive.close()
            self.connection.sessions.pop(self.id, None)
            for handle in self.handles.values():
                handle.lost(cause)

    def _keep_alive(self) -> None:
        if self.ended is None and self.connection.is_open:
            self.connection.submit("keepalive", fields={"session_id": self.id})
