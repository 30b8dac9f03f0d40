"""The few questions that the lab asks of its own Janus: over the Admin API, and whether the WebSocket answers."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import urllib.request
from http.client import HTTPException
from typing import Any

_LONGEST_ANSWER_BYTES = 4_000_000

#: An `http_proxy` in the environment is not for the lab's own addresses.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class AdminApi:
    """The Admin API of one Janus over HTTP (https://janus.conf.meetecho.com/docs/admin.html)."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._secret = secret

    def ask(self, verb: str, *, timeout_s: float = 3.0, **fields: Any) -> dict[str, Any] | None:
        """The answer to `verb`; None if none came in time or it was a refusal."""
        question = {**fields, "janus": verb, "transaction": secrets.token_hex(8), "admin_secret": self._secret}
        request = urllib.request.Request(
            self._url, data=json.dumps(question).encode(), headers={"Content-Type": "application/json"}
        )
        try:
            with _OPENER.open(request, timeout=timeout_s) as response:
                answer = json.loads(response.read(_LONGEST_ANSWER_BYTES))
        # OSError: no connection, no answer in time, or an HTTP error status; the others: a broken answer.
        except (OSError, ValueError, HTTPException):
            return None
        if not isinstance(answer, dict) or answer.get("janus") == "error":
            return None
        return answer

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
