"""The stall of janus-gateway issue 3358, on demand: recordings are opened while locks are held, and a FIFO that nobody
reads blocks the opening for as long as one likes.

Seen on 1.1.2 and 1.4.1: with the handler thread waiting for the lock, AudioBridge acknowledges nothing more; then one
hangup and one attach to AudioBridge take the sessions' lock and the request thread with it, and every API is silent
while WebSocket pings are still answered. With a reader of the FIFO everything goes on.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from janusload.errors import LabError
from janusload.lab.instance import Lab

_AUDIOBRIDGE = "janus.plugin.audiobridge"
_ANSWER_WITHIN_S = 3.0
#: what Janus needs to take a request from the socket to the thread that gets stuck with it
_TAKES_EFFECT_S = 0.1
_DRAIN_S = 0.5


@contextmanager
def handler_stall(lab: Lab) -> Iterator[None]:
    """AudioBridge's handler thread is stuck: join and the like are acknowledged and never done, all else works."""
    with _Caller(lab) as caller, _fifo(lab) as name:
        caller.stick_handler(name)
        yield


@contextmanager
def plugin_stall(lab: Lab) -> Iterator[None]:
    """AudioBridge is stuck: its handler thread and whoever asks for a room wait for a lock; the core answers."""
    with _Caller(lab) as caller, _fifo(lab) as name:
        caller.stick_plugin(name)
        yield


@contextmanager
def total_stall(lab: Lab) -> Iterator[None]:
    """AudioBridge is stuck and the request thread with it: nothing of any API is answered but WebSocket pings."""
    with _Caller(lab) as caller, _fifo(lab) as name:
        caller.stick_plugin(name)
        caller.stick_core()
        yield


@contextmanager
def _fifo(lab: Lab) -> Iterator[str]:
    """The base name of a recording that cannot be opened; at the end the FIFO is read until nobody holds it."""
    name = f"stall-{secrets.token_hex(4)}"
    path = lab.recordings / f"{name}-audio.mjr"
    os.mkfifo(path, 0o600)
    try:
        yield name
    finally:
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        # Those who open it from now on find a file that is not there, and make an ordinary one.
        path.unlink()
        until = time.monotonic() + _DRAIN_S
        while time.monotonic() < until:
            with suppress(BlockingIOError):
                os.read(reader, 65536)
            time.sleep(0.02)
        os.close(reader)


class _Caller:
    """Three handles of one session, of which the first is in a room; its requests need not be answered."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._stack = ExitStack()
        self._fields: dict[str, Any] = {} if lab.api_secret is None else {"apisecret": lab.api_secret}

    def __enter__(self) -> _Caller:
        protocols = [Subprotocol("janus-protocol")]
        connecting = connect(self._lab.url, subprotocols=protocols, compression=None, proxy=None, open_timeout=3)
        with ExitStack() as stack:
            try:
                self._websocket = stack.enter_context(connecting)
            except (OSError, WebSocketException) as error:
                raise LabError(f"no call could be made to stick in: {error}") from error
            self._call()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Janus ends the session, and what is stuck in it, with the connection."""
        # The room would live on, with its mixer.
        with suppress(LabError, WebSocketException):
            self._say(self._opener, request="destroy", room=self._room)
        self._stack.close()

    def _call(self) -> None:
        session = self._ask(janus="create")["data"]["id"]
        self._fields["session_id"] = session
        # It will be silent for longer than the timeout allows.
        if self._lab.admin().ask("set_session_timeout", session_id=session, timeout=0) is None:
            raise LabError("Janus did not take set_session_timeout over its Admin API")
        self._in_room, self._opener, self._joiner = (
            self._ask(janus="attach", plugin=_AUDIOBRIDGE)["data"]["id"] for _ in range(3)
        )
        self._room = self._say(
            self._in_room, request="create", allow_rtp_participants=True, mjrs_dir=str(self._lab.recordings)
        )["room"]
        # Somebody has to be in the room; plain RTP needs no ICE, and no packet will come.
        self._say(self._in_room, request="join", room=self._room, rtp={"ip": "127.0.0.1", "port": 9})

    def stick_plugin(self, name: str) -> None:
        """The opening of the recording holds the room's lock; the handler thread waits for it with the next join."""
        self._say(self._in_room, request="configure", filename=name)
        self._send(self._opener, request="enable_mjrs", room=self._room, mjrs=True)
        self._send(self._joiner, request="join", room=self._room)

    def stick_core(self) -> None:
        """The hangup waits with the sessions' lock in its hands, and the attach for that in the request thread."""
        self._post(janus="hangup", handle_id=self._in_room)
        time.sleep(_TAKES_EFFECT_S)
        self._post(janus="attach", plugin=_AUDIOBRIDGE)
        time.sleep(_TAKES_EFFECT_S)

    def stick_handler(self, name: str) -> None:
        """The handler thread opens the recording itself."""
        self._send(self._in_room, request="configure", record=True, filename=name)

    def _send(self, handle: int, **body: Any) -> None:
        self._post(janus="message", handle_id=handle, body=body)
        time.sleep(_TAKES_EFFECT_S)

    def _say(self, handle: int, **body: Any) -> dict[str, Any]:
        data: dict[str, Any] = self._ask(janus="message", handle_id=handle, body=body)["plugindata"]["data"]
        if "error" in data:
            raise LabError(f"AudioBridge refused {body['request']}: {data['error']}")
        return data

    def _ask(self, **request: Any) -> dict[str, Any]:
        transaction = self._post(**request)
        deadline = time.monotonic() + _ANSWER_WITHIN_S
        while True:
            try:
                answer: dict[str, Any] = json.loads(self._websocket.recv(timeout=deadline - time.monotonic()))
            except (TimeoutError, WebSocketException) as error:
                raise LabError(f"Janus did not answer {request['janus']}: {error or 'no answer in time'}") from error
            if answer.get("transaction") == transaction and answer["janus"] != "ack":
                if answer["janus"] == "error":
                    raise LabError(f"Janus refused {request['janus']}: {answer['error'].get('reason')}")
                return answer

    def _post(self, **request: Any) -> str:
        transaction = secrets.token_hex(8)
        self._websocket.send(json.dumps({**self._fields, **request, "transaction": transaction}))
        return transaction
