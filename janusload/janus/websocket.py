"""An open WebSocket, driven by gevent: whole messages in and out, each stamped; of what they say it knows nothing.

permessage-deflate is off (Janus does not offer it, and compressing would be charged to the latency), and nothing pings
by itself: a keepalive failure would be misread as a transport failure. `ping` is a probe.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import gevent
import gevent.event

from janusload.errors import ConnectionLost, JanusError, TransactionTimeout
from janusload.janus import frames
from janusload.janus.connecting import Opened
from janusload.janus.link import Link, words

MAX_MESSAGE_BYTES = 16 * 2**20


class WebSocket:
    """The frames of one WebSocket, from after its upgrade to its end.

    Whoever owns it closes it, also after `on_end`. All callbacks run in the event loop: they must not block.

    Args:
        opened: owned by it from now on.
        on_message: called with each whole message and the moment at which its last byte was read.
        on_control: called with the moment of each control frame.
        on_written: called with the tag of each message that had to wait, when the kernel has all of it, and the moment.
        on_end: called once when the other side has ended it, or broken it: with the error for whatever waits, and the
            code with which to close (RFC 6455 7.4), None where there is nobody to close to.
    """

    __slots__ = (
        "_begun",
        "_ended",
        "_link",
        "_on_control",
        "_on_end",
        "_on_message",
        "_pings",
        "_reader",
    )

    def __init__(
        self,
        opened: Opened,
        *,
        on_message: Callable[[bytes, int], None],
        on_control: Callable[[int], None],
        on_written: Callable[[Any, int], None],
        on_end: Callable[[ConnectionLost, int | None], None],
    ) -> None:
        self._on_message = on_message
        self._on_control = on_control
        self._on_end = on_end
        self._begun = opened.rest
        self._ended = False
        self._reader = frames.FrameReader(MAX_MESSAGE_BYTES)
        self._pings: dict[bytes, gevent.event.AsyncResult] = {}
        self._link = Link(opened.sock, opened.tls, on_bytes=self._take, on_written=on_written, on_end=self._broken)

    @property
    def waiting_bytes(self) -> int:
        """What the kernel did not take yet."""
        return self._link.waiting_bytes

    def begin(self, arrived_ns: int) -> None:
        """Take what came right behind the answer to the upgrade."""
        begun, self._begun = self._begun, b""
        if begun:
            self._take(begun, arrived_ns)

    def send(self, text: str, tag: Any) -> int | None:
        """Send a message; the moment just before the kernel took it.

        None where some of it must wait, in which case `on_written` is called with `tag` once it is gone, and where the
        WebSocket turned out to be broken, in which case `on_end` has been called.
        """
        try:
            return self._link.send(_write(text.encode()), tag)
        except OSError as error:
            self._broken(words(error))
            return None

    def withdraw(self, unwanted: Callable[[Any], bool]) -> None:
        """Take out of the queue what is not wanted any more, by its tag; what was begun goes on."""
        self._link.withdraw(unwanted)

    def ping(self, timeout_s: float) -> float:
        """Send a ping (RFC 6455 5.5.2); returns seconds until its pong.

        Raises:
            TransactionTimeout: no pong in time.
            JanusError: that with which it was closed meanwhile.
        """
        began_ns = time.monotonic_ns()
        payload = str(began_ns).encode()
        pong = self._pings[payload] = gevent.event.AsyncResult()
        try:
            self._send_control(frames.PING, payload)
            arrived_ns: int = pong.get(timeout=timeout_s)
        except gevent.Timeout:
            raise TransactionTimeout("ws.ping", timeout_s) from None
        finally:
            self._pings.pop(payload, None)
        return (arrived_ns - began_ns) / 1e9

    def close(self, cause: JanusError, code: int | None) -> None:
        """Close it, with a closing frame if there is a `code`; never waits for the other side. Once only.

        Args:
            cause: raised by pings that wait.
        """
        self._ended = True
        if code is not None:
            # one attempt only: a server that reads nothing must not keep us here
            with contextlib.suppress(OSError):
                self._link.send(_control(frames.CLOSE, code.to_bytes(2, "big")))
        self._link.close()
        for pong in self._pings.values():
            pong.set_exception(cause)

    def _take(self, data: bytes, arrived_ns: int) -> None:
        reader = self._reader
        for opcode, payload in reader.receive(data):
            if opcode == frames.TEXT:
                self._on_message(payload, arrived_ns)
            else:
                self._take_control(opcode, payload, arrived_ns)
            if self._ended:
                return
        if reader.failed is not None:
            code, what = reader.failed
            self._end(f"the server sent {what}", code)

    def _take_control(self, opcode: int, payload: bytes, arrived_ns: int) -> None:
        self._on_control(arrived_ns)
        if opcode == frames.PING:
            self._send_control(frames.PONG, payload)
        elif opcode == frames.PONG:
            pong = self._pings.get(payload)
            if pong is not None:
                pong.set(arrived_ns)
        else:
            code = int.from_bytes(payload[:2], "big") if payload else 1005
            self._end(f"closed by the server with code {code}", code if payload else frames.NORMAL)

    def _send_control(self, opcode: int, payload: bytes) -> None:
        """Pongs that the kernel does not take are left out: nobody who floods us with pings may fill our memory."""
        if opcode == frames.PONG and self._link.blocked:
            return
        try:
            self._link.send(_control(opcode, payload))
        except OSError as error:
            self._broken(words(error))

    def _broken(self, what: str) -> None:
        self._end(what or "the server closed the connection without a closing handshake", None)

    def _end(self, what: str, code: int | None) -> None:
        if not self._ended:
            self._ended = True
            self._on_end(ConnectionLost(f"the WebSocket to Janus closed: {what}"), code)


_write = frames.FrameWriter().text
_control = frames.FrameWriter().control
