"""Brings a real Janus to a standstill: janus-facts Appendix A, with a plain-RTP participant, which needs no ICE."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import gevent

from janusload.janus.connection import Connection
from janusload.janus.plugins.audiobridge import AudioBridge
from janusload.lab import Lab


class FifoStall:
    """The AudioBridge hangs in the opening of a recording, with the room's lock held, until `release`."""

    def __init__(self, lab: Lab, api_secret: str | None = None) -> None:
        self._path = lab.recordings / f"stall-{os.urandom(4).hex()}-audio.mjr"
        self._connection = Connection(lab.url, timeout_s=60.0, api_secret=api_secret).open()
        self._session = self._connection.create()
        self.talker, self._opener, self._joiner = (self._session.attach(AudioBridge) for _ in range(3))
        self.room = self.talker.create(allow_rtp_participants=True, mjrs_dir=str(lab.recordings)).room
        join = {"request": "join", "room": self.room, "rtp": {"ip": "127.0.0.1", "port": 5002}}
        self.talker.message(join, name="join")
        self.talker.configure(filename=self._path.name.removesuffix("-audio.mjr"))
        os.mkfifo(self._path)

    def plugin(self) -> None:
        """The handler thread and the rooms' lock are stuck from now on."""
        self._submit(self._opener, {"request": "enable_mjrs", "room": self.room, "mjrs": True})
        gevent.sleep(0.05)
        self._submit(self._joiner, {"request": "join", "room": self.room})
        gevent.sleep(0.05)

    def core(self) -> None:
        """With a hangup and an attach the request thread is stuck too."""
        self.talker.hangup()
        gevent.sleep(0.05)
        fields = {"session_id": self._session.id, "plugin": AudioBridge.package}
        self._connection.submit("attach", fields=fields, timeout_s=60.0)
        gevent.sleep(0.05)

    def release(self) -> None:
        """Everything goes on."""
        reader = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        until = time.monotonic() + 5.0
        try:
            # A debugger may hold the opener just now: stay until it has written its header.
            while time.monotonic() < until:
                try:
                    if os.read(reader, 4096):
                        break
                except BlockingIOError:
                    pass
                gevent.sleep(0.05)
            gevent.sleep(0.2)
        finally:
            os.close(reader)

    def close(self) -> None:
        self._session.close()
        gevent.sleep(0.05)
        self._connection.close()

    def _submit(self, handle: AudioBridge, body: dict[str, object]) -> None:
        fields = {"session_id": self._session.id, "handle_id": handle.id, "body": body}
        self._connection.submit("message", plugin="audiobridge", fields=fields, timeout_s=60.0)


@contextmanager
def fifo_stall(lab: Lab, api_secret: str | None = None) -> Iterator[FifoStall]:
    """A stall that is not there yet; it is released, and its traces are removed, when the block is left."""
    stall = FifoStall(lab, api_secret)
    try:
        yield stall
    finally:
        stall.release()
        stall.close()
