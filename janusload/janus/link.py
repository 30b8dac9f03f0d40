"""Bytes to and from an open socket, in the hub and without ever blocking."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections import deque
from collections.abc import Callable
from socket import SHUT_RDWR
from typing import Any

import gevent

from janusload.janus.tls import Tls

_RECEIVE_BYTES = 65536

#: what waits for the kernel at most; a server that never reads must cost neither memory nor time
MAX_WAITING_BYTES = 2**20

_READ, _WRITE = 1, 2


class Link:
    """Drives a connected, non-blocking socket from the event loop itself.

    There is no greenlet per connection: a watcher that stays armed calls back as soon as there are bytes, which saves
    two switches, a system call and an exception per answer, and the stack.

    Args:
        sock: connected; owned by the link from now on.
        tls: its TLS session after the handshake; None without TLS.
        on_bytes: called with what arrived and the moment at which it was read.
        on_written: called with the tag of each chunk when the kernel has all of it, and the moment.
        on_end: called once with the words for it when the other side ended the connection or it broke.
    """

    __slots__ = (
        "_on_bytes",
        "_on_end",
        "_on_written",
        "_partial",
        "_queue",
        "_queued_bytes",
        "_reader",
        "_socket",
        "_tls",
        "_writer",
    )

    def __init__(
        self,
        sock: Any,
        tls: Tls | None,
        *,
        on_bytes: Callable[[bytes, int], None],
        on_written: Callable[[Any, int], None],
        on_end: Callable[[str], None],
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._tls = tls
        self._on_bytes = on_bytes
        self._on_written = on_written
        self._on_end = on_end
        self._queue: deque[tuple[bytes, Any]] = deque()
        self._queued_bytes = 0
        self._partial: tuple[memoryview, Any] | None = None
        loop = gevent.get_hub().loop
        self._reader = loop.io(sock.fileno(), _READ)
        self._writer = loop.io(sock.fileno(), _WRITE)
        self._reader.start(self._readable)

    @property
    def waiting_bytes(self) -> int:
        """What the kernel did not take yet."""
        return self._queued_bytes + (0 if self._partial is None else len(self._partial[0]))

    @property
    def blocked(self) -> bool:
        """Whether the kernel takes nothing at the moment."""
        return self._partial is not None

    def send(self, data: bytes, tag: Any = None) -> int | None:
        """Hand bytes to the kernel; the moment just before, or None if some of them must wait.

        In the latter case `on_written` is called with `tag` once they are gone.

        Raises:
            OSError: the connection is broken.
        """
        if self._partial is not None:
            self._queue.append((data, tag))
            self._queued_bytes += len(data)
            return None
        if self._tls is not None:
            data = self._tls.encrypt(data)
        now_ns = time.monotonic_ns()
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return now_ns
        self._partial = memoryview(data)[sent:], tag
        self._writer.start(self._writable)
        return None

    def withdraw(self, unwanted: Callable[[Any], bool]) -> None:
        """Take out of the queue what is not wanted any more, by its tag; what was begun goes on."""
        self._queue = deque(entry for entry in self._queue if not unwanted(entry[1]))
        self._queued_bytes = sum(len(data) for data, _ in self._queue)

    def close(self) -> None:
        """Close the socket; nothing is called back any more. Idempotent."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        for watcher in (self._reader, self._writer):
            watcher.stop()
            watcher.close()
        self._queue.clear()
        self._partial = None
        with contextlib.suppress(OSError):
            sock.shutdown(SHUT_RDWR)  # a socket that a fork has inherited would otherwise stay open
        sock.close()

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._on_end(words(error))
            return
        arrived_ns = time.monotonic_ns()
        if self._tls is not None:
            try:
                clear = self._tls.decrypt(data)
                answer = self._tls.outgoing()
                if answer:
                    self._send_raw(answer)
            except OSError as error:
                self._on_end(words(error))
                return
            data = clear if clear is not None else b""
            if not data and clear is not None:
                return
        if data:
            self._on_bytes(data, arrived_ns)
        else:
            self._on_end("")

    def _send_raw(self, data: bytes) -> None:
        """Send what TLS has to say for itself; it must not come between the parts of a record."""
        if self._partial is not None:
            begun, tag = self._partial
            self._partial = memoryview(bytes(begun) + data), tag
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._partial = memoryview(data)[sent:], None
            self._writer.start(self._writable)

    def _writable(self) -> None:
        try:
            while self._partial is not None:
                data, tag = self._partial
                now_ns = time.monotonic_ns()
                sent = self._socket.send(data)
                if sent < len(data):
                    self._partial = data[sent:], tag
                    return
                self._partial = None
                if self._queue:
                    following, following_tag = self._queue.popleft()
                    self._queued_bytes -= len(following)
                    if self._tls is not None:
                        following = self._tls.encrypt(following)
                    self._partial = memoryview(following), following_tag
                if tag is not None:
                    self._on_written(tag, now_ns)
            if self._socket is not None:
                self._writer.stop()
        except BlockingIOError:
            return
        except OSError as error:
            self._on_end(words(error))


def words(error: BaseException) -> str:
    """What went wrong, in few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
