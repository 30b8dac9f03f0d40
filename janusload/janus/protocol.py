"""The Janus API without I/O: text in, what it means out.

Rules, each seen on a real Janus (janus-gateway 1.1.2):

- One frame may carry several JSON objects; each is an answer of its own.
- Everything is matched by `transaction`. `ack` ends `keepalive` and `trickle`; for a plugin message it only says that
  the request was queued, and the event that ends it may come *before* the ack.
- A plugin's refusal is no `janus: error`: it is an `error_code` inside the data of a success or an event.
- An error without a transaction belongs to the connection, not to a request.
- An answer may come after its deadline. It is matched all the same: slow is not lost, and what it created must go.
- Whether an attempt timed out is decided by the clock readings, never by which greenlet ran first.
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from janusload.errors import (
    ConnectionLost,
    CoreError,
    JanusError,
    PluginError,
    ProtocolViolation,
    SendBlocked,
    TransactionTimeout,
)
from janusload.records import Outcome

_decode = json.JSONDecoder().raw_decode
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_SPACE = " \t\n\r"

#: requests for which the ack is the answer
ENDED_BY_ACK = frozenset({"keepalive", "trickle"})

#: expired transactions that are remembered, so that a late answer can be told from a foreign one
LATE_KEPT = 100_000

_number = itertools.count(1)


@dataclass(slots=True, eq=False)
class Transaction:
    """One request and what became of it; ends exactly once.

    Attributes:
        number: unique within the process; also its transaction id on the wire.
        verb: the `janus` field of the request, as in `create`.
        name: for records, as in `janus.create` or `audiobridge.join`.
        plugin: short name of the plugin that is asked; empty for the core.
        timeout_s: T, counted from `sent_ns`.
        due_ns: when it was meant to be sent (monotonic, as all moments).
        sent_ns: when its frame was handed to the kernel; None until then.
        acked_ns, answered_ns: arrival of the frame with the ack, with the final answer (in time or late).
        outcome: None while it is pending.
        reply: the final answer as Janus sent it; None without one.
        error: what went wrong; None if nothing did.
        on_done: called once when it ends, from whichever greenlet noticed; must not block.
        on_late: called when an answer comes after it had timed out.
        told: whether its end has been told to observer and `on_done`.
    """

    verb: str
    name: str
    timeout_s: float
    due_ns: int
    plugin: str = ""
    on_done: Callable[[Transaction], None] | None = None
    on_late: Callable[[Transaction], None] | None = None
    number: int = field(default_factory=_number.__next__)
    sent_ns: int | None = None
    deadline_ns: int = 0
    acked_ns: int | None = None
    answered_ns: int | None = None
    outcome: Outcome | None = None
    reply: dict[str, Any] | None = None
    error: JanusError | None = None
    told: bool = False

    @property
    def id(self) -> str:
        return str(self.number)


class Notification(NamedTuple):
    """Something that Janus says unasked: `webrtcup`, `media`, `slowlink`, `hangup`, `detached`, `timeout`, `event`.

    Attributes:
        kind: the `janus` field.
        session_id, handle_id: whom it concerns; None where it names nobody.
        message: all of it.
        arrived_ns: when its frame arrived.
    """

    kind: str
    session_id: int | None
    handle_id: int | None
    message: dict[str, Any]
    arrived_ns: int


class Fault(NamedTuple):
    """Something that belongs to no transaction and is no notification: garbage, or an error about garbage."""

    error: JanusError
    arrived_ns: int


Event = Transaction | Notification | Fault


class JanusProtocol:
    """The transactions of one connection.

    `begin` makes the text of a request; the caller writes it and says so with `written`. `receive` takes the text of a
    frame; `expire` and `fail` end what is left. Each returns what it ended or learned; the caller runs the callbacks.
    """

    def __init__(self, *, api_secret: str | None = None, token: str | None = None) -> None:
        self._auth = {key: value for key, value in (("apisecret", api_secret), ("token", token)) if value is not None}
        self._pending: dict[str, Transaction] = {}
        self._expired: OrderedDict[str, Transaction] = OrderedDict()
        self._deadlines: list[tuple[int, int, Transaction]] = []

    @property
    def in_flight(self) -> int:
        """How many transactions wait for their answer."""
        return len(self._pending)

    def begin(self, transaction: Transaction, fields: dict[str, Any], now_ns: int) -> str:
        """Register a transaction; returns the JSON text to send. Until `written`, T runs from `now_ns`."""
        self._pending[transaction.id] = transaction
        self._arm(transaction, now_ns)
        return _encode({"janus": transaction.verb, "transaction": transaction.id, **fields, **self._auth})

    def written(self, transaction: Transaction, now_ns: int) -> None:
        """The frame of the transaction was handed to the kernel at `now_ns`: T runs from here."""
        transaction.sent_ns = now_ns
        if transaction.outcome is None and now_ns + round(transaction.timeout_s * 1e9) != transaction.deadline_ns:
            self._arm(transaction, now_ns)

    def next_deadline_ns(self) -> int | None:
        """When `expire` has something to do; None while nothing is pending."""
        while self._deadlines:
            deadline_ns, _, transaction = self._deadlines[0]
            if transaction.outcome is None and transaction.deadline_ns == deadline_ns:
                return deadline_ns
            heapq.heappop(self._deadlines)
        return None

    def receive(self, text: str | bytes | bytearray, now_ns: int) -> list[Event]:
        """Take the payload of one frame that arrived at `now_ns`.

        Late answers come back as their transaction, its outcome `api_timeout` as before and `answered_ns` now set.
        """
        try:
            rest = text if isinstance(text, str) else text.decode()
        except UnicodeDecodeError:
            return [Fault(ProtocolViolation("Janus sent a frame that is not UTF-8"), now_ns)]
        events: list[Event] = []
        position = _skip_space(rest, 0)
        while position < len(rest):
            try:
                message, position = _decode(rest, position)
            except (ValueError, RecursionError):
                events.append(Fault(ProtocolViolation("Janus sent a frame that is not JSON"), now_ns))
                break
            position = _skip_space(rest, position)
            event = self._take(message, now_ns)
            if event is not None:
                events.append(event)
        return events

    def expire(self, now_ns: int) -> list[Transaction]:
        """End every transaction whose deadline has passed; in the order of their deadlines."""
        ended = []
        while (deadline_ns := self.next_deadline_ns()) is not None and deadline_ns <= now_ns:
            _, _, transaction = heapq.heappop(self._deadlines)
            self._expire_one(transaction)
            ended.append(transaction)
        return ended

    def fail(self, cause: JanusError, outcome: Outcome) -> list[Transaction]:
        """End everything that is pending with one cause: the connection was lost, or the run was cut."""
        ended = list(self._pending.values())
        self._pending.clear()
        self._deadlines.clear()
        for transaction in ended:
            transaction.outcome = outcome if transaction.sent_ns is not None else Outcome.DROPPED
            transaction.error = cause
        return ended

    def _arm(self, transaction: Transaction, from_ns: int) -> None:
        transaction.deadline_ns = from_ns + round(transaction.timeout_s * 1e9)
        heapq.heappush(self._deadlines, (transaction.deadline_ns, transaction.number, transaction))

    def _expire_one(self, transaction: Transaction) -> None:
        del self._pending[transaction.id]
        if transaction.sent_ns is None:
            transaction.outcome = Outcome.DROPPED
            transaction.error = SendBlocked(
                f"{transaction.name}: the socket took nothing for {transaction.timeout_s:g} s"
            )
            return
        transaction.outcome = Outcome.API_TIMEOUT
        transaction.error = TransactionTimeout(
            transaction.name, transaction.timeout_s, acked=transaction.acked_ns is not None
        )
        self._expired[transaction.id] = transaction
        if len(self._expired) > LATE_KEPT:
            self._expired.popitem(last=False)

    def _take(self, message: object, now_ns: int) -> Event | None:
        if not isinstance(message, dict) or not isinstance(kind := message.get("janus"), str):
            return Fault(ProtocolViolation("Janus sent JSON that is no Janus message"), now_ns)
        key = message.get("transaction")
        if not isinstance(key, str):
            if kind == "error":
                code, reason = _error_of(message)
                return Fault(CoreError("connection", code, reason), now_ns)
            return Notification(kind, _id(message, "session_id"), _id(message, "sender"), message, now_ns)
        transaction = self._pending.get(key)
        if transaction is not None:
            if kind == "ack" and transaction.verb not in ENDED_BY_ACK:
                transaction.acked_ns = now_ns
                return None
            del self._pending[key]
            if now_ns > transaction.deadline_ns and transaction.sent_ns is not None:
                # T had passed, only nobody had looked yet
                self._pending[key] = transaction
                self._expire_one(transaction)
                del self._expired[key]
                transaction.reply = message
                transaction.answered_ns = now_ns
                return transaction
            self._finish(transaction, kind, message, now_ns)
            return transaction
        late = self._expired.get(key)
        if late is not None:
            if kind == "ack" and late.verb not in ENDED_BY_ACK:
                late.acked_ns = now_ns
                return None
            del self._expired[key]
            late.reply = message
            late.answered_ns = now_ns
            return late
        # The ack of a request whose event came first, or an answer to somebody else: nothing waits for it.
        return None

    def _finish(self, transaction: Transaction, kind: str, message: dict[str, Any], now_ns: int) -> None:
        transaction.reply = message
        transaction.answered_ns = now_ns
        if kind == "error":
            code, reason = _error_of(message)
            transaction.error = CoreError(transaction.name, code, reason)
        elif transaction.verb == "message":
            transaction.error = _plugin_error(transaction, message)
        transaction.outcome = Outcome.OK if transaction.error is None else Outcome.API_ERROR


def connection_lost(cause: str) -> ConnectionLost:
    """The error with which everything pending ends when the WebSocket is gone."""
    return ConnectionLost(f"the WebSocket to Janus closed: {cause}")


def _plugin_error(transaction: Transaction, message: dict[str, Any]) -> JanusError | None:
    data = plugin_data(message)
    if data is None:
        return ProtocolViolation(f"{transaction.name}: the answer carries no plugin data")
    code = data.get("error_code")
    if code is None:
        return None
    return PluginError(
        transaction.name, transaction.plugin, code if isinstance(code, int) else -1, str(data.get("error", ""))[:500]
    )


def plugin_data(message: dict[str, Any]) -> dict[str, Any] | None:
    """The plugin's own part of an answer or event; None if there is none."""
    wrapper = message.get("plugindata")
    data = wrapper.get("data") if isinstance(wrapper, dict) else None
    return data if isinstance(data, dict) else None


def _error_of(message: dict[str, Any]) -> tuple[int, str]:
    error = message.get("error")
    if not isinstance(error, dict):
        return -1, "no reason given"
    code = error.get("code")
    return (code if isinstance(code, int) else -1), str(error.get("reason", ""))[:500]


def _id(message: dict[str, Any], key: str) -> int | None:
    value = message.get(key)
    return value if isinstance(value, int) else None


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position
