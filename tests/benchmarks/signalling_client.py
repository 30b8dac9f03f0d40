"""One client of the signalling benchmark, in a process of its own: `python -m ... SUBJECT URL CONNECTIONS SECONDS`.

Every connection has one user that creates a session, destroys it, and begins again, as fast as it is answered. Printed
at the end: requests answered (a create and a destroy are two), CPU seconds of this process (user and system), seconds.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from typing import Any

WARM_UP_S = 0.5


def main() -> None:
    subject, url, connections, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    requests, cpu_s, wall_s = SUBJECTS[subject](url, connections, seconds)
    print(json.dumps({"requests": requests, "cpu_s": cpu_s, "wall_s": wall_s}))


def ours(url: str, connections: int, seconds: float) -> tuple[int, float, float]:
    """As a user of this package writes it: sessions, one greenlet per connection."""
    import gevent

    from janusload.janus.connection import Connection

    done = [0] * connections
    opened = [Connection(url).open() for _ in range(connections)]

    def live(number: int) -> None:
        connection = opened[number]
        while True:
            connection.create().destroy()
            done[number] += 2

    users = [gevent.spawn(live, number) for number in range(connections)]
    result = _measure(done, seconds, gevent.sleep)
    gevent.killall(users)
    for connection in opened:
        connection.close()
    return result


def ours_submit(url: str, connections: int, seconds: float) -> tuple[int, float, float]:
    """As the open-loop stream does it: callbacks, no greenlet that waits."""
    import gevent

    from janusload.janus.connection import Connection
    from janusload.janus.protocol import Transaction, created_id

    done = [0] * connections
    opened = [Connection(url).open() for _ in range(connections)]

    def created(number: int, transaction: Transaction) -> None:
        if transaction.reply is not None:
            done[number] += 1
            opened[number].submit(
                "destroy",
                fields={"session_id": created_id(transaction.reply)},
                on_done=functools.partial(destroyed, number),
            )

    def destroyed(number: int, transaction: Transaction) -> None:
        if transaction.reply is not None:
            done[number] += 1
            opened[number].submit("create", on_done=functools.partial(created, number))

    for number in range(connections):
        opened[number].submit("create", on_done=functools.partial(created, number))
    result = _measure(done, seconds, gevent.sleep)
    for connection in opened:
        connection.close()
    return result


def websockets_sync(url: str, connections: int, seconds: float) -> tuple[int, float, float]:
    """websockets' threading client: one thread per connection."""
    import threading
    from contextlib import ExitStack

    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    done = [0] * connections
    names = [Subprotocol("janus-protocol")]
    stack = ExitStack()
    opened = [
        stack.enter_context(connect(url, subprotocols=names, compression=None, ping_interval=None))
        for _ in range(connections)
    ]
    stop = threading.Event()

    def live(number: int) -> None:
        websocket = opened[number]
        _live(websocket.send, websocket.recv, done, number, stop.is_set)

    threads = [threading.Thread(target=live, args=[number]) for number in range(connections)]
    for thread in threads:
        thread.start()
    result = _measure(done, seconds, time.sleep)
    stop.set()
    for thread in threads:
        thread.join()
    stack.close()
    return result


def websocket_client(url: str, connections: int, seconds: float) -> tuple[int, float, float]:
    """websocket-client in a process patched by gevent: one greenlet per connection."""
    from gevent import monkey

    monkey.patch_all()
    import gevent
    import websocket

    done = [0] * connections
    opened = [
        websocket.create_connection(url, subprotocols=["janus-protocol"], enable_multithread=False)
        for _ in range(connections)
    ]
    stopped: list[bool] = []

    def live(number: int) -> None:
        client = opened[number]
        _live(client.send, client.recv, done, number, lambda: bool(stopped))

    users = [gevent.spawn(live, number) for number in range(connections)]
    result = _measure(done, seconds, gevent.sleep)
    stopped.append(True)
    gevent.joinall(users)
    for client in opened:
        client.close()
    return result


def _live(
    send: Callable[[str], object], receive: Callable[[], Any], done: list[int], number: int, stopped: Callable[[], bool]
) -> None:
    """A minimal Janus client on a blocking WebSocket: send, then read until the answer with this transaction comes."""
    transaction = 0

    def request(fields: dict[str, Any]) -> dict[str, Any]:
        nonlocal transaction
        transaction += 1
        mine = str(transaction)
        send(json.dumps({**fields, "transaction": mine}))
        while True:
            message: dict[str, Any] = json.loads(receive())
            if message.get("transaction") == mine and message["janus"] != "ack":
                if message["janus"] == "error":
                    raise RuntimeError(message["error"]["reason"])
                return message

    while not stopped():
        session = request({"janus": "create"})["data"]["id"]
        request({"janus": "destroy", "session_id": session})
        done[number] += 2


def _measure(done: list[int], seconds: float, sleep: Callable[[float], object]) -> tuple[int, float, float]:
    sleep(WARM_UP_S)
    before, cpu_s, wall_s = sum(done), time.process_time(), time.monotonic()
    sleep(seconds)
    return sum(done) - before, time.process_time() - cpu_s, time.monotonic() - wall_s


SUBJECTS: dict[str, Callable[[str, int, float], tuple[int, float, float]]] = {
    "janusload": ours,
    "janusload, callbacks": ours_submit,
    "websockets.sync": websockets_sync,
    "websocket-client": websocket_client,
}

if __name__ == "__main__":
    main()
