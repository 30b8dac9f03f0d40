"""The Admin API over HTTP against a server that misbehaves."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from janusload.errors import (
    ConnectFailed,
    ConnectionLost,
    CoreError,
    JanusError,
    ProtocolViolation,
    TransactionTimeout,
    UsageError,
)
from janusload.janus.admin_http import LONGEST_ANSWER_BYTES, HttpAdmin

SECRET = "hush-hush-42"

#: what a server does with one connection, and the request that it was sent
Behaviour = Callable[[socket.socket, dict[str, Any]], None]


@contextmanager
def server(behave: Behaviour) -> Iterator[str]:
    """The address of a server that takes one connection, reads the request and behaves as told."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):  # who asked may have gone
            connection.settimeout(5)
            text = b""
            while not text.partition(b"\r\n\r\n")[2]:
                data = connection.recv(65536)
                if not data or not data.isascii():
                    return
                text += data
            behave(connection, json.loads(text.partition(b"\r\n\r\n")[2]))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/admin"
        thread.join()


def http(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def say(data: bytes) -> Behaviour:
    return lambda connection, _: connection.sendall(data)


def answer(**fields: Any) -> Behaviour:
    def behave(connection: socket.socket, request: dict[str, Any]) -> None:
        connection.sendall(http(json.dumps({"transaction": request["transaction"], **fields}).encode()))

    return behave


def test_what_is_asked_and_answered() -> None:
    seen: list[dict[str, Any]] = []

    def behave(connection: socket.socket, request: dict[str, Any]) -> None:
        seen.append(request)
        answer(janus="success", sessions=[1, 2])(connection, request)

    with server(behave) as url:
        assert HttpAdmin(url, SECRET).list_sessions() == (1, 2)
    (request,) = seen
    assert request == {"janus": "list_sessions", "admin_secret": SECRET, "transaction": request["transaction"]}


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (say(b""), ConnectionLost),
        (say(b"garbage\r\n\r\n"), ConnectionLost),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), ConnectionLost),
        (say(http(b"no json")), ProtocolViolation),
        (say(http(b"[1]")), ProtocolViolation),
        (say(http(b"[" * 100_000)), ProtocolViolation),
        (say(http(b"\xff\xfe")), ProtocolViolation),
        (say(http(b"<html>", "500 Internal Server Error")), ProtocolViolation),
        (say(http(b'{"janus": "success", "transaction": "another"}')), ProtocolViolation),
        (answer(janus=5), ProtocolViolation),
        (answer(janus="success"), ProtocolViolation),
        (answer(janus="success", sessions=["1"]), ProtocolViolation),
        (answer(janus="error", error={"code": 403, "reason": "Unauthorized"}), CoreError),
        (answer(janus="error"), CoreError),
        (say(http(b'{"janus": "' + b"x" * LONGEST_ANSWER_BYTES + b'"}')), ProtocolViolation),
    ],
)
def test_whatever_is_no_answer_is_an_error_of_ours_without_the_secret(
    behave: Behaviour, error: type[JanusError]
) -> None:
    with server(behave) as url, pytest.raises(error) as raised:
        HttpAdmin(url, SECRET, timeout_s=5).list_sessions()
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None or SECRET not in repr(raised.value.__cause__)


def test_a_body_may_come_after_its_headers() -> None:
    def behave(connection: socket.socket, request: dict[str, Any]) -> None:
        body = json.dumps({"janus": "pong", "transaction": request["transaction"]}).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        time.sleep(0.1)
        connection.sendall(body[:9])
        time.sleep(0.1)
        connection.sendall(body[9:])

    with server(behave) as url:
        HttpAdmin(url).ping()


def test_refusals_are_named() -> None:
    refusal = answer(janus="error", error={"code": 403, "reason": "Unauthorized request"})
    with (
        server(refusal) as url,
        pytest.raises(CoreError, match=r"admin\.get_status: .* 403 UNAUTHORIZED: Unauthorized"),
    ):
        HttpAdmin(url).get_status()


def drip(connection: socket.socket, _: dict[str, Any]) -> None:
    """A byte of the headers every 50 ms: no read ever waits long."""
    for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def silence(connection: socket.socket, _: dict[str, Any]) -> None:
    connection.recv(1)


@pytest.mark.parametrize("behave", [drip, silence])
def test_one_deadline_over_all(behave: Behaviour) -> None:
    with server(behave) as url:
        began = time.monotonic()
        with pytest.raises(TransactionTimeout, match=r"admin\.ping: no answer within 0\.3 s"):
            HttpAdmin(url).ping(timeout_s=0.3)
        assert time.monotonic() - began < 2.0


def test_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectFailed, match=f"http://127.0.0.1:{port}/admin: connection refused") as failed:
        HttpAdmin(f"http://127.0.0.1:{port}/admin").ping()
    assert failed.value.phase == "tcp"
    with pytest.raises(ConnectFailed) as failed:
        HttpAdmin("http://nowhere.invalid/admin").ping()
    assert failed.value.phase == "dns"


def test_public_addresses_only_on_demand() -> None:
    with pytest.raises(UsageError, match="public address"):
        HttpAdmin("http://192.0.1.1:7088/admin", timeout_s=0.2).ping()


def test_https_is_verified() -> None:
    with (
        server(say(b"")) as url,
        pytest.raises(ConnectFailed) as failed,
    ):
        HttpAdmin(url.replace("http:", "https:"), tls=ssl.create_default_context()).ping()
    assert failed.value.phase == "tls"


@pytest.mark.parametrize("url", ["", "localhost:7088", "ftp://h/", "http://", "http://h:port/", "http://[::1"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError, match="must look like"):
        HttpAdmin(url)


def test_no_password_in_the_address() -> None:
    with pytest.raises(UsageError) as refused:
        HttpAdmin(f"http://admin:{SECRET}@127.0.0.1/admin")
    assert SECRET not in str(refused.value)
    assert SECRET not in repr(HttpAdmin("http://127.0.0.1:7088/admin", SECRET))


def test_a_proxy_in_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with server(answer(janus="pong")) as url:
        HttpAdmin(url).ping()
