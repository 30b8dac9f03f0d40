"""The media rung of the stall ladder: one peer in the EchoTest, whose packets come back as long as media flows."""

from __future__ import annotations

from janusload.errors import MediaError
from janusload.janus.connection import Connection
from janusload.janus.plugins.echotest import EchoTest
from janusload.load.probes import PEER
from janusload.media.engine import Engine
from janusload.media.participants import Peer

#: what setting it up may take
_SETUP_S = 10.0


class EchoPeer:
    """See `probes.Echo`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._peer: Peer | None = None
        self._connection: Connection | None = None

    @property
    def gone(self) -> bool:
        return self._connection is None or not self._connection.is_open

    def open(self, connection: Connection) -> None:
        self.close()
        self._connection = connection.open()
        handle = connection.create(timeout_s=_SETUP_S).attach(EchoTest, opaque_id=PEER, timeout_s=_SETUP_S)
        # the fewest packets that there can be: each costs the server
        self._peer = self._engine.peer(PEER, clip="silence", ptime_ms=60, hear=False)
        self._peer.accept(handle.start(jsep=self._peer.offer(), timeout_s=_SETUP_S).jsep)

    def heard(self) -> int:
        if self._peer is None or self._peer.error is not None:
            raise MediaError("the peer in the EchoTest is gone", phase="media")
        return self._peer.record.received if self._peer.record is not None else 0

    def close(self) -> None:
        if self._peer is not None:
            self._peer.close()
        if self._connection is not None:
            self._connection.part()
        self._peer = self._connection = None
