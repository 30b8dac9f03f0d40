"""The transactions of one WebSocket to Janus: every arrival is stamped before anything is done about it.

`submit` never blocks, so an open-loop stream can send from one greenlet and be called back; `request` waits. A timeout
ends the transaction and nothing else: the connection goes on listening, and a late answer is still matched. A WebSocket
that is lost stays lost until `reconnect`.

Callbacks (`observer`, `on_done`, `on_late`, listeners) run in the event loop: they must not block. What they raise is
reported as gevent reports it, and stops nothing.
"""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Self

import gevent
import gevent.event
import gevent.hub

from janusload.errors import ConnectFailed, ConnectionLost, JanusError, SendBlocked, UsageError
from janusload.janus import connecting, frames
from janusload.janus.events import Notification
from janusload.janus.link import MAX_WAITING_BYTES
from janusload.janus.protocol import Fault, JanusProtocol, Transaction
from janusload.janus.websocket import WebSocket
from janusload.janus.wire_log import WireLog
from janusload.records import Outcome

SUBPROTOCOL = "janus-protocol"

#: whether T has passed is decided by clock readings, so nobody needs to look more often than this
_EXPIRE_EVERY_S = 0.005

#: what a server that answers needs for the last answers, and a stuck one is given
SETTLE_S = 0.5


class Channel:
    """A WebSocket to Janus that carries transactions; a context manager that opens and closes it.

    Args:
        url: `ws://` or `wss://`; IPv6 in brackets; a path if something in front of Janus wants one.
        timeout_s: T for every request that does not say otherwise.
        connect_timeout_s: one deadline over name resolution, TCP, TLS and the upgrade together.
        api_secret: sent with each request; never part of an error or a record.
        token: stored or signed (`janus.tokens`); as `api_secret`.
        observer: called with every transaction when it ends (late=False), and again (late=True) when its answer comes
            after it had timed out. Must not block.
        on_fault: called with what belongs to no transaction. Must not block.
        allow_public: whether addresses other than loopback and private ones may be connected to.
        tls: for `wss://`, from `janus.tls.context`; by default the system's authorities, and the name is verified.
        wire_log: takes every message of both directions.
        subprotocol: what is spoken; the Admin API has its own.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 10.0,
        connect_timeout_s: float = 5.0,
        api_secret: str | None = None,
        token: str | None = None,
        observer: Callable[[Transaction, bool], None] | None = None,
        on_fault: Callable[[Fault], None] | None = None,
        allow_public: bool = False,
        tls: ssl.SSLContext | None = None,
        wire_log: WireLog | None = None,
        subprotocol: str = SUBPROTOCOL,
    ) -> None:
        self._uri = connecting.parse(url)
        self.timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._observer = observer
        self._on_fault = on_fault
        self._allow_public = allow_public
        self._tls = tls
        self._wire = None if wire_log is None else wire_log.connection(secrets=(api_secret, token))
        self._subprotocol = subprotocol
        self._janus = JanusProtocol(api_secret=api_secret, token=token)
        self._socket: WebSocket | None = None
        self._timer: Any = None
        self._timer_ns: int | None = None
        #: set when nothing is under way any more, for who waits to part
        self._settled: gevent.event.Event | None = None
        self._closed: JanusError | None = ConnectionLost("the WebSocket to Janus is not open yet")

    # -- life -------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        return self._closed is None

    @property
    def in_flight(self) -> int:
        """How many transactions wait for their answer."""
        return self._janus.in_flight

    def open(self, *, on_phase: Callable[[str], None] | None = None) -> Self:
        """Connect; also available as a record of its own, `ws.connect`. Does nothing if it is open.

        Args:
            on_phase: told when TCP is open and the next phase begins: `tls` or `ws_upgrade`. Must not block.

        Raises:
            ConnectFailed: no WebSocket within `connect_timeout_s`; `phase` says how far it got.
            UsageError: the address is public, and that was not allowed.
        """
        if self._closed is None:
            return self
        attempt = Transaction("connect", "ws.connect", self._connect_timeout_s, time.monotonic_ns())
        try:
            opened = connecting.open_websocket(
                self._uri,
                subprotocol=self._subprotocol,
                deadline_s=self._connect_timeout_s,
                allow_public=self._allow_public,
                tls=self._tls,
                on_phase=on_phase,
            )
        except ConnectFailed as error:
            attempt.outcome = Outcome.CONNECT_FAILED
            attempt.error = error
            self._ended(attempt)
            raise
        except UsageError:
            raise  # nothing was tried
        except BaseException:
            # whoever waited for it was killed: at the end of a run that is an attempt too
            attempt.outcome = Outcome.CUT
            self._ended(attempt)
            raise
        self._socket = WebSocket(
            opened,
            on_message=self._take,
            on_control=self._janus.heard,
            on_written=self._janus.written,
            on_end=self._gone,
        )
        self._closed = None
        attempt.sent_ns = attempt.due_ns
        attempt.answered_ns = time.monotonic_ns()
        attempt.outcome = Outcome.OK
        self._ended(attempt)
        self._socket.begin(attempt.answered_ns)
        return self

    def part(self, within_s: float = SETTLE_S) -> None:
        """Close it once all that is under way was answered, or after so long at the latest.

        For what was destroyed just before: closing with answers unread resets the TCP connection, and a server that is
        held up may then lose what it had not read yet.
        """
        try:
            if self.in_flight:
                self._settled = gevent.event.Event()
                self._settled.wait(within_s)
        finally:
            self.close()

    def close(self, cause: JanusError | None = None, outcome: Outcome = Outcome.CUT) -> None:
        """Close the WebSocket; what is pending ends as `cut`. Idempotent, and never waits for the server."""
        self._end(cause or ConnectionLost("this side closed the WebSocket"), outcome, close_code=frames.NORMAL)

    def vanish(self) -> None:
        """Drop the TCP connection without a closing handshake: what a server sees of a client that is gone."""
        self._end(ConnectionLost("this side dropped the connection"), Outcome.CUT)

    def reconnect(self) -> Self:
        """Close what there is and connect anew. Never done by itself; sessions are not claimed by it either.

        Raises:
            ConnectFailed: as from `open`.
        """
        self.close()
        return self.open()

    # -- requests ---------------------------------------------------------------------------------------------------

    def submit(
        self,
        verb: str,
        *,
        name: str = "",
        fields: dict[str, Any] | None = None,
        plugin: str = "",
        timeout_s: float | None = None,
        due_ns: int | None = None,
        on_done: Callable[[Transaction], None] | None = None,
        on_late: Callable[[Transaction], None] | None = None,
    ) -> Transaction:
        """Send a request and return at once; `on_done` is called when it has ended, however it ended."""
        now_ns = time.monotonic_ns()
        transaction = Transaction(
            verb,
            name or _NAMES.get(verb) or f"janus.{verb}",
            self.timeout_s if timeout_s is None else timeout_s,
            now_ns if due_ns is None else due_ns,
            plugin,
            on_done,
            on_late,
        )
        socket = self._socket
        if socket is None:
            transaction.outcome = Outcome.DROPPED
            transaction.error = self._closed
            self._ended(transaction)
            return transaction
        text = self._janus.begin(transaction, fields, now_ns)
        if socket.waiting_bytes > MAX_WAITING_BYTES:
            self._janus.refuse(transaction, SendBlocked(f"{transaction.name}: the socket takes nothing"))
            self._ended(transaction)
            return transaction
        if self._wire is not None:
            self._wire.sent(text, now_ns)
        sent_ns = socket.send(text, transaction)
        if sent_ns is not None:
            self._janus.written(transaction, sent_ns)
        elif transaction.outcome is not None:
            return transaction  # the WebSocket broke
        if self._timer_ns is None or transaction.deadline_ns < self._timer_ns:
            self._arm_timer(transaction.deadline_ns)
        return transaction

    def request(
        self,
        verb: str,
        *,
        name: str = "",
        fields: dict[str, Any] | None = None,
        plugin: str = "",
        timeout_s: float | None = None,
        on_late: Callable[[Transaction], None] | None = None,
    ) -> dict[str, Any]:
        """Send a request and wait for its final answer; takes what `submit` takes.

        If the greenlet that waits is killed, what the request creates is treated as if it came late.

        Raises:
            TransactionTimeout, SendBlocked, CoreError, PluginError, ConnectionLost, ProtocolViolation
        """
        waiter = gevent.hub.Waiter()
        transaction = self.submit(
            verb,
            name=name,
            fields=fields,
            plugin=plugin,
            timeout_s=timeout_s,
            on_done=_Wake(waiter),
            on_late=on_late,
        )
        if transaction.outcome is None:
            try:
                waiter.get()
            except BaseException:
                transaction.disown()
                raise
        if transaction.error is not None:
            raise _anew(transaction.error)
        assert transaction.reply is not None
        return transaction.reply

    def ws_ping(self, timeout_s: float) -> float:
        """Send a WebSocket ping (RFC 6455 5.5.2), which Janus answers in its transport thread; returns seconds.

        Raises:
            TransactionTimeout: no pong in time.
            ConnectionLost: the connection closed first.
        """
        if self._socket is None:
            raise _anew(self._closed or ConnectionLost("the WebSocket to Janus is not open yet"))
        return self._socket.ping(timeout_s)

    # -- what arrives -----------------------------------------------------------------------------------------------

    def _take(self, message: bytes, arrived_ns: int) -> None:
        if self._wire is not None:
            self._wire.received(message, arrived_ns)
        for event in self._janus.receive(message, arrived_ns):
            self._take_event(event)

    def _take_event(self, event: Transaction | Notification | Fault) -> None:
        if isinstance(event, Transaction):
            if event.verb == "info" and event.reply is not None:
                self._learn(event.reply)
            self._ended(event)
        elif isinstance(event, Notification):
            for tell in self._listeners(event):
                _call(tell, event)
        elif self._on_fault is not None:
            _call(self._on_fault, event)

    def _listeners(self, notification: Notification) -> Iterable[Callable[[Any], None]]:
        """Who is to be told of a notification."""
        return ()

    def _learn(self, info: dict[str, Any]) -> None:
        """The server has said who it is."""

    def _lost(self, cause: JanusError) -> None:
        """The WebSocket is no more."""

    # -- ending -----------------------------------------------------------------------------------------------------

    def _gone(self, cause: ConnectionLost, close_code: int | None) -> None:
        self._end(cause, Outcome.LOST_CONNECTION, close_code)

    def _arm_timer(self, deadline_ns: int) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
        self._timer_ns = deadline_ns
        delay_s = max((deadline_ns - time.monotonic_ns()) / 1e9, _EXPIRE_EVERY_S)
        self._timer = gevent.get_hub().loop.timer(delay_s)
        self._timer.start(self._expire)

    def _expire(self) -> None:
        self._timer_ns = None
        ended = self._janus.expire(time.monotonic_ns())
        if self._socket is not None and any(transaction.sent_ns is None for transaction in ended):
            self._socket.withdraw(_is_over)
        for transaction in ended:
            self._ended(transaction)
        deadline_ns = self._janus.next_deadline_ns()
        if deadline_ns is not None and self._timer_ns is None and self._socket is not None:
            self._arm_timer(deadline_ns)

    def _end(self, cause: JanusError, outcome: Outcome, close_code: int | None = None) -> None:
        socket, self._socket = self._socket, None
        if socket is None:
            return
        self._closed = cause
        socket.close(cause, close_code)
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = self._timer_ns = None
        for transaction in self._janus.fail(cause, outcome):
            self._ended(transaction)
        self._lost(cause)

    def _ended(self, transaction: Transaction) -> None:
        observer = self._observer
        if not transaction.told:
            transaction.told = True
            if observer is not None:
                _call(observer, transaction, False)
            if transaction.on_done is not None:
                _call(transaction.on_done, transaction)
        if transaction.answered_ns is not None and transaction.outcome is Outcome.API_TIMEOUT:
            if observer is not None:
                _call(observer, transaction, True)
            if transaction.on_late is not None:
                _call(transaction.on_late, transaction)
        if self._settled is not None and not self.in_flight:
            self._settled.set()


class _Wake:
    """An `on_done` that lets the greenlet that waits go on, after all that has arrived has been stamped."""

    __slots__ = ("_waiter",)

    def __init__(self, waiter: Any) -> None:
        self._waiter = waiter

    def __call__(self, transaction: Transaction) -> None:
        gevent.get_hub().loop.run_callback(self._waiter.switch, None)


_NAMES = {
    verb: f"janus.{verb}"
    for verb in ("ping", "info", "create", "attach", "message", "trickle", "hangup", "detach", "destroy", "keepalive")
}


def _is_over(transaction: Transaction | None) -> bool:
    return transaction is not None and transaction.outcome is not None


def _anew(error: JanusError) -> JanusError:
    """An error to raise that may have been raised before: one ends all that was pending, and each raise of it would
    lengthen its traceback, and keep what that refers to."""
    return error.with_traceback(None)


def _call(callback: Callable[..., None], *arguments: Any) -> None:
    """Run somebody else's code: what it raises must not keep others from their answers."""
    try:
        callback(*arguments)
    except Exception:
        gevent.get_hub().handle_error(callback, *sys.exc_info())
