"""A network namespace without a name, joined to this one by a veth pair.

Janus and aioice both refuse loopback addresses for media, so a private Janus needs an address of its own. The
namespace is held by an open file descriptor of this process and by the processes inside, and by nothing else: however
they end, kill -9 included, the kernel takes the namespace down and both ends of the veth pair with it.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import subprocess
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from janusload.errors import LabError
from janusload.lab.commands import find, run, uninterrupted

#: RFC 2544, appendix C.2.2: addresses set aside for benchmarks, so no real host has one
BENCHMARK_RANGE = IPv4Network("198.18.0.0/15")

#: the end of the veth pair inside the namespace
_INSIDE = "janus0"

#: A route shorter than this is a default route in disguise (a VPN's 0.0.0.0/1) and says nothing about our range.
_SHORTEST_REAL_ROUTE = 8

_ATTEMPTS = 20


class Network:
    """The namespace, the veth pair and its two addresses.

    Attributes:
        interface: the host's end of the pair.
        subnet: the /30 that both ends share.
        host_address: this side.
        address: the side inside the namespace.
    """

    interface: str
    subnet: IPv4Network
    host_address: IPv4Address
    address: IPv4Address

    def __init__(self) -> None:
        """Make it all.

        Raises:
            LabError: no right to, no `ip`, or no free subnet.
        """
        self._stack = ExitStack()
        self._fd = -1
        try:
            with uninterrupted():
                self._fd = _new_namespace()
                self._stack.callback(os.close, self._fd)
            self.interface = interface_name()
            # noted down before it is made: an interruption right after leaves nothing
            self._stack.callback(self._delete_interface)
            self._join()
            self._address()
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> str:
        """Where the processes of this user find the namespace while this process lives."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    @property
    def inner_interface(self) -> str:
        """The end of the pair inside."""
        return _INSIDE

    def inside(self, *command: str) -> list[str]:
        """The command line that runs `command` in the namespace."""
        return [find("nsenter"), f"--net={self.path}", "--", *command]

    def close(self) -> None:
        """Remove the pair and let the namespace go; may be called again."""
        with uninterrupted():
            self._stack.close()

    def _join(self) -> None:
        doing = "joining the lab's network namespace"
        ip = find("ip")
        # Made from inside, so that the inner end is never seen outside; the outer end goes to this process's namespace.
        pair = ("type", "veth", "peer", "name", self.interface, "netns", str(os.getpid()))
        run(self.inside(ip, "link", "add", _INSIDE, *pair), doing=doing)
        # No IPv6 link-local addresses: they would show up as ICE candidates that lead nowhere.
        quiet = ("addrgenmode", "none") if os.path.isdir("/proc/sys/net/ipv6") else ()
        run([ip, "link", "set", "dev", self.interface, *quiet, "up"], doing=doing)
        run(self.inside(ip, "link", "set", "dev", "lo", "up"), doing=doing)
        run(self.inside(ip, "link", "set", "dev", _INSIDE, *quiet, "up"), doing=doing)

    def _address(self) -> None:
        doing = "giving the lab its addresses"
        ip = find("ip")
        choice = random.SystemRandom()
        for _ in range(_ATTEMPTS):
            subnet = choose_subnet(_taken(except_interface=self.interface), choice)
            host, inner = subnet.hosts()
            ours = f"{host}/{subnet.prefixlen}"
            run([ip, "address", "add", ours, "dev", self.interface], doing=doing)
            # Two labs may have chosen the same one at the same moment; the kernel would take both.
            if any(subnet.overlaps(other) for other in _taken(except_interface=self.interface)):
                run([ip, "address", "del", ours, "dev", self.interface], doing=doing)
                continue
            run(self.inside(ip, "address", "add", f"{inner}/{subnet.prefixlen}", "dev", _INSIDE), doing=doing)
            self.subnet, self.host_address, self.address = subnet, host, inner
            return
        raise LabError(f"{doing}: every subnet tried of {BENCHMARK_RANGE} was taken at the same moment")

    def _delete_interface(self) -> None:
        # Already gone, or never made: both are as wanted.
        with suppress(LabError):
            run([find("ip"), "link", "delete", "dev", self.interface], doing="removing the veth pair")


def interface_name() -> str:
    """A name for the host's end, at most 15 characters (IFNAMSIZ): process and chance, as in `jl4194304-9f3a`."""
    return f"jl{os.getpid()}-{secrets.token_hex(2)}"


def choose_subnet(taken: Iterable[IPv4Network], choice: random.Random) -> IPv4Network:
    """A /30 of the benchmarking range that overlaps nothing in `taken`.

    By chance rather than the first one, so that labs started together seldom meet.

    Raises:
        LabError: none is free.
    """
    inside = [network for network in taken if network.overlaps(BENCHMARK_RANGE)]
    if not any(network.supernet_of(BENCHMARK_RANGE) for network in inside):
        size = BENCHMARK_RANGE.num_addresses // 4
        start = choice.randrange(size)
        first = int(BENCHMARK_RANGE.network_address)
        for step in range(size):
            subnet = IPv4Network((first + 4 * ((start + step) % size), 30))
            if not any(subnet.overlaps(network) for network in inside):
                return subnet
    raise LabError(f"this machine's addresses and routes leave no free subnet in {BENCHMARK_RANGE} for the lab")


def taken_networks(addresses: list[dict[str, Any]], routes: list[dict[str, Any]], interface: str) -> list[IPv4Network]:
    """What is in use, from the JSON of `ip address` and `ip route`; entries of `interface` do not count."""
    taken: list[IPv4Network] = []
    for device in addresses:
        if device.get("ifname") == interface:
            continue
        for address in device.get("addr_info", []):
            if address.get("family") == "inet":
                taken.append(IPv4Network(f"{address['local']}/{address['prefixlen']}", strict=False))
    for route in routes:
        destination = str(route.get("dst", "default"))
        if destination == "default" or route.get("dev") == interface:
            continue
        network = IPv4Network(destination, strict=False)
        if network.prefixlen >= _SHORTEST_REAL_ROUTE:
            taken.append(network)
    return taken


def _taken(*, except_interface: str) -> list[IPv4Network]:
    doing = "reading this machine's addresses and routes"
    ip = find("ip")
    addresses = json.loads(run([ip, "-json", "-4", "address", "show"], doing=doing) or "[]")
    routes = json.loads(run([ip, "-json", "-4", "route", "show", "table", "all"], doing=doing) or "[]")
    return taken_networks(addresses, routes, except_interface)


def _new_namespace() -> int:
    """A descriptor of a new network namespace.

    A short-lived child makes it: `unshare` in this process would move the calling thread, which under gevent's
    monkey-patching is the main one. The child ends when its standard input closes, so also when this process dies.
    """
    doing = "making a network namespace"
    with subprocess.Popen(
        [find("unshare"), "--net", "--", "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        with suppress(BrokenPipeError):
            child.stdin.write(b"\n")
            child.stdin.flush()
        # The echo says that `unshare` is done and `cat` runs.
        if child.stdout.readline() != b"\n":
            reason = " ".join(child.stderr.read().decode(errors="replace").split())
            raise LabError(f"{doing}: {reason or 'unshare failed'} (it needs root or a user namespace)")
        return os.open(f"/proc/{child.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
