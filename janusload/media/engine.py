"""The gevent side of media: starts worker processes, asks them for peers, passes on what they report.

Works with and without locust's monkey patching: sockets and waiting are gevent's own, and child processes are those
of whatever `subprocess` is in force, polled and never waited for in the kernel.
"""

from __future__ import annotations

import itertools
import logging
import subprocess
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import gevent
import gevent.event
import gevent.queue
import gevent.socket

from janusload.errors import MediaError, WorkerLost
from janusload.media import messages
from janusload.media.launch import describe_exit, launch
from janusload.media.messages import Message
from janusload.records import MediaRecord, Record

log = logging.getLogger(__name__)

#: asks that may wait to be written to one worker; more, and it is not keeping up
OUTBOX_LIMIT = 4096
#: what the engine gives a worker beyond the time that the worker itself has for an answer
GRACE_S = 3.0
#: how long a killed process may take to be reaped
REAP_S = 2.0

_FINAL = ("closed", "failed")


class Engine:
    """Media workers and the peers that they carry.

    Args:
        workers: how many processes; each can use one core.
        on_record: called with a MediaRecord per peer and a HealthRecord per worker about every second; must not block.
        on_lost: called with a worker's number and a reason when its process is gone without having been asked to go.
        public_targets: allow media to addresses that are neither loopback nor private.

    Attributes:
        pids: processes of the workers that run.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        on_record: Callable[[Record], None] = lambda record: None,
        on_lost: Callable[[int, str], None] = lambda worker, reason: None,
        public_targets: bool = False,
    ) -> None:
        self._links = [WorkerLink(number, on_record, on_lost, public_targets) for number in range(workers)]
        self._numbers = itertools.count()

    @property
    def pids(self) -> list[int]:
        return [link.pid for link in self._links if link.alive]

    def start(self, timeout_s: float = 30) -> None:
        """Start the workers; returns when each has said hello.

        Raises:
            MediaError: phase `worker`; one did not. None is left running.
        """
        try:
            for link in self._links:
                link.start()
            with gevent.Timeout(timeout_s, MediaError(f"no media worker within {timeout_s:g} s", phase="worker")):
                for link in self._links:
                    link.wait_hello()
        except BaseException:
            self.stop(timeout_s=0)
            raise

    def stop(self, timeout_s: float = 5) -> None:
        """End peers and workers; who does not end in time is killed. Again is nothing."""
        for link in self._links:
            link.tell_stop()
        deadline = time.monotonic() + timeout_s
        for link in self._links:
            link.finish(max(0.0, deadline - time.monotonic()))

    def peer(self, name: str, *, clip: str = "speech", loss: str = "", route_to: str | None = None) -> Peer:
        """A peer on the worker that carries the fewest; nothing is created yet.

        Args:
            name: what its records are called.
            clip: what it says: `speech`, `silence`, `tone` (one of several, by turns) or `tone:HERTZ`.
            loss: packets that are not to leave, as `every:2` or `random:0.1`: see `impairment`.
            route_to: address of the server: media is bound to the interface that routes there, and no other. Without
                it, candidates are gathered on all interfaces but loopback.

        Raises:
            WorkerLost: no worker runs.
        """
        links = [link for link in self._links if link.alive]
        if not links:
            raise WorkerLost("no media worker is running")
        link = min(links, key=lambda each: len(each.peers))
        return Peer(link, next(self._numbers), name, {"clip": clip, "loss": loss, "route_to": route_to})


class Peer:
    """One peer connection, as a context manager: leaving the block closes it.

    Attributes:
        state: new, connecting, connected, closed or failed.
        error: why it failed or was closed by the far end; None otherwise.
        record: its latest MediaRecord; None before the first.
        dropped: datagrams that came and were thrown away: forged, replayed, or no media at all.
        ended: set once the state is closed or failed.
    """

    def __init__(self, link: WorkerLink, number: int, name: str, making: dict[str, Any]) -> None:
        self.name = name
        self.number = number
        self.state = "new"
        self.error: MediaError | None = None
        self.record: MediaRecord | None = None
        self.dropped = 0
        self.ended = gevent.event.Event()
        self._link = link
        self._making = making
        self.created = False
        self._closed = False
        link.peers[number] = self

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def worker(self) -> int:
        """Number of the worker that carries it."""
        return self._link.number

    def offer(self, timeout_s: float = 10) -> dict[str, Any]:
        """A jsep offer with all candidates in it; then send it, and `accept` what comes back.

        Raises:
            MediaError: phase `ice` (no socket or no route), `media` (no such clip), or `worker` (no answer in time).
            WorkerLost: the worker is gone.
        """
        self._create()
        sdp = self._ask("offer", timeout_s, **self._making)
        return {"type": "offer", "sdp": sdp, "trickle": False}

    def accept(self, jsep: dict[str, Any], timeout_s: float = 15) -> None:
        """Take the answer to our offer; returns when DTLS is up and audio flows.

        Raises:
            MediaError: phase `sdp`, `ice`, `dtls` or `worker`.
            WorkerLost: the worker is gone.
        """
        self._ask("accept", timeout_s + GRACE_S, sdp=_sdp(jsep, "answer"), timeout_s=timeout_s)

    def answer(self, jsep: dict[str, Any], timeout_s: float = 10, connect_timeout_s: float = 15) -> dict[str, Any]:
        """A jsep answer to an offer of the far end; then send it, and wait with `connected`.

        Raises:
            MediaError: phase `sdp`, `ice`, `media` or `worker`.
            WorkerLost: the worker is gone.
        """
        self._create()
        offer = _sdp(jsep, "offer")
        sdp = self._ask("answer", timeout_s, sdp=offer, timeout_s=connect_timeout_s, **self._making)
        return {"type": "answer", "sdp": sdp, "trickle": False}

    def connected(self, timeout_s: float = 15) -> None:
        """Wait until DTLS is up, after `answer`.

        Raises:
            MediaError: phase `sdp`, `ice`, `dtls` or `worker`.
            WorkerLost: the worker is gone.
        """
        self._ask("connected", timeout_s)

    def pause(self) -> None:
        """Stop sending RTP; RTCP and consent checks go on, so the far end sees silence, not a loss of the path."""
        self._ask("sending", GRACE_S, on=False)

    def resume(self) -> None:
        """Go on sending RTP."""
        self._ask("sending", GRACE_S, on=True)

    def close(self) -> None:
        """Have the worker say goodbye (RTCP BYE, DTLS close_notify) and close the socket.

        Waits for nothing: `ended` tells when it has happened. Again is nothing.
        """
        if self._closed:
            return
        self._closed = True
        if self.created and not self._link.gone:
            self._link.post({"verb": "close", "peer": self.number})
        else:
            self.end("closed")
        self._link.forget(self)

    def end(self, state: str, error: MediaError | None = None) -> None:
        """Take the final state; for the engine."""
        if self.state not in _FINAL:
            self.state = state
            self.error = error
        self.ended.set()

    def _create(self) -> None:
        if self.created:
            raise MediaError(f"the peer {self.name} has been described already", phase="sdp")
        self.created = True

    def _ask(self, verb: str, wait_s: float, /, **arguments: Any) -> Any:
        if self._closed:
            raise MediaError(f"the peer {self.name} is closed", phase="media")
        if isinstance(self.error, WorkerLost):
            raise WorkerLost(str(self.error))
        return self._link.ask({"verb": verb, "peer": self.number, **arguments}, wait_s)


def _sdp(jsep: dict[str, Any], kind: str) -> str:
    text = jsep.get("sdp") if isinstance(jsep, dict) else None
    if not isinstance(text, str) or jsep.get("type") != kind:
        raise MediaError(f"a jsep {kind} with an SDP was due", phase="sdp")
    return text


class WorkerLink:
    """A worker process, its socket, and the greenlets that read and write it.

    Attributes:
        number: as in `media-0`.
        peers: those that it carries, by number.
        gone: whether its process has ended, or is being ended.
    """

    def __init__(
        self,
        number: int,
        on_record: Callable[[Record], None],
        on_lost: Callable[[int, str], None],
        public_targets: bool,
    ) -> None:
        self.number = number
        self.peers: dict[int, Peer] = {}
        self.gone = False
        self._closing: dict[int, Peer] = {}
        self._on_record = on_record
        self._on_lost = on_lost
        self._public_targets = public_targets
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: Any = None
        self._outbox: Any = gevent.queue.SimpleQueue()
        self._asks: dict[int, Any] = {}
        self._ask_numbers = itertools.count()
        self._hello: Any = gevent.event.AsyncResult()
        self._greenlets: list[Any] = []
        self._stopping = False

    @property
    def alive(self) -> bool:
        """Whether it has said hello and not ended."""
        return bool(self._hello.ready()) and not self.gone and not self._stopping

    @property
    def pid(self) -> int:
        """Its process; -1 before the start."""
        return self._process.pid if self._process else -1

    def start(self) -> None:
        """Start the process and the greenlets; returns before it has said hello."""
        ours, theirs = gevent.socket.socketpair()
        self._socket = ours
        try:
            self._process = launch(self.number, theirs.fileno(), public_targets=self._public_targets)
        finally:
            theirs.close()
        self._greenlets = [gevent.spawn(self._read), gevent.spawn(self._write)]

    def wait_hello(self) -> None:
        """Wait for its hello.

        Raises:
            WorkerLost: it ended before.
        """
        self._hello.get()

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

    def forget(self, peer: Peer) -> None:
        """A peer was closed: it counts no more, but its last record is still to come."""
        if self.peers.pop(peer.number, None) is not None and peer.created:
            self._closing[peer.number] = peer

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
        self._end("the media engine was stopped", "closed")
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
        match message["say"]:
            case "media":
                for row in message["rows"]:
                    self._media(row)
            case "health":
                self._pass_on(messages.health_record(message, worker=self.number))
            case "state":
                self._state(message)
            case "hello":
                self._hello.set(message)

    def _media(self, row: list[Any]) -> None:
        number = row[0]
        peer = self.peers.get(number) or self._closing.get(number)
        if peer is None:
            return
        peer.record, peer.dropped = messages.media_record(row, peer=peer.name, worker=self.number)
        self._pass_on(peer.record)
        if peer.record.state in _FINAL and number in self._closing:
            del self._closing[number]
            peer.end(peer.record.state)

    def _state(self, said: Message) -> None:
        peer = self.peers.get(said["peer"]) or self._closing.get(said["peer"])
        if peer is None:
            return
        if said["state"] in _FINAL:
            # a peer that we close ends with its last record, see _media
            if said["peer"] in self.peers:
                error = MediaError(said["reason"], phase=said["phase"]) if "reason" in said else None
                peer.end(said["state"], error)
        else:
            peer.state = said["state"]

    def _pass_on(self, record: Record) -> None:
        try:
            self._on_record(record)
        except Exception:
            # a receiver's fault must not end the reader, and with it all peers of the worker
            log.exception("a receiver of media records failed")

    def _lost(self, reason: str) -> None:
        """The process is gone, or its socket is of no use any more: end it and everything that it carried."""
        if self._process is not None:
            if self._exit_code(0.5) is None:
                self._process.kill()
            reason = reason or describe_exit(self._exit_code(REAP_S))
        self._end(f"the media worker {self.number} is gone: {reason}", "failed")
        try:
            self._on_lost(self.number, reason)
        except Exception:
            log.exception("a receiver of lost media workers failed")

    def _end(self, text: str, state: str) -> None:
        self.gone = True
        error = WorkerLost(text)
        if not self._hello.ready():
            self._hello.set_exception(error)
        for result in list(self._asks.values()):
            if not result.ready():
                result.set_exception(error)
        for peer in [*self.peers.values(), *self._closing.values()]:
            if peer.state not in _FINAL and peer.record is not None:
                peer.record = peer.record._replace(t_ns=time.monotonic_ns(), state=state)
                self._pass_on(peer.record)
            peer.end(state, error)
        self.peers.clear()
        self._closing.clear()
