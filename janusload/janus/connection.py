"""One WebSocket to Janus, driven by gevent: a reader greenlet that stamps every arrival before it does anything else.

`submit` never blocks, so an open-loop stream can send from one greenlet and be called back; `request` waits. A timeout
ends the transaction and nothing else: the connection goes on listening, and a late answer is still matched.

permessage-deflate is off (Janus does not offer it, and compressing would be charged to the latency), and the library
sends no pings of its own: a keepalive failure would be misread as a transport failure. `ws_ping` is a probe.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
import gevent.event
import gevent.socket
import gevent.ssl
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidURI
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from janusload.errors import ConnectFailed, ConnectionLost, JanusError, TransactionTimeout, UsageError
from janusload.janus import keepalive
from janusload.janus.addresses import require_allowed
from janusload.janus.events import Notification
from janusload.janus.protocol import Fault, JanusProtocol, Transaction, connection_lost, created_id
from janusload.janus.session import Session
from janusload.records import Outcome

SUBPROTOCOL = Subprotocol("janus-protocol")
MAX_MESSAGE_BYTES = 16 * 2**20
_RECEIVE_BYTES = 65536


class Connection:
    """A WebSocket to Janus; a context manager that opens and closes it.

    Args:
        url: `ws://` or `wss://`; IPv6 in brackets.
        timeout_s: T for every request that does not say otherwise.
        connect_timeout_s: one deadline over name resolution, TCP, TLS and the upgrade together.
        api_secret, token: sent with each request; never part of an error or a record.
        observer: called with every transaction when it ends (late=False), and again (late=True) when its answer comes
            after it had timed out. Must not block.
        on_fault: called with what belongs to no transaction. Must not block.
        allow_public: whether addresses other than loopback and private ones may be connected to.
        tls: for `wss://`; verifies by default.
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
    ) -> None:
        try:
            self._uri = parse_uri(url)
        except InvalidURI:
            raise UsageError("the address of Janus must look like ws://HOST:PORT or wss://HOST:PORT") from None
        self.timeout_s = timeout_s
        self.sessions: dict[int, Session] = {}
        self.session_timeout_s: float | None = None
        self._version: tuple[int, int, int] | None = None
        self._connect_timeout_s = connect_timeout_s
        self._observer = observer
        self._on_fault = on_fault
        self._allow_public = allow_public
        self._tls = tls
        self._janus = JanusProtocol(api_secret=api_secret, token=token)
        self._ws = ClientProtocol(self._uri, subprotocols=[SUBPROTOCOL], max_size=MAX_MESSAGE_BYTES)
        self._socket: Any = None
        self._reader: gevent.Greenlet | None = None
        self._flusher: gevent.Greenlet | None = None
        self._out: deque[tuple[memoryview, Transaction | None]] = deque()
        self._fragments: list[bytes] = []
        self._pings: dict[bytes, gevent.event.AsyncResult] = {}
        self._timer = gevent.get_hub().loop.timer(0.0)
        self._timer_ns: int | None = None
        self._closed: JanusError | None = ConnectionLost("the WebSocket to Janus is not open yet")

    # -- life -------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Connection:
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

    def open(self) -> Connection:
        """Connect; also available as a record of its own, `ws.connect`.

        Raises:
            ConnectFailed: no WebSocket within `connect_timeout_s`; `phase` says how far it got.
        """
        attempt = Transaction("connect", "ws.connect", self._connect_timeout_s, time.monotonic_ns())
        attempt.sent_ns = attempt.due_ns
        self._phase = "dns"
        self._ws = ClientProtocol(self._uri, subprotocols=[SUBPROTOCOL], max_size=MAX_MESSAGE_BYTES)
        try:
            with gevent.Timeout(self._connect_timeout_s):
                self._connect()
        except gevent.Timeout:
            self._abandon_socket()
            where = {"dns": "no name resolution", "tcp": "no TCP connection", "tls": "no TLS handshake"}
            what = where.get(self._phase, "TCP is open but nothing answered the WebSocket upgrade")
            error = ConnectFailed(f"{self._where}: {what} within {self._connect_timeout_s:g} s", phase=self._phase)
        except ConnectFailed as failure:
            self._abandon_socket()
            error = failure
        except (OSError, ssl.SSLError, EOFError) as failure:
            self._abandon_socket()
            error = ConnectFailed(f"{self._where}: {_words(failure)}", phase=self._phase)
        except BaseException:
            self._abandon_socket()
            raise
        else:
            attempt.answered_ns = time.monotonic_ns()
            attempt.outcome = Outcome.OK
            self._closed = None
            self._reader = gevent.spawn(self._read)
            self._observe(attempt)
            return self
        attempt.outcome = Outcome.CONNECT_FAILED
        attempt.error = error
        attempt.sent_ns = None
        self._observe(attempt)
        raise error

    def close(self, cause: JanusError | None = None, outcome: Outcome = Outcome.CUT) -> None:
        """Close the WebSocket; what is pending ends as `cut`. Idempotent, and never waits for the server."""
        if self._socket is None:
            return
        if self._closed is None:
            try:
                self._ws.send_close(1000)
                # one attempt only: a server that reads nothing must not keep us here
                self._socket.settimeout(0.0)
                for data in self._ws.data_to_send():
                    self._socket.send(data)
            except OSError:
                pass
        reader = self._reader
        if reader is not None and reader is not gevent.getcurrent():
            # before the socket is closed: gevent keeps a file descriptor open while a greenlet waits for it
            reader.kill()
        self._end(cause or ConnectionLost("this side closed the WebSocket"), outcome)

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
            name or f"janus.{verb}",
            self.timeout_s if timeout_s is None else timeout_s,
            now_ns if due_ns is None else due_ns,
            plugin,
            on_done,
            on_late,
        )
        if self._closed is not None:
            transaction.outcome = Outcome.DROPPED
            transaction.error = self._closed
            self._ended(transaction)
            return transaction
        self._ws.send_text(self._janus.begin(transaction, fields or {}, now_ns).encode())
        self._write(self._ws.data_to_send(), transaction)
        self._arm_timer()
        return transaction

    def request(self, verb: str, **options: Any) -> dict[str, Any]:
        """Send a request and wait for its final answer; takes what `submit` takes.

        Raises:
            TransactionTimeout, SendBlocked, CoreError, PluginError, ConnectionLost, ProtocolViolation
        """
        done = gevent.event.Event()
        transaction = self.submit(verb, on_done=lambda _: done.set(), **options)
        done.wait()
        if transaction.error is not None:
            raise transaction.error
        assert transaction.reply is not None
        return transaction.reply

    def ping(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Ask the core's request thread for a `pong`; needs no secret."""
        return self.request("ping", timeout_s=timeout_s)

    def info(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Janus's `server_info`: version, plugins, timeouts; needs no secret."""
        return self.request("info", timeout_s=timeout_s)

    def version(self) -> tuple[int, int, int]:
        """Janus's version, as (1, 1, 2); (0, 0, 0) if it does not say. Asks for `info` once per connection."""
        if self._version is None:
            self.info()  # whose answer is learnt from as it is read
        return self._version or (0, 0, 0)

    def create(
        self, *, session_id: int | None = None, keepalive_s: float | None = None, timeout_s: float | None = None
    ) -> Session:
        """Create a Janus session, which is kept alive by itself.

        When the answer comes too late, the session that it names is destroyed: nobody else would.

        Args:
            session_id: the id that it is to have; by default Janus chooses one.
            keepalive_s: how often it is kept alive, 0 for never. By default as the server's session timeout demands,
                which is asked for (`info`) once per connection if a session lives longer than a second.

        Raises:
            CoreError: 468 if the id is taken, 472 if Janus accepts no sessions.
            UsageError: `keepalive_s` is more than half of what `info` has said.
        """
        keepalive.require_fit(keepalive_s, self.session_timeout_s)
        fields = {"id": session_id} if session_id is not None else None
        reply = self.request("create", fields=fields, timeout_s=timeout_s, on_late=self.destroy_late)
        return self._session(created_id(reply), keepalive_s)

    def claim(self, session_id: int, *, keepalive_s: float | None = None, timeout_s: float | None = None) -> Session:
        """Take over a session of which only the id is known; `Session.claim` takes one over with its handles.

        Raises:
            CoreError: 458 if the session is gone.
        """
        keepalive.require_fit(keepalive_s, self.session_timeout_s)
        self.request("claim", fields={"session_id": session_id}, timeout_s=timeout_s)
        return self._session(session_id, keepalive_s)

    def reconnect(self) -> Connection:
        """Close what there is and connect anew. Never done by itself; sessions are not claimed by it either.

        Raises:
            ConnectFailed: as from `open`.
        """
        self.close()
        return self.open()

    def _session(self, session_id: int, keepalive_s: float | None) -> Session:
        session = Session(self, session_id, keepalive_s=keepalive_s)
        self.sessions[session_id] = session
        return session

    def destroy_late(self, transaction: Transaction) -> None:
        """Destroy the session that a `create` made after its timeout."""
        if transaction.reply is not None and transaction.reply.get("janus") == "success":
            self.submit("destroy", fields={"session_id": created_id(transaction.reply)})

    def ws_ping(self, timeout_s: float) -> float:
        """Send a WebSocket ping (RFC 6455 5.5.2), which Janus answers in its transport thread; returns seconds.

        Raises:
            TransactionTimeout: no pong in time.
            ConnectionLost: the connection closed first.
        """
        if self._closed is not None:
            raise self._closed
        began_ns = time.monotonic_ns()
        payload = str(began_ns).encode()
        pong = self._pings[payload] = gevent.event.AsyncResult()
        try:
            self._ws.send_ping(payload)
            self._write(self._ws.data_to_send(), None)
            arrived_ns: int = pong.get(timeout=timeout_s)
        except gevent.Timeout:
            raise TransactionTimeout("ws.ping", timeout_s) from None
        finally:
            self._pings.pop(payload, None)
        return (arrived_ns - began_ns) / 1e9

    # -- connecting -------------------------------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        host = f"[{self._uri.host}]" if ":" in self._uri.host else self._uri.host
        return f"{'wss' if self._uri.secure else 'ws'}://{host}:{self._uri.port}"

    def _connect(self) -> None:
        infos = gevent.socket.getaddrinfo(self._uri.host, self._uri.port, 0, gevent.socket.SOCK_STREAM)
        self._phase = "tcp"
        refusal: OSError | None = None
        for family, kind, proto, _, address in infos:
            require_allowed(address[0], allow_public=self._allow_public)
            self._socket = gevent.socket.socket(family, kind, proto)
            try:
                self._socket.connect(address)
                break
            except OSError as error:
                refusal = error
                self._abandon_socket()
        if self._socket is None:
            raise refusal or OSError("the name has no address")
        self._socket.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        if self._uri.secure:
            self._phase = "tls"
            context = self._tls or gevent.ssl.create_default_context()
            self._socket = context.wrap_socket(self._socket, server_hostname=self._uri.host)
        self._phase = "ws_upgrade"
        self._ws.send_request(self._ws.connect())
        for data in self._ws.data_to_send():
            self._socket.sendall(data)
        while self._ws.state is not OPEN:
            data = self._socket.recv(_RECEIVE_BYTES)
            if data:
                self._ws.receive_data(data)
            else:
                # Janus closes without a word when the subprotocol is not its own; so does a server of another kind
                self._ws.receive_eof()
            if self._ws.handshake_exc is not None:
                raise ConnectFailed(
                    f"{self._where}: TCP is open but it is no Janus WebSocket: {self._ws.handshake_exc}",
                    phase=self._phase,
                )
            if not data:
                raise ConnectFailed(
                    f"{self._where}: TCP is open but it is no Janus WebSocket: closed during the upgrade",
                    phase=self._phase,
                )
        self._ws.events_received()  # the handshake response

    def _abandon_socket(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # -- reading ----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            while True:
                data = self._socket.recv(_RECEIVE_BYTES)
                arrived_ns = time.monotonic_ns()
                if not data:
                    self._ws.receive_eof()
                    self._end(connection_lost(_close_words(self._ws)), Outcome.LOST_CONNECTION)
                    return
                self._ws.receive_data(data)
                for frame in self._ws.events_received():
                    if isinstance(frame, Frame):
                        self._take_frame(frame, arrived_ns)
                writes = self._ws.data_to_send()
                if writes:
                    self._write(writes, None)
                if self._ws.state is not OPEN:
                    self._end(connection_lost(_close_words(self._ws)), Outcome.LOST_CONNECTION)
                    return
        except OSError as error:
            self._end(connection_lost(_words(error)), Outcome.LOST_CONNECTION)

    def _take_frame(self, frame: Frame, arrived_ns: int) -> None:
        if frame.opcode is Opcode.PONG:
            pong = self._pings.get(bytes(frame.data))
            if pong is not None:
                pong.set(arrived_ns)
            return
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if not frame.fin or self._fragments:
            self._fragments.append(bytes(frame.data))
            if not frame.fin:
                return
            payload = b"".join(self._fragments)
            self._fragments.clear()
        else:
            payload = bytes(frame.data)
        for event in self._janus.receive(payload, arrived_ns):
            if isinstance(event, Transaction):
                if event.verb == "info" and event.reply is not None:
                    self._learn(event.reply)
                self._ended(event)
            elif isinstance(event, Notification):
                self._notify(event)
            elif self._on_fault is not None:
                self._on_fault(event)

    def _learn(self, info: dict[str, Any]) -> None:
        timeout_s = info.get("session-timeout")
        if isinstance(timeout_s, int) and not isinstance(timeout_s, bool) and timeout_s >= 0:
            self.session_timeout_s = timeout_s
        number = info.get("version")
        if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
            major, rest = divmod(number, 1000)  # 1102 is 1.1.2
            self._version = (major, *divmod(rest, 100))

    def _notify(self, notification: Notification) -> None:
        session = self.sessions.get(notification.session_id) if notification.session_id is not None else None
        if session is not None:
            for tell in session.take(notification):
                tell(notification)

    # -- writing ----------------------------------------------------------------------------------------------------

    def _write(self, chunks: list[bytes], transaction: Transaction | None) -> None:
        """Hand bytes to the kernel without blocking; what it does not take is written by a greenlet of its own."""
        data = memoryview(b"".join(chunks) if len(chunks) != 1 else chunks[0])
        if not self._out and not self._uri.secure:
            now_ns = time.monotonic_ns()
            try:
                sent = self._socket.send(data, 0, 0.0)
            except (BlockingIOError, gevent.socket.timeout):
                sent = 0
            except OSError as error:
                self._end(connection_lost(_words(error)), Outcome.LOST_CONNECTION)
                return
            if sent == len(data):
                if transaction is not None:
                    self._janus.written(transaction, now_ns)
                return
            data = data[sent:]
        self._out.append((data, transaction))
        if self._flusher is None:
            self._flusher = gevent.spawn(self._flush)

    def _flush(self) -> None:
        try:
            while self._out:
                data, transaction = self._out[0]
                self._socket.sendall(data)
                self._out.popleft()
                if transaction is not None:
                    self._janus.written(transaction, time.monotonic_ns())
        except OSError as error:
            self._end(connection_lost(_words(error)), Outcome.LOST_CONNECTION)
        finally:
            self._flusher = None

    # -- ending -----------------------------------------------------------------------------------------------------

    def _arm_timer(self) -> None:
        deadline_ns = self._janus.next_deadline_ns()
        if deadline_ns is None or (self._timer_ns is not None and self._timer_ns <= deadline_ns):
            return
        self._timer.stop()
        self._timer.close()
        self._timer_ns = deadline_ns
        # at most one expiry run per 5 ms: whether T has passed is decided by clock readings, not by when we look
        delay_s = max((deadline_ns - time.monotonic_ns()) / 1e9, 0.005)
        self._timer = gevent.get_hub().loop.timer(delay_s)
        self._timer.start(self._expire)

    def _expire(self) -> None:
        """Runs in the hub: callbacks must not block."""
        self._timer_ns = None
        for transaction in self._janus.expire(time.monotonic_ns()):
            self._ended(transaction)
        self._arm_timer()

    def _end(self, cause: JanusError, outcome: Outcome) -> None:
        if self._closed is not None:
            return
        self._closed = cause
        self._timer.stop()
        self._timer.close()
        self._out.clear()
        if self._flusher is not None and self._flusher is not gevent.getcurrent():
            self._flusher.kill(block=False)
        for transaction in self._janus.fail(cause, outcome):
            self._ended(transaction)
        for pong in self._pings.values():
            pong.set_exception(cause)
        for session in list(self.sessions.values()):
            session.lost(cause)
        self.sessions.clear()
        self._abandon_socket()

    def _ended(self, transaction: Transaction) -> None:
        if not transaction.told:
            self._observe(transaction)
        if transaction.outcome is Outcome.API_TIMEOUT and transaction.answered_ns is not None:
            if self._observer is not None:
                self._observer(transaction, True)
            if transaction.on_late is not None:
                transaction.on_late(transaction)

    def _observe(self, transaction: Transaction) -> None:
        transaction.told = True
        if self._observer is not None:
            self._observer(transaction, False)
        if transaction.on_done is not None:
            transaction.on_done(transaction)


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def _close_words(ws: ClientProtocol) -> str:
    if ws.close_rcvd is not None:
        return f"closed by the server with code {ws.close_rcvd.code}"
    if ws.close_sent is not None and ws.parser_exc is not None:
        return f"closed by this side: {ws.parser_exc}"
    return "the server closed the connection without a closing handshake"
