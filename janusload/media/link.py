"""One media worker as the engine holds it: its process, its end of the socketpair, and the messages both ways.

It knows asks and answers, and when the process is gone; what else a worker says is for whoever gave `on_said`.
Works with and without locust's monkey patching: sockets and waiting are gevent's own, and child processes are those
of whatever `subprocess` is in force, polled and never waited for in the kernel.
"""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Callable
from typing import Any

import gevent
import gevent.event
import gevent.queue
import gevent.socket

from janusload.errors import MediaError, WorkerLost
from janusload.media import messages
from janusload.media.launch import describe_exit, launch
from janusload.media.messages import Message

#: asks that may wait to be written to one worker; more, and it is not keeping up
OUTBOX_LIMIT = 4096
#: how long a killed process may take to be reaped
REAP_S = 2.0


class WorkerLink:
    """A worker process, its socket, and the greenlets that read and write it.

    Args:
        number: as in `media-0`.
        on_said: called with each message that is no answer; must not block.
        on_end: called once when it is gone, with the error of whatever still waits for it, and in words how the
            process ended; None instead of words where it was asked to go.

    Attributes:
        gone: whether its process has ended, or is being ended.
        hello: what it said first; empty before.
    """

    def __init__(
        self,
        number: int,
        *,
        on_said: Callable[[Message], None],
        on_end: Callable[[WorkerLost, str | None], None],
        public_targets: bool,
        tick: str,
    ) -> None:
        self.number = number
        self.gone = False
        self.hello: Message = {}
        self._on_said = on_said
        self._on_end = on_end
        self._public_targets = public_targets
        self._tick = tick
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: Any = None
        self._outbox: Any = gevent.queue.SimpleQueue()
        self._asks: dict[int, Any] = {}
        self._ask_numbers = itertools.count()
        self._greeted: Any = gevent.event.AsyncResult()
        self._greenlets: list[Any] = []
        self._stopping = False

    @property
    def alive(self) -> bool:
        """Whether it has said hello and not ended."""
        return bool(self._greeted.ready()) and not self.gone and not self._stopping

    @property
    def pid(self) -> int:
        """Its process; -1 before the start."""
        return self._process.pid if self._process else -1

    def start(self) -> None:
        """Start the process and the greenlets; returns before it has said hello."""
        ours, theirs = gevent.socket.socketpair()
        try:
            self._process = launch(self.number, theirs.fileno(), public_targets=self._public_targets, tick=self._tick)
        except MediaError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._socket = ours
        self._greenlets = [gevent.spawn(self._read), gevent.spawn(self._write)]

    def wait_hello(self) -> None:
        """Wait for its hello.

        Raises:
            MediaError: phase `worker`; it cannot do what is wanted of it.
            WorkerLost: it ended before.
        """
        self._greeted.get()

    def ask(self, message: Message, timeout_s: float) -> Any:
        """Ask and wait for the answer.

        Raises:
            MediaError: what the worker says, or phase `worker` when it says nothing in time.
            WorkerLost: it is gone.
        """
        if self.gone or self._stopping:
            raise WorkerLost(f"the media worker {self.number} is gone")
        if len(self._outbox) >= OUTBOX_LIMIT:
            raise MediaError(f"the media worker {self.number} does not take requests", phase="worker")
        number = next(self._ask_numbers)
        result = self._asks[number] = gevent.event.AsyncResult()
        try:
            self.post({**message, "ask": number})
            return result.get(timeout=timeout_s)
        except gevent.Timeout as exc:
            # somebody else's timeout is theirs to deal with
            if result.ready() or exc.seconds != timeout_s:
                raise
            text = f"the media worker {self.number} did not {message['verb']} within {timeout_s:g} s"
            raise MediaError(text, phase="worker") from None
        finally:
            del self._asks[number]

    def post(self, message: Message) -> None:
        """Have a message written; waits for nothing.

        Closes come this way past the limit of the outbox: each peer has one, so they are bounded as the peers are.
        """
        self._outbox.put(messages.encode(message))

    def tell_stop(self) -> None:
        """Ask it to close its peers and end."""
        if not self._stopping and not self.gone and self._process is not None:
            self._outbox.put(messages.encode({"verb": "stop"}))
        self._stopping = True

    def finish(self, timeout_s: float) -> None:
        """Wait until the process has ended, kill it if it does not, and let go of everything."""
        if self._process is None:
            return
        if self._exit_code(timeout_s) is None:
            self._process.kill()
            self._exit_code(REAP_S)
        # the reader ends by the end of the socket, after it has passed on what was left
        gevent.joinall(self._greenlets[:1], timeout=REAP_S)
        gevent.killall([each for each in self._greenlets if each is not gevent.getcurrent()])
        self._end("the media engine was stopped", None)
        self._socket.close()

    def _exit_code(self, timeout_s: float) -> int | None:
        """The exit code as soon as there is one; None if there is none in time.

        Polled: waiting would block every greenlet where `subprocess` is not gevent's, and gevent's own child watcher
        would take other people's children from them where it is not patched in.
        """
        if self._process is None:
            return None
        deadline = time.monotonic() + timeout_s
        while (code := self._process.poll()) is None and time.monotonic() < deadline:
            gevent.sleep(0.01)
        return code

    def _write(self) -> None:
        try:
            while True:
                self._socket.sendall(self._outbox.get())
        except OSError:
            # the reader sees the end as well, and tells
            return

    def _read(self) -> None:
        decoder = messages.Decoder()
        reason = ""
        try:
            while chunk := self._socket.recv(65536):
                for message in decoder.feed(chunk):
                    self._take(message)
        except OSError:
            # with unread bytes in its socket a process that is killed resets it: how it ended says more
            pass
        except MediaError as exc:
            reason = str(exc)
        if not self._stopping:
            self._lost(reason)

    def _take(self, message: Message) -> None:
        if "ask" in message:
            result = self._asks.get(message["ask"])
            if result is None:
                # whoever asked has given up
                return
            if "phase" in message:
                result.set_exception(MediaError(message["reason"], phase=message["phase"]))
            else:
                result.set(message["result"])
            return
        if message["say"] == "hello":
            self.hello = message
            if "refused" in message:
                self._greeted.set_exception(MediaError(message["refused"], phase="worker"))
            else:
                self._greeted.set()
        else:
            self._on_said(message)

    def _lost(self, reason: str) -> None:
        """The process is gone, or its socket is of no use any more: end it and everything that it carried."""
        if self._process is not None:
            if self._exit_code(0.5) is None:
                self._process.kill()
            reason = reason or describe_exit(self._exit_code(REAP_S))
        self._end(f"the media worker {self.number} is gone: {reason}", reason)

    def _end(self, text: str, reason: str | None) -> None:
        if self.gone:
            return
        self.gone = True
        error = WorkerLost(text)
        if not self._greeted.ready():
            self._greeted.set_exception(error)
        for result in list(self._asks.values()):
            if not result.ready():
                result.set_exception(error)
        self._on_end(error, reason)
