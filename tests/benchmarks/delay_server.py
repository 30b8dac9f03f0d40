"""A server whose delays are known: it answers each request after one of a few, and says in the answer for how long it
held it. `python -m tests.benchmarks.delay_server` prints its port.

One thread and one epoll, so that it costs little; the moments are taken right after the read and right before the
write, by the clock that the client reads.
"""

from __future__ import annotations

import heapq
import itertools
import select
import socket
import time

from tests.janus.hostile import acceptance, read_request
from tests.janus.wire import frame

DELAYS_S = (0.0005, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25)


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(listener.getsockname()[1], flush=True)
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    held: list[tuple[int, int, int, bytes, int]] = []
    delays = itertools.cycle(round(delay_s * 1e9) for delay_s in DELAYS_S)
    order = itertools.count()
    while True:
        wait_s = -1.0 if not held else max(0.0, (held[0][0] - time.monotonic_ns()) / 1e9)
        for number, _ in epoll.poll(wait_s):
            if number == listener.fileno():
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.sendall(acceptance(read_request(client)))
                clients[client.fileno()] = client
                epoll.register(client, select.EPOLLIN)
                continue
            try:
                data = clients[number].recv(65536)
            except OSError:
                data = b""
            arrived_ns = time.monotonic_ns()
            if not data:
                clients.pop(number).close()
                continue
            for transaction in _transactions(data):
                heapq.heappush(held, (arrived_ns + next(delays), next(order), number, transaction, arrived_ns))
        while held and held[0][0] <= time.monotonic_ns():
            _, _, number, transaction, arrived_ns = heapq.heappop(held)
            if number in clients:
                _answer(clients[number], transaction, arrived_ns)


def _answer(client: socket.socket, transaction: bytes, arrived_ns: int) -> None:
    head = b'{"janus":"success","transaction":"' + transaction + b'","data":{"id":5},"held_ns":'
    try:
        client.sendall(frame(1, head + str(time.monotonic_ns() - arrived_ns).encode() + b"}"))
    except OSError:
        client.close()


def _transactions(data: bytes) -> list[bytes]:
    """The transactions of whole, short client frames; whoever sends anything else is no client of this server."""
    found = []
    while data:
        size = data[1] & 0x7F
        if size > 125:
            raise ValueError("a request that is too long for this server")
        mask, payload = data[2:6], data[6 : 6 + size]
        data = data[6 + size :]
        if size >= 2 and payload:
            clear = int.from_bytes(payload, "big") ^ int.from_bytes((mask * 32)[:size], "big")
            _, marker, rest = clear.to_bytes(size, "big").partition(b'"transaction":"')
            if marker:
                found.append(rest[: rest.index(b'"')])
    return found


if __name__ == "__main__":
    main()
