"""The Janus API without I/O: text in, what it means out.

Rules, each seen on a real Janus (janus-gateway 1.1.2):

- One frame may carry several JSON objects; each is an answer of its own.
- Everything is matched by `transaction`. `ack` ends `keepalive` and `trickle`; for a plugin message it only says that
  the request was queued, and the event that ends it may come *before* the ack.
- Plugins may say more about a request that has ended (SIP does): an event with its transaction is then a notification.
- A plugin's refusal is no `janus: error`: it is an `error_code` inside the data of a success or an event.
- An error without a transaction belongs to the connection, not to a request.
- An answer may come after its deadline. It is matched all the same: slow is not lost, and what it created must go.
- Whether an attempt timed out is decided by the clock readings, never by which greenlet ran first.
"""

from __future__ import annotations

import itertools
import json
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from janusload.errors import (
    AnswerOverdue,
    CoreError,
    JanusError,
    PluginError,
    ProtocolViolation,
    SendBlocked,
    ServerSilent,
)
from janusload.janus.error_codes import code_name
from janusload.janus.events import Notification, notification
from janusload.records import Outcome

_decode = json.JSONDecoder().raw_decode
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_SPACE = " \t\n\r"

#: requests for which the ack is the answer
ENDED_BY_ACK = frozenset({"keepalive", "trickle"})

#: requests whose answer names what they created
CREATING = frozenset({"create", "attach"})

#: expired transactions that are remembered, so that a late answer can be told from a foreign one
LATE_KEPT = 100_000

#: how much of a server's words goes into an error
_WORDS_KEPT = 500

_number = itertools.count(1)


class Transaction:
    """One request and what became of it; ends exactly once.

    Attributes:
        number: unique within the process; also its transaction id on the wire, as `id`.
        verb: the `janus` field of the request, as in `create`.
        name: for records, as in `janus.create` or `audiobridge.join`.
        plugin: short name of the plugin that is asked; empty for the core.
        timeout_s: T, counted from `sent_ns`.
        due_ns: when it was meant to be sent (monotonic, as all moments).
        sent_ns: when its frame was handed to the kernel; None until then.
        deadline_ns: when T has passed; before the write, when it is given up unwritten.
        acked_ns, answered_ns: arrival of the frame with the ack, with the final answer (in time or late).
        outcome: None while it is pending.
        reply: the final answer as Janus sent it; None without one.
        error: what went wrong; None if nothing did.
        on_done: called once when it ends, from whichever greenlet noticed; must not block.
        on_late: called when an answer comes after it had timed out.
        told: whether its end has been told to observer and `on_done`.
    """

    __slots__ = (
        "acked_ns",
        "answered_ns",
        "deadline_ns",
        "due_ns",
        "error",
        "id",
        "name",
        "number",
        "on_done",
        "on_late",
        "outcome",
        "plugin",
        "reply",
        "sent_ns",
        "timeout_s",
        "told",
        "verb",
    )

    def __init__(
        self,
        verb: str,
        name: str,
        timeout_s: float,
        due_ns: int,
        plugin: str = "",
        on_done: Callable[[Transaction], None] | None = None,
        on_late: Callable[[Transaction], None] | None = None,
    ) -> None:
        self.verb = verb
        self.name = name
        self.timeout_s = timeout_s
        self.due_ns = due_ns
        self.plugin = plugin
        self.on_done = on_done
        self.on_late = on_late
        self.number = number = next(_number)
        self.id = str(number)
        self.deadline_ns = 0
        self.sent_ns: int | None = None
        self.acked_ns: int | None = None
        self.answered_ns: int | None = None
        self.outcome: Outcome | None = None
        self.reply: dict[str, Any] | None = None
        self.error: JanusError | None = None
        self.told = False

    def disown(self) -> None:
        """Nobody takes the answer any more: what it creates is treated as if it came late."""
        self.on_done = self.on_late
        if self.outcome is not None and self.on_late is not None:
            self.on_late(self)

    def __repr__(self) -> str:
        return f"<Transaction {self.id} {self.name} {self.outcome or 'pending'}>"


class Fault(NamedTuple):
    """Something that belongs to no transaction and is no notification: garbage, or an error about garbage."""

    error: JanusError
    arrived_ns: int


Event = Transaction | Notification | Fault


class _Deadlines:
    """Transactions with the same T, in the order of their deadlines: those unwritten, and those written.

    Entries of what has ended stay until they come to the front: a queue per T costs less than one heap for all, and
    most requests share T.
    """

    __slots__ = ("timeout_ns", "unwritten", "written")

    def __init__(self, timeout_s: float) -> None:
        self.timeout_ns = round(timeout_s * 1e9)
        self.unwritten: deque[tuple[int, Transaction]] = deque()
        self.written: deque[tuple[int, str]] = deque()


class JanusProtocol:
    """The transactions of one connection.

    `begin` makes the text of a request; the caller writes it and says so with `written`. `receive` takes the text of a
    message; `expire` and `fail` end what is left. Each returns what it ended or learned; the caller runs the callbacks.
    """

    def __init__(self, *, api_secret: str | None = None, token: str | None = None) -> None:
        auth = {key: value for key, value in (("apisecret", api_secret), ("token", token)) if value is not None}
        self._tail = f",{_encode(auth)[1:]}" if auth else "}"
        self._heads: dict[str, str] = {}
        self._pending: dict[str, Transaction] = {}
        self._expired: OrderedDict[str, Transaction] = OrderedDict()
        self._deadlines: dict[float, _Deadlines] = {}
        self._heard_ns = -1

    @property
    def in_flight(self) -> int:
        """How many transactions wait for their answer."""
        return len(self._pending)

    def begin(self, transaction: Transaction, fields: dict[str, Any] | None, now_ns: int) -> str:
        """Register a transaction; returns the JSON text to send. Until `written`, T runs from `now_ns`."""
        head = self._heads.get(transaction.verb)
        if head is None:
            head = self._heads[transaction.verb] = f'{{"janus":{_encode(transaction.verb)},"transaction":"'
        text = f'{head}{transaction.id}"{self._tail}' if not fields else self._with_fields(head, transaction, fields)
        deadlines = self._deadlines.get(transaction.timeout_s)
        if deadlines is None:
            deadlines = self._deadlines[transaction.timeout_s] = _Deadlines(transaction.timeout_s)
        self._pending[transaction.id] = transaction
        transaction.deadline_ns = now_ns + deadlines.timeout_ns
        deadlines.unwritten.append((transaction.deadline_ns, transaction))
        return text

    def written(self, transaction: Transaction, now_ns: int) -> None:
        """The frame of the transaction was handed to the kernel at `now_ns`: T runs from here."""
        transaction.sent_ns = now_ns
        if transaction.outcome is not None:
            return
        deadlines = self._deadlines[transaction.timeout_s]
        transaction.deadline_ns = deadline_ns = now_ns + deadlines.timeout_ns
        unwritten, written, pending = deadlines.unwritten, deadlines.written, self._pending
        while unwritten and (unwritten[0][1].sent_ns is not None or unwritten[0][1].outcome is not None):
            unwritten.popleft()
        while written and written[0][1] not in pending:
            written.popleft()
        written.append((deadline_ns, transaction.id))

    def heard(self, now_ns: int) -> None:
        """A whole frame came that is no message: the server lives."""
        self._heard_ns = now_ns

    def next_deadline_ns(self) -> int | None:
        """When `expire` has something to do; None while nothing is pending."""
        pending = self._pending
        earliest: int | None = None
        for timeout_s, deadlines in list(self._deadlines.items()):
            unwritten, written = deadlines.unwritten, deadlines.written
            while unwritten and (unwritten[0][1].sent_ns is not None or unwritten[0][1].outcome is not None):
                unwritten.popleft()
            while written and written[0][1] not in pending:
                written.popleft()
            for queue in (unwritten, written):
                if queue and (earliest is None or queue[0][0] < earliest):
                    earliest = queue[0][0]
            if not unwritten and not written:
                del self._deadlines[timeout_s]
        return earliest

    def receive(self, text: str | bytes | bytearray, now_ns: int) -> list[Event]:
        """Take the payload of one message that arrived at `now_ns`.

        Late answers come back as their transaction, its outcome `api_timeout` as before and `answered_ns` now set.
        """
        self._heard_ns = now_ns
        try:
            rest = text if isinstance(text, str) else text.decode()
        except UnicodeDecodeError:
            return [Fault(ProtocolViolation("Janus sent a message that is not UTF-8"), now_ns)]
        events: list[Event] = []
        position, size = 0, len(rest)
        while True:
            while position < size and rest[position] in _SPACE:
                position += 1
            if position == size:
                return events
            try:
                message, position = _decode(rest, position)
            except (ValueError, RecursionError):
                events.append(Fault(ProtocolViolation("Janus sent a message that is not JSON"), now_ns))
                return events
            event = self._take(message, now_ns)
            if event is not None:
                events.append(event)

    def expire(self, now_ns: int) -> list[Transaction]:
        """End every transaction whose deadline has passed; in the order of their deadlines, as far as they share T."""
        ended: list[Transaction] = []
        for deadlines in self._deadlines.values():
            unwritten, written = deadlines.unwritten, deadlines.written
            while unwritten and unwritten[0][0] <= now_ns:
                transaction = unwritten.popleft()[1]
                if transaction.sent_ns is None and transaction.outcome is None:
                    self._give_up(transaction)
                    ended.append(transaction)
            while written and written[0][0] <= now_ns:
                pending = self._pending.get(written.popleft()[1])
                if pending is not None:
                    self._time_out(pending)
                    ended.append(pending)
        return ended

    def fail(self, cause: JanusError, outcome: Outcome) -> list[Transaction]:
        """End everything that is pending with one cause: the connection was lost, or the run was cut."""
        ended = list(self._pending.values())
        self._pending.clear()
        self._deadlines.clear()
        self._expired.clear()
        for transaction in ended:
            transaction.outcome = outcome if transaction.sent_ns is not None else Outcome.DROPPED
            transaction.error = cause
        return ended

    def refuse(self, transaction: Transaction, cause: JanusError) -> None:
        """End a transaction that was begun and cannot be written."""
        self._pending.pop(transaction.id, None)
        transaction.outcome = Outcome.DROPPED
        transaction.error = cause

    def _with_fields(self, head: str, transaction: Transaction, fields: dict[str, Any]) -> str:
        return f'{head}{transaction.id}",{_encode(fields)[1:-1]}{self._tail}'

    def _give_up(self, transaction: Transaction) -> None:
        del self._pending[transaction.id]
        transaction.outcome = Outcome.DROPPED
        transaction.error = SendBlocked(f"{transaction.name}: the socket took nothing for {transaction.timeout_s:g} s")

    def _time_out(self, transaction: Transaction) -> None:
        del self._pending[transaction.id]
        transaction.outcome = Outcome.API_TIMEOUT
        kind = ServerSilent if self._heard_ns < (transaction.sent_ns or 0) else AnswerOverdue
        transaction.error = kind(transaction.name, transaction.timeout_s, acked=transaction.acked_ns is not None)
        self._expired[transaction.id] = transaction
        if len(self._expired) > LATE_KEPT:
            self._expired.popitem(last=False)

    def _take(self, message: object, now_ns: int) -> Event | None:
        if not isinstance(message, dict) or not isinstance(kind := message.get("janus"), str):
            return Fault(ProtocolViolation("Janus sent JSON that is no Janus message"), now_ns)
        key = message.get("transaction")
        if not isinstance(key, str):
            if kind == "error":
                return Fault(CoreError("connection", *_error_of(message)), now_ns)
            return notification(message, now_ns)
        transaction = self._pending.get(key) or self._expired.get(key)
        if transaction is None:
            # The ack of a request whose event came first, a duplicate, or an answer to somebody else: nothing waits
            # for it. A further event about a request is news.
            return notification(message, now_ns) if kind == "event" else None
        if kind == "ack" and transaction.verb not in ENDED_BY_ACK:
            transaction.acked_ns = now_ns
            return None
        if transaction.outcome is None and now_ns > transaction.deadline_ns and transaction.sent_ns is not None:
            self._time_out(transaction)  # T had passed, only nobody had looked yet
        transaction.reply = message
        transaction.answered_ns = now_ns
        if transaction.outcome is not None:
            del self._expired[key]
            return transaction
        del self._pending[key]
        if kind == "error":
            transaction.error = CoreError(transaction.name, *_error_of(message))
        elif transaction.verb == "message":
            transaction.error = _plugin_error(transaction, message)
        elif transaction.verb in CREATING and not created_id(message):
            transaction.error = ProtocolViolation(f"{transaction.name}: the answer names nothing that was created")
        transaction.outcome = Outcome.OK if transaction.error is None else Outcome.API_ERROR
        return transaction


def created_id(reply: dict[str, Any]) -> int:
    """The id in the answer to `create` or `attach`; 0 if it carries none (Janus never uses 0)."""
    data = reply.get("data")
    value = data.get("id") if isinstance(data, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def plugin_data(message: dict[str, Any]) -> dict[str, Any] | None:
    """The plugin's own part of an answer or event; None if there is none."""
    wrapper = message.get("plugindata")
    data = wrapper.get("data") if isinstance(wrapper, dict) else None
    return data if isinstance(data, dict) else None


def _plugin_error(transaction: Transaction, message: dict[str, Any]) -> JanusError | None:
    data = plugin_data(message)
    if data is None:
        return ProtocolViolation(f"{transaction.name}: the answer carries no plugin data")
    code = data.get("error_code")
    if code is None:
        return None
    name = code_name(transaction.plugin, _code(code))
    return PluginError(transaction.name, transaction.plugin, _code(code), _words(data.get("error")), name)


def _error_of(message: dict[str, Any]) -> tuple[int, str, str]:
    error = message.get("error")
    if not isinstance(error, dict):
        return -1, "no reason given", ""
    code = _code(error.get("code"))
    return code, _words(error.get("reason")), code_name("", code)


def _code(value: object) -> int:
    """An error code; -1 for what is none: records keep codes in 32 bits."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31 else -1


def _words(value: object) -> str:
    """A server's words, fit to be printed: JSON can spell lone surrogates, which no file takes."""
    return value[:_WORDS_KEPT].encode(errors="replace").decode() if isinstance(value, str) else ""
