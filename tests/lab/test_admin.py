from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from janusload.lab import Lab
from janusload.lab.admin import LabAdmin, websocket_answers


@contextmanager
def server(answer: bytes | None) -> Iterator[int]:
    """A port that takes one connection and answers `answer`, or nothing at all until it is over."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                if answer is None:
                    over.wait(5)
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        over.set()
        thread.join()


def http(body: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        http("not json"),
        http("[1]"),
        http('{"janus": "error", "error": {"code": 403}}'),
        http("{}", "500 Internal Server Error"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
    ],
)
def test_whatever_is_no_answer_is_none(answer: bytes) -> None:
    with server(answer) as port:
        assert LabAdmin(f"http://127.0.0.1:{port}/admin", "s").ask("ping", timeout_s=1) is None


def test_silence_is_waited_out_only_so_long() -> None:
    with server(None) as port:
        began = time.monotonic()
        assert not LabAdmin(f"http://127.0.0.1:{port}/admin", "s").ping(timeout_s=0.2)
        assert time.monotonic() - began < 1.0


def test_an_open_port_is_no_websocket_yet() -> None:
    with server(None) as port:
        assert not websocket_answers("127.0.0.1", port, timeout_s=0.2)
    with server(b"HTTP/1.1 403 Forbidden\r\n\r\n") as port:
        assert not websocket_answers("127.0.0.1", port)
    assert not websocket_answers("127.0.0.1", port)


@pytest.mark.lab
def test_a_real_janus_answers_and_a_proxy_in_the_environment_is_ignored(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    admin = LabAdmin(lab.admin_url, lab.admin_secret)
    assert admin.ping()
    assert isinstance(admin.sessions(), int)
    # a wrong secret counts nothing
    assert LabAdmin(lab.admin_url, "wrong").sessions() is None
