"""The Admin API over a WebSocket: a connection like those of the Janus API, with a subprotocol of its own."""

from __future__ import annotations

from typing import Any

from janusload.janus.admin import AdminApi
from janusload.janus.connection import Connection

SUBPROTOCOL = "janus-admin-protocol"


class WsAdmin(AdminApi):
    """The Admin API over an open connection, made with `Connection(url, subprotocol=admin_ws.SUBPROTOCOL)`.

    Args:
        connection: its observer sees each request as `admin.VERB`.
        secret: Janus's `admin_secret`; None if it has none. Never part of an error or a record.
    """

    def __init__(self, connection: Connection, secret: str | None = None) -> None:
        self._connection = connection
        self._auth = {} if secret is None else {"admin_secret": secret}

    def request(self, verb: str, *, timeout_s: float | None = None, **fields: Any) -> dict[str, Any]:
        """Send any request, and return Janus's answer to it; see `AdminApi.request`."""
        return self._connection.request(
            verb, name=f"admin.{verb}", fields={**fields, **self._auth}, timeout_s=timeout_s
        )
