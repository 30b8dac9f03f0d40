"""The sockets of a process: what waits in them to be read, and what the kernel had to drop because they were full."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

#: a process with more descriptors than this is not searched for its sockets every second
_MOST_FDS = 20_000
#: of such a socket the kernel says in the same place how many connections wait to be accepted
_LISTEN = "0A"


class UdpSocket(NamedTuple):
    """One socket: local port, bytes received and not yet read, datagrams dropped since it was opened."""

    port: int
    queued_bytes: int
    drops: int


class Descriptors(NamedTuple):
    """What a process has open.

    Attributes:
        open: how many descriptors.
        socket_inodes: inodes of its sockets.
        recordings: folders of recordings that it has open for writing.
    """

    open: int
    socket_inodes: frozenset[int]
    recordings: frozenset[str]


def descriptors(pid: int) -> Descriptors:
    """Look through /proc/PID/fd.

    Raises:
        OSError: it is gone, or belongs to somebody else.
    """
    folder = f"/proc/{pid}/fd"
    names = os.listdir(folder)
    inodes: set[int] = set()
    recordings: set[str] = set()
    if len(names) <= _MOST_FDS:
        for name in names:
            try:
                target = os.readlink(f"{folder}/{name}")
            except OSError:
                continue  # closed meanwhile
            if target.startswith("socket:["):
                inodes.add(int(target[8:-1]))
            elif target.endswith((".mjr", ".wav", ".mjr.tmp", ".wav.tmp")):
                recordings.add(os.path.dirname(target))
    return Descriptors(len(names), frozenset(inodes), frozenset(recordings))


def udp_sockets(pid: int, inodes: frozenset[int]) -> list[UdpSocket]:
    """The process's UDP sockets, as its own network namespace lists them."""
    found = []
    for name in ("udp", "udp6"):
        try:
            text = Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
        found += parse_udp(text, inodes)
    return found


def tcp_unread_bytes(pid: int, inodes: frozenset[int]) -> int | None:
    """What has arrived at the process's TCP connections and was not read yet; None if that cannot be seen.

    A server that stands still leaves it there; one that cannot be reached has nothing to read.
    """
    total = None
    for name in ("tcp", "tcp6"):
        try:
            text = Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
        total = (total or 0) + parse_tcp(text, inodes)
    return total


def parse_tcp(text: str, inodes: frozenset[int]) -> int:
    """Unread bytes of the connections in /proc/net/tcp that belong to these inodes; listening sockets have none."""
    unread = 0
    for line in text.splitlines()[1:]:
        fields = line.split()
        try:
            if fields[3] != _LISTEN and int(fields[9]) in inodes:
                unread += int(fields[4].partition(":")[2], 16)
        except (IndexError, ValueError):
            continue
    return unread


def parse_udp(text: str, inodes: frozenset[int]) -> list[UdpSocket]:
    """The lines of /proc/net/udp that belong to these inodes; what makes no sense is left out."""
    sockets = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        try:
            if int(fields[9]) in inodes:
                sockets.append(
                    UdpSocket(
                        int(fields[1].rpartition(":")[2], 16), int(fields[4].partition(":")[2], 16), int(fields[12])
                    )
                )
        except (IndexError, ValueError):
            continue
    return sockets
