"""Servers that behave badly on purpose: a raw socket, a thread, and a script of what to do to the client."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType

Behaviour = Callable[[socket.socket], None]


class HostileServer:
    """Accepts one client after the other and does `behaviour` to each, in a thread; `url` is where it listens.

    Args:
        behaviour: gets the client's socket, before anything was read from it.
        receive_bytes: size of the receive buffer, for servers that never read.
    """

    def __init__(self, behaviour: Behaviour, *, receive_bytes: int | None = None) -> None:
        self._behaviour = behaviour
        self._listener = socket.socket()
        if receive_bytes is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}"
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> HostileServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        while not self.stop.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError, ssl.SSLError):
                self._behaviour(client)


def read_request(client: socket.socket) -> bytes:
    """The client's upgrade request."""
    request = b""
    while b"\r\n\r\n" not in request:
        data = client.recv(4096)
        if not data:
            raise OSError("the client left")
        request += data
    return request


def read_short_frames(client: socket.socket, count: int) -> list[bytes]:
    """The payloads of so many client frames, each of at most 125 bytes."""
    payloads = []
    for _ in range(count):
        head = client.recv(6, socket.MSG_WAITALL)
        payload = client.recv(head[1] & 0x7F, socket.MSG_WAITALL)
        payloads.append(bytes(byte ^ head[2 + place % 4] for place, byte in enumerate(payload)))
    return payloads


def acceptance(request: bytes) -> bytes:
    """The right answer to an upgrade request (RFC 6455 4.2.2)."""
    key = next(
        line.split(b":")[1].strip() for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
    )
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Protocol: janus-protocol\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def upgraded(behaviour: Behaviour) -> Behaviour:
    """First the upgrade, in order; then `behaviour`."""

    def behave(client: socket.socket) -> None:
        client.sendall(acceptance(read_request(client)))
        behaviour(client)

    return behave


def sends(*chunks: bytes) -> Behaviour:
    """Sends these, then reads until the client leaves."""

    def behave(client: socket.socket) -> None:
        for chunk in chunks:
            client.sendall(chunk)
        while client.recv(65536):
            pass

    return behave


def resets(client: socket.socket) -> None:
    """Closes so that the client sees a reset (RST) instead of an end."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
