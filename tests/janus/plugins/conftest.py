"""A real Janus, and what the tests of the facades need around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import gevent
import pytest

from janusload.janus.connection import Connection
from janusload.janus.plugins.facade import Facade
from janusload.janus.session import Session
from janusload.lab import Lab
from janusload.media.engine import Engine, Peer


class Heard:
    """What a plugin said unasked to one handle."""

    def __init__(self, handle: Facade[object]) -> None:
        self.events: list[object] = []
        handle.on_plugin_event = self.events.append

    def wait(self, kind: type, within_s: float = 5.0) -> object:
        """The next event of this kind; those before it are forgotten."""
        until(lambda: any(isinstance(each, kind) for each in self.events), within_s, f"{kind.__name__}: {self.events}")
        while not isinstance(event := self.events.pop(0), kind):
            pass
        return event


def until(condition: Callable[[], object], within_s: float = 5.0, what: object = "") -> None:
    """Wait until something is so; fail if it does not become so."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        gevent.sleep(0.005)


@pytest.fixture(scope="session", params=["lab", "fixed_lab"], ids=["installed", "1.4.1"])
def janus(request: pytest.FixtureRequest) -> Lab:
    """The Janus that is asked: every test here asks both versions."""
    lab: Lab = request.getfixturevalue(request.param)
    return lab


@pytest.fixture
def session(janus: Lab) -> Iterator[Session]:
    with Connection(janus.url, timeout_s=5.0) as connection, connection.create() as session:
        yield session
        session.destroy()


@pytest.fixture(scope="package")
def engine() -> Iterator[Engine]:
    """One for all tests of this folder; starting one takes a second."""
    engine = Engine()
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def peer(engine: Engine, janus: Lab) -> Callable[[str], Peer]:
    """Makes peers that reach this Janus."""
    return lambda name="peer", clip="tone:440": engine.peer(name, clip=clip, route_to=janus.address)
