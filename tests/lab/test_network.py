from __future__ import annotations

import os
import random
import socket
import subprocess
from ipaddress import IPv4Network

import pytest

from janusload.errors import LabError
from janusload.lab.network import BENCHMARK_RANGE, Network, choose_subnet, interface_name, taken_networks


def nets(*texts: str) -> list[IPv4Network]:
    return [IPv4Network(text) for text in texts]


def test_subnet_is_a_30_of_the_benchmarking_range() -> None:
    for seed in range(50):
        subnet = choose_subnet([], random.Random(seed))
        assert subnet.prefixlen == 30
        assert subnet.subnet_of(BENCHMARK_RANGE)


def test_subnet_avoids_what_is_taken() -> None:
    # all but one /30 is taken
    taken = [net for net in BENCHMARK_RANGE.subnets(new_prefix=30) if str(net) != "198.19.7.8/30"]
    assert str(choose_subnet(taken[:3] + list(nets("198.18.0.0/16")), random.Random(1))).startswith("198.19.")
    free = IPv4Network("198.19.7.8/30")
    assert choose_subnet(BENCHMARK_RANGE.address_exclude(free), random.Random(1)) == free


def test_no_subnet_where_the_whole_range_is_taken() -> None:
    for taken in (nets("198.18.0.0/15"), nets("198.16.0.0/12"), nets("198.18.0.0/16", "198.19.0.0/16")):
        with pytest.raises(LabError, match="no free subnet"):
            choose_subnet(taken, random.Random(1))


def test_networks_elsewhere_do_not_matter() -> None:
    assert choose_subnet(nets("10.0.0.0/8", "192.0.2.0/24"), random.Random(1)).subnet_of(BENCHMARK_RANGE)


def test_addresses_and_routes_are_taken_but_not_default_routes_nor_the_own_interface() -> None:
    addresses = [
        {"ifname": "eth0", "addr_info": [{"family": "inet", "local": "198.18.4.9", "prefixlen": 24}]},
        {"ifname": "eth1", "addr_info": [{"family": "inet6", "local": "fd00::2", "prefixlen": 64}]},
        {"ifname": "jl1-abcd", "addr_info": [{"family": "inet", "local": "198.18.0.1", "prefixlen": 30}]},
    ]
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "0.0.0.0/1", "dev": "tun0"},
        {"dst": "198.19.0.0/24", "dev": "eth0"},
        {"dst": "198.18.9.9", "dev": "eth0", "type": "local"},
        {"dst": "198.18.0.0/30", "dev": "jl1-abcd"},
    ]
    taken = taken_networks(addresses, routes, "jl1-abcd")
    assert taken == nets("198.18.4.0/24", "198.19.0.0/24", "198.18.9.9/32")


def test_interface_names_fit_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 4194304)
    names = {interface_name() for _ in range(20)}
    assert all(len(name) <= 15 for name in names)
    assert len(names) > 15


@pytest.mark.lab
def test_two_networks_side_by_side_are_apart_and_leave_nothing() -> None:
    before = set(os.listdir("/proc/self/fd"))
    first, second = Network(), Network()
    try:
        assert not first.subnet.overlaps(second.subnet)
        for network in (first, second):
            shown = subprocess.run(
                network.inside("ip", "-br", "address"), capture_output=True, text=True, check=True
            ).stdout
            assert str(network.address) in shown
            assert "127.0.0.1" in shown
            # somebody is there: a closed port refuses at once, an unreachable address would time out
            with socket.socket() as probe:
                probe.settimeout(2)
                with pytest.raises(ConnectionRefusedError):
                    probe.connect((str(network.address), 9))
    finally:
        first.close()
        second.close()
        second.close()
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    assert first.interface not in links
    assert second.interface not in links
    assert set(os.listdir("/proc/self/fd")) == before
