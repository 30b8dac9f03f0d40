"""Drops and queues of a process's own UDP sockets."""

from __future__ import annotations

import os
import socket

from janusload.server.sockets import UdpSocket, descriptors, parse_tcp, parse_udp, tcp_unread_bytes, udp_sockets


def test_drops_of_our_own_socket_are_seen() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        receiver.bind(("127.0.0.1", 0))
        port = receiver.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(200):
                sender.sendto(b"x" * 500, ("127.0.0.1", port))
        found = descriptors(os.getpid())
        (mine,) = [each for each in udp_sockets(os.getpid(), found.socket_inodes) if each.port == port]
    assert mine.drops > 100 and mine.queued_bytes > 0


def test_lines_that_make_no_sense_are_left_out() -> None:
    text = (
        "  sl  local_address rem_address st\n"
        " 1: 0100007F:59D8 00000000:0000 07 00000000:00000200 00:00000000 00000000 0 0 4711 2 0000000000000000 13\n"
        " 2: 0100007F:59D9 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 4712 2 0000000000000000 99\n"
        " 3: broken\n 4: 0100007F:XX 0 07 0:0 0 0 0 0 4711 2 0 x\n"
    )
    assert parse_udp(text, frozenset({4711})) == [UdpSocket(0x59D8, 512, 13)]
    assert parse_udp("", frozenset({1})) == []


def test_what_a_process_does_not_read_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            inodes = descriptors(os.getpid()).socket_inodes
            before = tcp_unread_bytes(os.getpid(), inodes)
            client.sendall(b"x" * 300)
            assert before is not None and tcp_unread_bytes(os.getpid(), inodes) == before + 300
            server.recv(1000)
            assert tcp_unread_bytes(os.getpid(), inodes) == before
    assert tcp_unread_bytes(999_999_999, inodes) is None


def test_those_who_wait_to_be_accepted_are_no_unread_bytes() -> None:
    text = (
        "  sl  local_address rem_address st\n"
        " 1: 0100007F:1FFC 00000000:0000 0A 00000000:00000007 00:00000000 00000000 0 0 4711 2 0000000000000000 13\n"
        " 2: 0100007F:1FFC 0100007F:59D9 01 00000000:00000010 00:00000000 00000000 0 0 4711 2 0000000000000000 99\n"
        " 3: broken\n 4: 0100007F:XX 0 01 0:zz 0 0 0 0 4711 2 0 x\n"
    )
    assert parse_tcp(text, frozenset({4711})) == 16
