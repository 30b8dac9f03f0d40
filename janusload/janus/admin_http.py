"""The Admin API over HTTP, with nothing but the standard library: works with and without gevent's monkey patching.

Without it, a request blocks the thread, and with it all greenlets. One connection per request, no proxy whatever the
environment says, no redirects.
"""

from __future__ import annotations

import http.client
import io
import json
import secrets
import socket
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from janusload.addresses import require_allowed
from janusload.errors import ConnectFailed, ConnectionLost, ProtocolViolation, TransactionTimeout, UsageError
from janusload.janus.admin import AdminApi, answer_of

#: a Janus with 5,000 sessions lists them in 90 kB
LONGEST_ANSWER_BYTES = 4_000_000

_READ_BYTES = 65536


class HttpAdmin(AdminApi):
    """The Admin API at an address such as `http://127.0.0.1:7088/admin`.

    Args:
        url: `http://` or `https://`, with the API's base path.
        secret: Janus's `admin_secret`; None if it has none. Never part of an error.
        timeout_s: for requests that do not say otherwise, from name resolution to the last byte.
        allow_public: whether addresses other than loopback and private ones may be asked.
        tls: for `https://`; by default the system's authorities, and the name is verified.
    """

    def __init__(
        self,
        url: str,
        secret: str | None = None,
        *,
        timeout_s: float = 5.0,
        allow_public: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError("the address of the Admin API must look like http://HOST:PORT/admin")
        if parts.username is not None or parts.password is not None:
            raise UsageError("put no user or password into the address of the Admin API: it would show in errors")
        self._host = parts.hostname
        self._port = port or (443 if parts.scheme == "https" else 80)
        self._path = parts.path or "/"
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._secret = secret
        self._timeout_s = timeout_s
        self._allow_public = allow_public

    def __repr__(self) -> str:
        return f"HttpAdmin({self._where!r})"

    def request(self, verb: str, *, timeout_s: float | None = None, **fields: Any) -> dict[str, Any]:
        """Send any request, and return Janus's answer to it; see `AdminApi.request`."""
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + timeout_s
        transaction = secrets.token_hex(8)
        question = {**fields, "janus": verb, "transaction": transaction}
        if self._secret is not None:
            question["admin_secret"] = self._secret
        connection = http.client.HTTPConnection(self._host, self._port)
        # it has all of a socket that http.client uses
        connection.sock = sock = self._connect(deadline)
        try:
            try:
                headers = {"Content-Type": "application/json", "Connection": "close"}
                connection.request("POST", self._path, json.dumps(question).encode(), headers)
                with connection.getresponse() as response:
                    text = _read(response, verb)
            except TimeoutError:
                raise TransactionTimeout(f"admin.{verb}", timeout_s) from None
            except (OSError, http.client.HTTPException) as error:
                raise ConnectionLost(f"admin.{verb}: {self._where}: {_words(error)}") from None
        finally:
            sock.close_now()
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            raise ProtocolViolation(
                f"admin.{verb}: what came back is no JSON (HTTP status {response.status})"
            ) from None
        answer = answer_of(verb, message)
        if answer.get("transaction") != transaction:
            raise ProtocolViolation(f"admin.{verb}: an answer to another request came back")
        return answer

    @property
    def _where(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'http' if self._tls is None else 'https'}://{host}:{self._port}{self._path}"

    def _connect(self, deadline: float) -> _DeadlineSocket:
        phase = "dns"
        try:
            infos = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            phase = "tcp"
            refusal: OSError | None = None
            for family, kind, proto, _, address in infos:
                require_allowed(str(address[0]), allow_public=self._allow_public)
                sock = socket.socket(family, kind, proto)
                try:
                    sock.settimeout(_left(deadline))
                    sock.connect(address)
                    if self._tls is not None:
                        phase = "tls"
                        sock = self._tls.wrap_socket(sock, server_hostname=self._host)
                    return _DeadlineSocket(sock, deadline)
                except OSError as error:
                    sock.close()
                    refusal = error
            raise refusal or OSError("the name has no address")
        except (OSError, UnicodeError) as error:
            raise ConnectFailed(f"{self._where}: {_words(error)}", phase=phase) from None


class _DeadlineSocket:
    """What http.client needs of a socket, under one deadline: a byte a second is no way around it."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(_left(self._deadline))
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self._sock, self._deadline))

    def close(self) -> None:
        """Nothing: http.client closes before it has read the body of an answer with `Connection: close`."""

    def close_now(self) -> None:
        self._sock.close()


class _DeadlineReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)


def _read(response: http.client.HTTPResponse, verb: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    while data := response.read1(_READ_BYTES):
        size += len(data)
        if size > LONGEST_ANSWER_BYTES:
            raise ProtocolViolation(f"admin.{verb}: the answer is longer than {LONGEST_ANSWER_BYTES} bytes")
        parts.append(data)
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(parts)


def _left(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "not within the deadline"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
