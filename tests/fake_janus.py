"""A scripted Janus in this process, for what the real one cannot be made to do.

A thread runs an asyncio WebSocket server; the code under test talks to it over a real socket. What it answers to
`create` (or any other verb) is decided by a `script`: a callable that gets the request and returns a delay in seconds,
or one of the marks below. Everything else it answers at once, as Janus would.

Also runs by itself, for tests of whole commands: `python -m tests.fake_janus --capacity 200` prints its address.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

SILENCE = "silence"  # never answered
DROP = "drop"  # the TCP connection is cut
GARBAGE = "garbage"  # answered with what is no JSON
ERROR = "error"  # answered with `janus: error` 490

Script = Callable[[dict[str, Any]], float | str]

PLUGINS = ("janus.plugin.audiobridge", "janus.plugin.echotest")


def at_once(request: dict[str, Any]) -> float:
    """Answers everything without delay."""
    return 0.0


class Capacity:
    """One request thread behind a queue, as in Janus: each `create` takes it 1 / per_s seconds, the rest nothing.

    The onset is at `per_s`, by construction.
    """

    def __init__(self, per_s: float) -> None:
        self.service_s = 1 / per_s
        self.free_at = 0.0

    def __call__(self, request: dict[str, Any]) -> float:
        now = time.monotonic()
        self.free_at = max(now, self.free_at) + (self.service_s if request["janus"] == "create" else 0.0)
        return self.free_at - now


class FakeJanus:
    """Context manager; `url` is where it listens, `requests` what it was asked, `sessions` what lives."""

    def __init__(
        self,
        script: Script = at_once,
        *,
        api_secret: str | None = None,
        plugins: tuple[str, ...] = PLUGINS,
        subprotocol: str | None = "janus-protocol",
        port: int = 0,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        session_timeout_s: int = 60,
        reclaim: bool = False,
    ) -> None:
        self.script = script
        self.api_secret = api_secret
        self.plugins = plugins
        self.subprotocol = subprotocol
        self.requests: list[dict[str, Any]] = []
        self.sessions: set[int] = set()
        self.url = ""
        self.paths: list[str] = []
        self._port = port
        self._host = host
        self._tls = tls
        self._session_timeout_s = session_timeout_s
        self._reclaim = reclaim
        self._ids = itertools.count(1000)
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connections: set[ServerConnection] = set()
        self._owned: dict[ServerConnection, set[int]] = {}
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> FakeJanus:
        self._thread.start()
        if not self._ready.wait(5):
            raise RuntimeError("the scripted Janus did not start")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None and self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    def say(self, message: dict[str, Any]) -> None:
        """Send something unasked to every client."""
        assert self._loop is not None
        text = json.dumps(message)
        for connection in list(self._connections):
            asyncio.run_coroutine_threadsafe(connection.send(text), self._loop)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        names = [Subprotocol(self.subprotocol)] if self.subprotocol else None
        async with serve(
            self._talk, self._host, self._port, subprotocols=names, compression=None, ssl=self._tls
        ) as server:
            host = f"[{self._host}]" if ":" in self._host else self._host
            scheme = "ws" if self._tls is None else "wss"
            self.url = f"{scheme}://{host}:{server.sockets[0].getsockname()[1]}"
            self._ready.set()
            await self._stop.wait()

    async def _talk(self, connection: ServerConnection) -> None:
        self._connections.add(connection)
        self.paths.append(connection.request.path if connection.request is not None else "")
        self._owned[connection] = set()
        tasks: set[asyncio.Task[None]] = set()
        try:
            async for text in connection:
                request = json.loads(text)
                self.requests.append(request)
                verdict = self.script(request)
                if verdict == DROP:
                    connection.transport.abort()
                elif verdict == GARBAGE:
                    await connection.send("{not json")
                elif verdict == ERROR:
                    await self._send(connection, _error(request, 490, "scripted"))
                elif isinstance(verdict, float) and verdict > 0:
                    task = asyncio.create_task(self._later(connection, request, verdict))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                elif verdict != SILENCE:
                    await self._answer(connection, request)
        except ConnectionClosed:
            pass
        finally:
            self._connections.discard(connection)
            for task in tasks:
                task.cancel()
            owned = self._owned.pop(connection)
            if not self._reclaim:
                # as Janus does with reclaim_session_timeout = 0
                self.sessions -= owned

    async def _later(self, connection: ServerConnection, request: dict[str, Any], delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        await self._answer(connection, request)

    async def _answer(self, connection: ServerConnection, request: dict[str, Any]) -> None:
        for message in self._answers(request):
            if request["janus"] == "create" and "data" in message and connection in self._owned:
                self._owned[connection].add(message["data"]["id"])
            await self._send(connection, message)

    async def _send(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        with contextlib.suppress(ConnectionClosed):
            await connection.send(json.dumps(message))

    def _answers(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        verb, transaction = request["janus"], request["transaction"]
        base: dict[str, Any] = {"transaction": transaction}
        if verb == "ping":
            return [{"janus": "pong", **base}]
        if verb == "info":
            plugins = {name: {"name": name, "version_string": "0"} for name in self.plugins}
            facts = {
                "name": "scripted Janus",
                "version": 1102,
                "version_string": "1.1.2",
                "session-timeout": self._session_timeout_s,
            }
            return [{"janus": "server_info", **base, **facts, "plugins": plugins}]
        if self.api_secret is not None and request.get("apisecret") != self.api_secret:
            return [_error(request, 403, "Unauthorized request (wrong or missing secret/token)")]
        if verb == "create":
            session = request.get("id") or next(self._ids)
            if session in self.sessions:
                return [_error(request, 468, "Session ID already in use")]
            self.sessions.add(session)
            return [{"janus": "success", **base, "data": {"id": session}}]
        if request.get("session_id") not in self.sessions:
            return [_error(request, 458, "No such session")]
        base["session_id"] = request["session_id"]
        if verb == "destroy":
            self.sessions.discard(request["session_id"])
        if verb == "attach":
            if request["plugin"] not in self.plugins:
                return [_error(request, 460, "No such plugin")]
            return [{"janus": "success", **base, "data": {"id": next(self._ids)}}]
        if verb in ("keepalive", "trickle"):
            return [{"janus": "ack", **base}]
        if verb == "message":
            return self._plugin_answers(request, {**base, "sender": request["handle_id"]})
        return [{"janus": "success", **base}]

    def _plugin_answers(self, request: dict[str, Any], base: dict[str, Any]) -> list[dict[str, Any]]:
        body = request["body"]
        verb = body.get("request", "")

        def wrapped(kind: str, data: dict[str, Any]) -> dict[str, Any]:
            return {"janus": kind, **base, "plugindata": {"plugin": "janus.plugin.audiobridge", "data": data}}

        if verb == "exists":
            return [wrapped("success", {"audiobridge": "success", "room": body["room"], "exists": True})]
        if verb == "create":
            return [wrapped("success", {"audiobridge": "created", "room": body.get("room", 1), "permanent": False})]
        if verb in ("destroy", "enable_recording"):
            return [wrapped("success", {"audiobridge": "success", "room": body.get("room")})]
        if verb == "leave":
            # the event before the ack: that order is Janus's right
            data = {"audiobridge": "left", "room": 1, "id": 1}
            return [wrapped("event", data), {"janus": "ack", **base}]
        if verb == "join" and body.get("room") == 404:
            data = {"audiobridge": "event", "error_code": 485, "error": "No such room"}
            return [{"janus": "ack", **base}, wrapped("event", data)]
        data = {"audiobridge": "joined", "room": body.get("room"), "id": 1, "participants": []}
        return [{"janus": "ack", **base}, wrapped("event", data)]


def _error(request: dict[str, Any], code: int, reason: str) -> dict[str, Any]:
    return {"janus": "error", "transaction": request["transaction"], "error": {"code": code, "reason": reason}}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--capacity", type=float, default=None)
    parser.add_argument("--api-secret", default=None)
    options = parser.parse_args()
    script = at_once if options.capacity is None else Capacity(options.capacity)
    with FakeJanus(script, api_secret=options.api_secret) as janus:
        print(janus.url, flush=True)  # noqa: T201 - this is its answer to whoever started it
        threading.Event().wait()


if __name__ == "__main__":
    main()
