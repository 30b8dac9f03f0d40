"""From what happens to records: the one place where a transaction becomes a `RequestRecord`."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable

import gevent

from janusload.errors import CoreError, JanusloadError, PluginError
from janusload.janus.protocol import Transaction
from janusload.load.sessions import SessionBook
from janusload.records import LIFE, LateRecord, MarkerKind, MarkerRecord, Outcome, Record, RequestRecord, Source
from janusload.run_folder import RecordWriter

Observer = Callable[[Transaction, bool], None]

#: how many of the latest latencies of the request under test the live view looks at
WINDOW = 400

#: records that are written at once, without waiting for the second to pass
FLUSH_AT = 300

_HOUSEKEEPING = frozenset({"keepalive"})

# A member of an enum costs 0.1 us to look up (Python 3.11), several times for each of a million samples an hour.
_ARRIVALS = Source.ARRIVALS
_TIMED_OUT = Outcome.API_TIMEOUT
_ANSWERED = frozenset({Outcome.OK, Outcome.API_ERROR})
#: what the generator may be the reason of
_CONCERNS_US = frozenset(Outcome) - _ANSWERED - {_TIMED_OUT}


class Recorder:
    """Writes records, and keeps what the live view and the early end of a climb need.

    Attributes:
        step: index of the load step in force; -1 outside the steps.
        request: the request under test.
        on_failure: called with the error of every attempt that ended without an answer. Must not block.
        outcomes: of the stream under test, per step.
        window: (latency in ms, or None for a timeout) of its latest attempts.
        sessions: which of ours the server should still have.
    """

    def __init__(
        self, writer: RecordWriter | None, *, request: str = "janus.create", source: Source = Source.ARRIVALS
    ) -> None:
        self.request = request
        self._source = source
        self.step = -1
        self.outcomes: dict[int, Counter[str]] = {}
        self.window: deque[float | None] = deque(maxlen=WINDOW)
        self.failure: JanusloadError | None = None
        self.sessions = SessionBook()
        self._writer = writer
        self._keep: Callable[[RequestRecord], None] = self.write if writer is None else writer.keeper(RequestRecord)
        self._dropped_lives = 0
        self._step_starts: list[tuple[int, int]] = []
        self._flusher: gevent.Greenlet | None = None
        self._on_request: list[Callable[[RequestRecord], None]] = []
        self.on_failure: Callable[[BaseException | None], None] = lambda error: None

    def start(self) -> None:
        """Flush about once a second from now on.

        The first flush is done here: it makes pyarrow import what it needs, which takes a second in which nothing else
        would get its turn.
        """
        self.mark(MarkerKind.PHASE, label="setup")
        if self._writer is not None:
            self._writer.flush()
            self._flusher = gevent.spawn(self._flush_each_second)

    def close(self) -> None:
        """Flush what is left and end the streams. Raises RunFolderError if the disk does not take it."""
        if self._flusher is not None:
            self._flusher.kill()
        if self._writer is not None:
            self._writer.close()

    def write(self, record: Record) -> None:
        """Keep any record."""
        if self._writer is not None:
            self._writer.write(record)

    def mark(self, kind: MarkerKind, *, step: int = -1, label: str = "", value: float | None = None) -> int:
        """Write a marker; returns its moment."""
        now_ns = time.monotonic_ns()
        self.write(MarkerRecord(now_ns, kind, step, label, value))
        return now_ns

    def listen(self, callback: Callable[[RequestRecord], None]) -> None:
        """Have every request record handed to `callback` as well. It must not block."""
        self._on_request.append(callback)

    def observer(self, user: str, source: Source) -> Observer:
        """What a connection is to call when its transactions end.

        What `source` sends is of that source, except for keepalives and, on the connections of the stream, the
        destroys of what it created: those are housekeeping.
        """

        def observe(transaction: Transaction, late: bool) -> None:
            self.sessions.take(transaction, late)
            if late:
                assert transaction.sent_ns is not None and transaction.answered_ns is not None
                self.write(
                    LateRecord(transaction.number, transaction.name, transaction.sent_ns, transaction.answered_ns)
                )
                return
            other = transaction.verb in _HOUSEKEEPING or (
                source is _ARRIVALS and transaction.name not in (self.request, "ws.connect")
            )
            self._request(transaction, user, Source.HOUSEKEEPING if other else source)

        return observe

    def _request(self, transaction: Transaction, user: str, source: Source) -> None:
        error = transaction.error
        name, due_ns = transaction.name, transaction.due_ns
        outcome = transaction.outcome or Outcome.CUT
        answered_ns = transaction.answered_ns if outcome in _ANSWERED else None
        step = self._step_at(due_ns)
        phase, layer, code = "", "", None
        if error is not None:
            phase = getattr(error, "phase", "")
            if isinstance(error, CoreError | PluginError):
                layer, code = error.layer, error.code
        record = RequestRecord(
            transaction.number,
            name,
            source,
            step,
            due_ns,
            transaction.sent_ns,
            answered_ns,
            transaction.timeout_s,
            outcome,
            phase,
            layer,
            transaction.plugin,
            code,
            user,
        )
        self._keep(record)
        if source is self._source and name == self.request:
            counts = self.outcomes.get(step)
            if counts is None:
                counts = self.outcomes[step] = Counter()
            counts[outcome] += 1
            if answered_ns is not None:
                self.window.append((answered_ns - due_ns) / 1e6)
            elif outcome is _TIMED_OUT:
                self.window.append(None)
        if error is not None and outcome in _CONCERNS_US:
            self.on_failure(error)
        for callback in self._on_request:
            callback(record)

    def drop_life(self, due_ns: int) -> None:
        """A life of a churn that was due then did not begin: no user was free."""
        self._dropped_lives += 1
        self.write(
            RequestRecord(
                # no transaction has such a number
                -self._dropped_lives,
                LIFE,
                Source.USERS,
                self._step_at(due_ns),
                due_ns,
                None,
                None,
                0.0,
                Outcome.DROPPED,
            )
        )

    def begin_step(self, step: int, at_ns: int) -> None:
        """From `at_ns` on what becomes due belongs to `step` (-1: to none)."""
        self.step = step
        self._step_starts.append((at_ns, step))

    def _step_at(self, due_ns: int) -> int:
        # nearly always it is the latest
        starts = self._step_starts
        if starts and due_ns >= starts[-1][0]:
            return starts[-1][1]
        for at_ns, step in reversed(starts):
            if due_ns >= at_ns:
                return step
        return -1

    def _flush_each_second(self) -> None:
        """Flush each second, and sooner in small pieces when much comes: thousands of rows at once take tens of
        milliseconds, in which no arrival leaves and no answer is stamped."""
        assert self._writer is not None
        last_s = time.monotonic()
        while True:
            gevent.sleep(0.05)
            if self._writer.pending < FLUSH_AT and time.monotonic() - last_s < 1.0:
                continue
            last_s = time.monotonic()
            try:
                self._writer.flush()
            except JanusloadError as error:
                # told to the run, which ends orderly; the records are kept for one more try at the end
                self.failure = error
