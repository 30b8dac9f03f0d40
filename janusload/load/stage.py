"""What users and streams stand on: connections that record, the media engine, and the word that it is time to leave.

One `Stage` per process of the generator; `environment.janusload` is where Locust users find it.
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
import logging
import ssl
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gevent
import gevent.event
import gevent.socket

from janusload.errors import CoreError, JanusError, JanusloadError, MediaError, ServerUnsuitable, TransactionTimeout
from janusload.janus import keepalive
from janusload.janus.connection import Connection
from janusload.janus.wire_log import WireLog
from janusload.load.recorder import Recorder
from janusload.load.room_takes import RoomTakes
from janusload.load.turns import LifeClock, Turns
from janusload.media.engine import Engine
from janusload.records import Source
from janusload.scenario import Users

log = logging.getLogger(__name__)

#: after a life that failed, a user waits this long before the next try; each try is recorded
AFTER_FAILURE_S = 3.0


@dataclass(frozen=True)
class Target:
    """The Janus that is loaded. Its secret is kept out of `repr`, so that no log or traceback shows it."""

    url: str
    api_secret: str | None = None
    allow_public: bool = False
    tls: ssl.SSLContext | None = None
    wire_log: WireLog | None = None

    def __repr__(self) -> str:
        return f"Target({self.url!r})"


class Stage:
    """Holds what a process of the generator shares.

    Attributes:
        leaving: set when users are to come to their end.
        participants: users with audio flowing.
        arrived: users who have had audio, or have lived if theirs is a life without.
        failures: lives that ended with an error, by what went wrong.
        turns: when users begin.
        lives: when lives begin, in a churn; None: each user begins the next as soon as it likes.
        room_takes: what is known of the mixes that rooms record.
    """

    def __init__(
        self,
        target: Target,
        recorder: Recorder,
        engine: Engine,
        *,
        timeout_s: float = 10.0,
        seed: int = 1,
        turns: Turns | None = None,
    ) -> None:
        self.seed = seed
        self.turns = turns or Turns()
        self.lives: LifeClock | None = None
        self.target = target
        self.recorder = recorder
        self.room_takes = RoomTakes(recorder.write)
        self.engine = engine
        self.timeout_s = timeout_s
        self.keepalive_s = keepalive.AT_MOST_S
        self.leaving = gevent.event.Event()
        self.participants = 0
        self._arrived: set[str] = set()
        self.failures: Counter[str] = Counter()
        self._rooms: dict[str, Iterator[int]] = {"": itertools.cycle([1])}
        self._rooms_of: dict[str, str] = {}

    def connection(self, user: str, source: Source, *, timeout_s: float | None = None) -> Connection:
        """A closed connection whose every transaction is recorded."""
        return Connection(
            self.target.url,
            timeout_s=self.timeout_s if timeout_s is None else timeout_s,
            api_secret=self.target.api_secret,
            allow_public=self.target.allow_public,
            tls=self.target.tls,
            wire_log=self.target.wire_log,
            observer=self.recorder.observer(user, source),
        )

    @property
    def arrived(self) -> int:
        return len(self._arrived)

    def arrive(self, user: str) -> None:
        """A user is where it wanted to be for the first time; again is nothing."""
        self._arrived.add(user)

    def arrivals_since(self, told: set[str]) -> list[str]:
        """Who has arrived that is not in `told` yet, where they are added."""
        new = sorted(self._arrived - told)
        told.update(new)
        return new

    @contextmanager
    def audio(self, user: str) -> Iterator[None]:
        """Counts a participant while its audio flows."""
        self.arrive(user)
        self.participants += 1
        try:
            yield
        finally:
            self.participants -= 1

    @contextmanager
    def life(self, user: str, leaving: gevent.event.Event) -> Iterator[None]:
        """One life of a user: what fails in it is counted and said once, and the next try does not come at once."""
        try:
            yield
        except JanusloadError as error:
            kind = f"{type(error).__name__}: {getattr(error, 'name', getattr(error, 'phase', ''))}"
            self.failures[kind] += 1
            if isinstance(error, MediaError):
                self.recorder.on_failure(error)
            if self.failures[kind] == 1:
                log.warning("%s: %s (further ones of this kind are counted, not shown)", user, error)
            leaving.wait(AFTER_FAILURE_S)

    def deal_rooms(self, rooms: dict[str, list[int]], rooms_of: dict[str, str]) -> None:
        """Users get rooms in turn.

        Args:
            rooms: numbers of the rooms, by what the scenario calls them.
            rooms_of: group of users -> which of these they join.
        """
        self._rooms = {name: itertools.cycle(numbers) for name, numbers in rooms.items() if numbers}
        self._rooms_of = rooms_of

    def next_room(self, group: Users, other_than: int | None = None) -> int:
        """The next room for somebody of this group; another one than `other_than`, if there is another."""
        rooms = self._rooms[self._rooms_of.get(group.name, "")]
        room = next(rooms)
        return next(rooms) if room == other_than else room

    @functools.cached_property
    def server_address(self) -> str:
        """Where media goes: the IP address of the WebSocket's host."""
        host = urllib.parse.urlsplit(self.target.url).hostname or "127.0.0.1"
        return str(gevent.socket.getaddrinfo(host, None, 0, gevent.socket.SOCK_DGRAM)[0][4][0])

    @property
    def media_route(self) -> str | None:
        """What media is bound towards; None for a Janus on loopback, which takes WebRTC on its other addresses only."""
        address = self.server_address
        return None if ipaddress.ip_address(address).is_loopback else address

    # -- before and after -------------------------------------------------------------------------------------------

    def check_server(self, plugins: list[str]) -> dict[str, object]:
        """Ask the server who it is; returns Janus's `info`.

        Raises:
            ConnectFailed: no WebSocket.
            ServerUnsuitable: it is no Janus, refuses our secret, or lacks a plugin that the run needs.
        """
        url = self.target.url
        with self.connection("preflight", Source.HOUSEKEEPING, timeout_s=5.0) as connection:
            try:
                info = connection.info()
            except TransactionTimeout:
                raise ServerUnsuitable(
                    f"{url}: a WebSocket, but no answer to `info` within 5 s: no Janus, or one that is stuck"
                ) from None
            except JanusError as error:
                raise ServerUnsuitable(f"{url}: a WebSocket, but not the Janus API: {error}") from None
            if info.get("janus") != "server_info":
                raise ServerUnsuitable(f"{url}: a WebSocket, but not the Janus API: `info` was answered with nonsense")
            known = info.get("plugins")
            for plugin in plugins:
                if not isinstance(known, dict) or plugin not in known:
                    raise ServerUnsuitable(f"{url}: this Janus has no {plugin}, which the scenario needs")
            try:
                connection.create().destroy()
            except CoreError as error:
                if error.code == 403:
                    raise ServerUnsuitable(
                        f"{url}: this Janus refuses our API secret (set it in the environment: JANUS_API_SECRET)"
                    ) from None
                raise ServerUnsuitable(f"{url}: {error}") from None
            except TransactionTimeout as error:
                raise ServerUnsuitable(f"{url}: before any load: {error}") from None
            if connection.session_timeout_s is not None:
                self.keepalive_s = keepalive.interval_s(connection.session_timeout_s)
        return info


Announce = Callable[[dict[str, object]], None]
