"""The stall ladder: the same few questions once a second, from the outside in, whatever the load does.

Which rungs answer says what is stuck. Each rung has its own greenlet and its own deadline, so that a stuck one does not
keep the others from being asked. The ladder never asks for `handle_info` and never attaches to a plugin while it runs:
both can turn the stall of a plugin into a total one (the plugin's lock is then waited for in the core's only request
thread). Its own handle is attached beforehand.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent

from janusload.errors import ConnectFailed, ConnectionLost, JanusloadError
from janusload.janus.connection import Connection
from janusload.janus.plugins.audiobridge import AudioBridge
from janusload.records import ProbeRecord, Rung

EVERY_S = 1.0


class Ladder:
    """Asks every rung once a second and writes a ProbeRecord for each.

    Args:
        connect: makes a (closed) connection that nobody else uses.
        write: takes the records, in the order in which the rungs were answered or given up.
        deadline_s: what each rung is given.
        audiobridge: whether the AudioBridge is among what must answer.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        write: Callable[[ProbeRecord], None],
        *,
        deadline_s: float,
        audiobridge: bool,
    ) -> None:
        self._connect = connect
        self._write = write
        self._deadline_s = deadline_s
        self._audiobridge = audiobridge
        self._connection: Connection | None = None
        self._bridge: AudioBridge | None = None
        self._asking: set[gevent.Greenlet] = set()
        self._greenlet: gevent.Greenlet | None = None
        self.latest: dict[str, bool] = {}

    def start(self) -> None:
        """Connect, attach beforehand, and ask from now on. Raises what connecting and attaching raise."""
        self._connection = self._connect().open()
        if self._audiobridge:
            self._bridge = self._connection.create().attach(AudioBridge)
        self._greenlet = gevent.spawn(self._climb)

    def stop(self) -> None:
        """Ask no more; what was not answered yet is not recorded."""
        if self._greenlet is not None:
            self._greenlet.kill()
        gevent.killall(list(self._asking))
        if self._connection is not None:
            for session in list(self._connection.sessions.values()):
                session.close()
            self._connection.close()

    def _climb(self) -> None:
        rungs: dict[Rung, Callable[[], None]] = {
            Rung.WS_UPGRADE: self._upgrade,
            Rung.WS_PING: self._ws_ping,
            Rung.PING: self._ping,
            Rung.CREATE: self._create,
        }
        if self._audiobridge:
            rungs[Rung.AUDIOBRIDGE_SYNC] = self._exists
        due_ns = time.monotonic_ns()
        while True:
            for rung, ask in rungs.items():
                greenlet = gevent.spawn(self._ask, rung, ask, due_ns)
                self._asking.add(greenlet)
                greenlet.rawlink(self._asking.discard)
            due_ns += round(EVERY_S * 1e9)
            gevent.sleep(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))

    def _ask(self, rung: Rung, ask: Callable[[], None], due_ns: int) -> None:
        detail = ""
        tcp = True
        try:
            ask()
        except JanusloadError as error:
            detail = str(error)[:200]
            tcp = not (isinstance(error, ConnectFailed) and error.phase in ("dns", "tcp"))
        now_ns = time.monotonic_ns()
        ok = not detail and now_ns - due_ns <= self._deadline_s * 1e9
        self.latest[rung] = ok
        if rung is Rung.WS_UPGRADE:
            # one new connection tells both
            self._write(ProbeRecord(Rung.TCP, due_ns, now_ns if tcp else None, self._deadline_s, tcp, ""))
        self._write(ProbeRecord(rung, due_ns, now_ns if ok else None, self._deadline_s, ok, detail))

    def _upgrade(self) -> None:
        with self._connect():
            pass

    def _ws_ping(self) -> None:
        self._open().ws_ping(self._deadline_s)

    def _ping(self) -> None:
        self._open().ping(self._deadline_s)

    def _create(self) -> None:
        self._open().create(timeout_s=self._deadline_s).close()

    def _exists(self) -> None:
        if self._bridge is None or self._bridge.ended is not None:
            raise ConnectionLost("the handle that was attached beforehand is gone")
        self._bridge.exists(1, timeout_s=self._deadline_s)

    def _open(self) -> Connection:
        assert self._connection is not None
        if not self._connection.is_open:
            self._connection = self._connect().open()
        return self._connection
