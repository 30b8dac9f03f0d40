"""Just enough signalling for Janus's plugins; the media package is tested without the signalling package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from websockets.sync.client import ClientConnection, connect


class EchoTest:
    """A session of handles on one WebSocket; blocking, so media must be on its own elsewhere, and it is."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket
        self._transactions = count()
        self.events: list[dict[str, Any]] = []
        self.session = self._request(janus="create")["data"]["id"]

    def attach(self, plugin: str = "echotest") -> int:
        return int(
            self._request(janus="attach", plugin=f"janus.plugin.{plugin}", session_id=self.session)["data"]["id"]
        )

    def ask(self, handle: int, jsep: dict[str, Any] | None = None, **body: Any) -> dict[str, Any]:
        """A plugin's whole answer, sync or async."""
        offered = {} if jsep is None else {"jsep": jsep}
        answer = self._request(janus="message", session_id=self.session, handle_id=handle, body=body, **offered)
        assert "error" not in answer["plugindata"]["data"], answer
        return answer

    def call(self, handle: int, offer: dict[str, Any]) -> dict[str, Any]:
        """The jsep answer to an offer."""
        event = self._request(
            janus="message", session_id=self.session, handle_id=handle, body={"audio": True}, jsep=offer
        )
        jsep: dict[str, Any] = event["jsep"]
        return jsep

    def detach(self, handle: int) -> None:
        self._request(janus="detach", session_id=self.session, handle_id=handle)

    def destroy(self) -> None:
        self._request(janus="destroy", session_id=self.session)

    def close(self) -> None:
        """Close the WebSocket."""
        self._websocket.close()

    def hangup(self, handle: int) -> None:
        self._request(janus="hangup", session_id=self.session, handle_id=handle)

    def wait_for(self, kind: str, handle: int, timeout_s: float = 5) -> dict[str, Any]:
        """The event `kind` of a handle, already seen or still to come."""
        while True:
            for event in self.events:
                if event["janus"] == kind and event.get("sender") == handle:
                    return event
            self.events.append(json.loads(self._websocket.recv(timeout=timeout_s)))

    def _request(self, **request: Any) -> dict[str, Any]:
        transaction = str(next(self._transactions))
        self._websocket.send(json.dumps({**request, "transaction": transaction}))
        while True:
            answer: dict[str, Any] = json.loads(self._websocket.recv(timeout=10))
            if answer.get("transaction") != transaction:
                self.events.append(answer)
            elif answer["janus"] != "ack":
                assert answer["janus"] in ("success", "event"), answer
                return answer


@contextmanager
def echotest(url: str) -> Iterator[EchoTest]:
    with connect(url, subprotocols=["janus-protocol"], compression=None, proxy=None, max_queue=None) as websocket:
        yield EchoTest(websocket)
