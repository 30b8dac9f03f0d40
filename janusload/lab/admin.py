"""The few questions that the lab asks of its own Janus: over the Admin API, and whether the WebSocket answers."""

from __future__ import annotations

import base64
import os
import socket
from typing import Any

from janusload.errors import JanusError
from janusload.janus.admin_http import HttpAdmin


class LabAdmin:
    """The Admin API of the lab's Janus, for who only wants to know whether it answers; `HttpAdmin` says why not."""

    def __init__(self, url: str, secret: str) -> None:
        self._http = HttpAdmin(url, secret)

    def ask(self, verb: str, *, timeout_s: float = 3.0, **fields: Any) -> dict[str, Any] | None:
        """The answer to `verb`; None if none came in time or it was a refusal."""
        try:
            return self._http.request(verb, timeout_s=timeout_s, **fields)
        except JanusError:
            return None

    def ping(self, *, timeout_s: float = 1.0) -> bool:
        """Whether Janus's request thread answers."""
        answer = self.ask("ping", timeout_s=timeout_s)
        return answer is not None and answer.get("janus") == "pong"

    def sessions(self) -> int | None:
        """How many sessions Janus has; None if it does not say within 3 s."""
        answer = self.ask("list_sessions")
        sessions = None if answer is None else answer.get("sessions")
        return len(sessions) if isinstance(sessions, list) else None


def websocket_answers(address: str, port: int, *, timeout_s: float = 1.0) -> bool:
    """Whether a WebSocket comes up (RFC 6455 section 4.1); more than a listening port, which comes first."""
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET / HTTP/1.1\r\nHost: {address}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: janus-protocol\r\n\r\n"
    )
    try:
        with socket.create_connection((address, port), timeout=timeout_s) as connection:
            connection.sendall(request.encode())
            return connection.recv(1024).startswith(b"HTTP/1.1 101")
    except OSError:
        return False
