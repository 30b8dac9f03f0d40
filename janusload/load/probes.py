"""The stall ladder: the same few questions once a second (or as a scenario says), from the outside in, under any load.

Which rungs answer says what is stuck. Each rung has its own greenlet, deadline and record, so that a stuck one does not
keep the others from being asked. Probing must not make things worse:

- The ladder never asks for `handle_info` and attaches to a plugin beforehand only, or again once everything answers:
  both wait for the plugin's lock in the core's only request thread, and turn its stall into a total one.
- A question that a stuck plugin does not answer occupies a thread of Janus, so few unanswered ones are left with it;
  the rest are recorded as unanswered without being sent.
- While the core does not answer, the new connections of the ladder are kept open: closing one makes Janus's WebSocket
  thread wait for the lock on all sessions.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import gevent
import gevent.event
import gevent.lock

from janusload.errors import ConnectFailed, ConnectionLost, CoreError, JanusError, JanusloadError, PluginError
from janusload.janus.connection import Connection
from janusload.janus.plugins.audiobridge import AudioBridge
from janusload.janus.protocol import Transaction, created_id
from janusload.load.health import is_exhausted
from janusload.records import ProbeRecord, Rung

EVERY_S = 1.0

#: a rung that has not answered for so long is spoken of at once, whatever its deadline
OVERDUE_S = 0.75
#: a notice of this process's own lateness would be blamed on the server
_OWN_LAG_S = 0.25

#: what transport rungs are given; the others have the deadline of the requests under test
_TRANSPORT_DEADLINE_S = 2.0
_MEDIA_DEADLINE_S = 3.0
_MEDIA_OVERDUE_S = 2.0

#: unanswered questions that may be with the server at a time; a plugin's each hold one of its threads
_MOST_WAITING = {Rung.AUDIOBRIDGE_SYNC: 3, Rung.AUDIOBRIDGE_ASYNC: 3}
_MOST_WAITING_ELSE = 30
_MOST_HELD = 3

_GONE = "the handle that was attached beforehand is gone"
#: how refusals read, as in "audiobridge.exists: Janus error 458: no such session"
_REFUSAL = re.compile(r" error -?\d+(?: \w+)?: ")

#: what the peer of the media rung is called
PEER = "ladder"


class Notice(NamedTuple):
    """News of a rung for whoever must know before the deadline is over.

    Attributes:
        due_ns: of the question; `at_ns` is now.
        state: `overdue`, `answered` (late or not, refusals included) or `unanswered`.
    """

    rung: Rung
    due_ns: int
    at_ns: int
    state: str


class Echo(Protocol):
    """The media rung: a peer in the EchoTest, set up beforehand."""

    def open(self, connection: Connection) -> None:
        """Set it up on a connection of its own, again after it is gone. Raises JanusloadError."""

    @property
    def gone(self) -> bool:
        """Whether the server has lost it with its connection, or it was never there: it may be opened then."""

    def heard(self) -> int:
        """RTP packets that came back so far. Raises JanusloadError when the peer is gone."""

    def close(self) -> None: ...


class Ladder:
    """Asks every rung again and again, and writes a ProbeRecord for each question.

    Args:
        connect: makes a (closed) connection that nobody else uses.
        write: takes the records, in the order in which the rungs were answered or given up.
        deadline_s: what the requests are given; TCP, upgrade and WebSocket ping get at most 2 s.
        audiobridge: whether the AudioBridge is among what must answer.
        echo: the media rung; None to do without. Where it cannot be set up, the others are asked all the same.
        notice: told at once when a rung is overdue and when it answers again; must not block.
        every_s: from one question of a rung to the next.
        needs_audiobridge: whether not being able to attach is an error; else that rung is left out.
        on_failure: told why a question could not be asked for want of something of ours; it is not recorded then.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        write: Callable[[ProbeRecord], None],
        *,
        deadline_s: float,
        audiobridge: bool,
        echo: Echo | None = None,
        notice: Callable[[Notice], None] = lambda notice: None,
        every_s: float = EVERY_S,
        needs_audiobridge: bool = True,
        on_failure: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        self._connect = connect
        self._on_failure = on_failure
        self._every_s = every_s
        self._write = write
        self._deadline_s = deadline_s
        self._audiobridge = audiobridge
        self._needs_audiobridge = needs_audiobridge
        self._echo = echo
        self._notice = notice
        self._connection: Connection | None = None
        self._opening = gevent.lock.BoundedSemaphore(1)
        self._not_opened: tuple[int, ConnectFailed] | None = None
        self._connecting: set[int] = set()
        self._bridge: AudioBridge | None = None
        self._attaching = self._tuning = False
        self._not_taken_on: Connection | None = None
        self._held: list[Connection] = []
        self._waiting: dict[Rung, set[int]] = {rung: set() for rung in Rung}
        self._quiet_since: dict[Rung, int] = {}
        self._heard = 0
        self._greenlets: set[gevent.Greenlet] = set()
        self.latest: dict[str, bool] = {}

    def start(self) -> None:
        """Connect, attach beforehand, and ask from now on. Raises what connecting and attaching raise."""
        self._connection = self._connect().open()
        if self._audiobridge:
            try:
                self._bridge = self._connection.create().attach(AudioBridge)
            except JanusError:
                if self._needs_audiobridge:
                    raise
                self._audiobridge = False
        if self._echo is not None:
            self._tuning = True
            self._spawn(self._tune_in, self._echo)
        self._spawn(self._climb)

    def stop(self) -> None:
        """Ask no more; what was not answered yet is not recorded."""
        gevent.killall(list(self._greenlets))
        if self._echo is not None:
            self._echo.close()
        self._let_go()
        if self._connection is not None:
            self._connection.part()

    # -- asking -----------------------------------------------------------------------------------------------------

    def _climb(self) -> None:
        rungs: dict[Rung, Callable[[int], None]] = {
            Rung.WS_UPGRADE: self._upgrade,
            Rung.WS_PING: self._ws_ping,
            Rung.PING: self._ping,
            Rung.CREATE: self._create,
        }
        if self._audiobridge:
            rungs[Rung.AUDIOBRIDGE_SYNC] = self._exists
            rungs[Rung.AUDIOBRIDGE_ASYNC] = self._leave
        due_ns = time.monotonic_ns()
        while True:
            asked = dict(rungs)
            if self._heard:
                asked[Rung.MEDIA] = self._listen
            else:
                self._tune_in_again()
            if self._quiet_since.keys() & {Rung.PING, Rung.CREATE} and len(self._held) >= _MOST_HELD:
                del asked[Rung.WS_UPGRADE]  # it has answered; see `_upgrade`
            for rung, ask in asked.items():
                self._spawn(self._ask, rung, ask, due_ns)
            due_ns += round(self._every_s * 1e9)
            gevent.sleep(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))

    def _ask(self, rung: Rung, ask: Callable[[int], None], due_ns: int) -> None:
        watcher = self._spawn(self._watch_overdue, rung, due_ns)
        detail = ""
        try:
            ask(due_ns)
        except JanusloadError as error:
            detail = str(error)[:200]
            if is_exhausted(error) and not isinstance(error, CoreError | PluginError):
                # nobody was asked, for want of descriptors on this side: that says nothing of the server
                watcher.kill(block=False)
                self._connecting.discard(due_ns)
                self._on_failure(error)
                return
        watcher.kill(block=False)
        now_ns = time.monotonic_ns()
        deadline_s = self._deadline_of(rung)
        ok = not detail and now_ns - due_ns <= deadline_s * 1e9
        self.latest[rung] = ok
        if due_ns in self._connecting and rung is Rung.WS_UPGRADE:
            self._tcp(due_ns, answered=False)
        self._write(ProbeRecord(rung, due_ns, now_ns if ok else None, deadline_s, ok, detail))
        if detail == _GONE:
            return  # nobody was asked
        # a refusal is an answer too
        self._tell(rung, due_ns, answered=not detail or _REFUSAL.search(detail) is not None)

    def _deadline_of(self, rung: Rung) -> float:
        if rung in (Rung.TCP, Rung.WS_UPGRADE, Rung.WS_PING):
            return min(self._deadline_s, _TRANSPORT_DEADLINE_S)
        return _MEDIA_DEADLINE_S if rung is Rung.MEDIA else self._deadline_s

    def _watch_overdue(self, rung: Rung, due_ns: int) -> None:
        # of what came back is told about once a second
        after_s = _MEDIA_OVERDUE_S if rung is Rung.MEDIA else OVERDUE_S
        wake_ns = due_ns + round(after_s * 1e9)
        gevent.sleep(max(0.0, (wake_ns - time.monotonic_ns()) / 1e9))
        gevent.sleep(0)  # an answer that has arrived is read first
        now_ns = time.monotonic_ns()
        if now_ns - wake_ns <= _OWN_LAG_S * 1e9:
            rungs = [Rung.TCP, rung] if rung is Rung.WS_UPGRADE and due_ns in self._connecting else [rung]
            for each in rungs:
                self._quiet_since.setdefault(each, due_ns)
                self._notice(Notice(each, due_ns, now_ns, "overdue"))

    def _tell(self, rung: Rung, due_ns: int, *, answered: bool) -> None:
        if answered:
            self._quiet_since.pop(rung, None)
            if not self._quiet_since:
                self._let_go()
        self._notice(Notice(rung, due_ns, time.monotonic_ns(), "answered" if answered else "unanswered"))

    # -- the rungs --------------------------------------------------------------------------------------------------

    def _upgrade(self, due_ns: int) -> None:
        # one new connection tells both TCP and the upgrade
        self._connecting.add(due_ns)
        self._spawn(self._give_up_tcp, due_ns)
        connection = self._connect().open(on_phase=lambda _: self._tcp(due_ns, answered=True))
        if self._quiet_since.keys() & {Rung.PING, Rung.CREATE}:
            self._held.append(connection)
        else:
            connection.close()

    def _tcp(self, due_ns: int, *, answered: bool) -> None:
        """TCP is open, or was not in time; recorded once for each question."""
        if due_ns in self._connecting:
            self._connecting.discard(due_ns)
            deadline_s = self._deadline_of(Rung.TCP)
            answered_ns = time.monotonic_ns() if answered else None
            self._write(ProbeRecord(Rung.TCP, due_ns, answered_ns, deadline_s, answered, ""))
            self._tell(Rung.TCP, due_ns, answered=answered)
        elif answered:
            self._tell(Rung.TCP, due_ns, answered=True)  # after its deadline

    def _give_up_tcp(self, due_ns: int) -> None:
        gevent.sleep(max(0.0, self._deadline_of(Rung.TCP) - (time.monotonic_ns() - due_ns) / 1e9))
        gevent.sleep(0)  # a connection that is there is seen first
        self._tcp(due_ns, answered=False)

    def _ws_ping(self, due_ns: int) -> None:
        self._open().ws_ping(self._deadline_of(Rung.WS_PING))

    def _ping(self, due_ns: int) -> None:
        self._request(Rung.PING, due_ns, self._open(), "ping")

    def _create(self, due_ns: int) -> None:
        connection = self._open()
        reply = self._request(Rung.CREATE, due_ns, connection, "create", on_late=connection.destroy_late)
        connection.submit("destroy", fields={"session_id": created_id(reply.reply or {})})

    def _exists(self, due_ns: int) -> None:
        self._plugin(Rung.AUDIOBRIDGE_SYNC, due_ns, {"request": "exists", "room": 1})

    def _leave(self, due_ns: int) -> None:
        # We are in no room, so the answer is error 487; it comes from the handler thread all the same.
        self._plugin(Rung.AUDIOBRIDGE_ASYNC, due_ns, {"request": "leave"})

    def _plugin(self, rung: Rung, due_ns: int, body: dict[str, object]) -> None:
        bridge = self._bridge
        if bridge is None or bridge.ended is not None:
            self._attach_again()
            raise ConnectionLost(_GONE)
        fields = {"session_id": bridge.session.id, "handle_id": bridge.id, "body": body}
        name = f"audiobridge.{body['request']}"
        self._request(
            rung, due_ns, bridge.session.connection, "message", name=name, plugin="audiobridge", fields=fields
        )

    def _request(
        self,
        rung: Rung,
        due_ns: int,
        connection: Connection,
        verb: str,
        *,
        on_late: Callable[[Transaction], None] = lambda transaction: None,
        **options: object,
    ) -> Transaction:
        """Ask, unless too many questions of this rung lie with the server already; returns once it is answered.

        Raises:
            JanusError: it was not, or not in time; a plugin's refusal of the async request is none.
        """
        waiting = self._waiting[rung]
        if len(waiting) >= _MOST_WAITING.get(rung, _MOST_WAITING_ELSE):
            raise ConnectionLost(f"no answer within the deadline to {len(waiting)} questions before: not asked again")
        waiting.add(due_ns)
        done = gevent.event.Event()

        def late(transaction: Transaction) -> None:
            waiting.discard(due_ns)
            on_late(transaction)
            self._tell(rung, due_ns, answered=True)

        transaction = connection.submit(
            verb,
            timeout_s=self._deadline_of(rung),
            on_done=lambda _: done.set(),
            on_late=late,
            **options,  # type: ignore[arg-type]
        )
        try:
            done.wait()
        except gevent.GreenletExit:
            # and no news of the rung: nobody asks any more
            transaction.on_late = on_late
            transaction.disown()
            raise
        error = transaction.error
        if transaction.answered_ns is not None or not connection.is_open:
            waiting.discard(due_ns)
        if error is not None and not (rung is Rung.AUDIOBRIDGE_ASYNC and getattr(error, "layer", "") == "plugin"):
            raise error
        return transaction

    def _listen(self, due_ns: int) -> None:
        assert self._echo is not None
        if self._echo.gone:
            self._heard = 0  # not asked until it is there again
            self._quiet_since.pop(Rung.MEDIA, None)
            raise ConnectionLost(_GONE)
        until = time.monotonic() + _MEDIA_DEADLINE_S
        while (heard := self._echo.heard()) <= self._heard:
            if time.monotonic() > until:
                raise ConnectionLost(f"no answer within {_MEDIA_DEADLINE_S:g} s: no packet came back from the echo")
            gevent.sleep(0.05)
        self._heard = heard

    # -- what stands beforehand -------------------------------------------------------------------------------------

    def _open(self) -> Connection:
        """The connection on which the rungs are asked, made anew if it was lost."""
        assert self._connection is not None
        if not self._connection.is_open:
            asked_ns = time.monotonic_ns()
            with self._opening:
                if not self._connection.is_open:
                    if self._not_opened is not None and self._not_opened[0] > asked_ns:
                        raise self._not_opened[1]  # another rung has tried meanwhile: they would queue up here
                    try:
                        self._connection = self._connect().open()
                    except ConnectFailed as error:
                        self._not_opened = time.monotonic_ns(), error
                        raise
                    for waiting in self._waiting.values():
                        waiting.clear()  # the answers to those would have come on the old one
        return self._connection

    def _attach_again(self) -> None:
        """The server came back with nothing of ours: attach anew, but only to what shows no sign of being stuck."""
        if not self._attaching and self._is_well() and self._connection is not self._not_taken_on:
            self._attaching = True
            self._spawn(self._attach)

    def _is_well(self) -> bool:
        """Whether core and plugin answer, as far as is known."""
        well = self.latest.get(Rung.PING) and self.latest.get(Rung.CREATE)
        stuck = self._quiet_since.keys() & {Rung.PING, Rung.CREATE} or self._waiting[Rung.AUDIOBRIDGE_SYNC]
        return bool(well) and not stuck

    def _attach(self) -> None:
        connection = self._connection
        try:
            connection = self._open()
            self._bridge = connection.create(timeout_s=self._deadline_s).attach(AudioBridge, timeout_s=self._deadline_s)
        except (ConnectFailed, ConnectionLost):
            pass  # it was going down just then: once more when it is back
        except JanusError:
            self._not_taken_on = connection  # once only: a plugin that does not take it may be stuck
        finally:
            self._attaching = False

    def _tune_in_again(self) -> None:
        """The same for the echo, whose connection tells that the server lost it."""
        if self._echo is not None and not self._tuning and self._echo.gone and self._is_well():
            self._tuning = True
            self._spawn(self._tune_in, self._echo)

    def _tune_in(self, echo: Echo) -> None:
        try:
            echo.open(self._connect())
            while not echo.heard() and not echo.gone:
                gevent.sleep(0.1)
            self._heard = 0 if echo.gone else echo.heard()
        except JanusloadError:
            pass  # no media can be had from here, or not now; the records then lack the rung
        finally:
            self._tuning = False

    def _let_go(self) -> None:
        held, self._held = self._held, []
        for connection in held:
            connection.close()

    def _spawn(self, work: Callable[..., None], *arguments: object) -> gevent.Greenlet:
        greenlet = gevent.spawn(work, *arguments)
        self._greenlets.add(greenlet)
        greenlet.rawlink(self._greenlets.discard)
        return greenlet
