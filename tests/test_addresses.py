"""Where load may go without an explicit word."""

from __future__ import annotations

import pytest

from janusload.addresses import is_loopback, is_private, require_allowed
from janusload.errors import UsageError


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("10.1.2.3", True),
        ("192.168.0.1", True),
        ("172.31.0.1", True),
        ("198.18.0.2", True),
        ("fd00::1", True),
        ("fe80::1%eth0", True),
        ("169.254.1.2", True),
        ("::ffff:10.1.2.3", True),
        ("8.8.8.8", False),
        ("::ffff:8.8.8.8", False),
        ("2001:0:808:808::1", False),
        ("203.0.113.1", False),
        ("100.64.0.1", False),
        ("2001:4860:4860::8888", False),
        ("0.0.0.0", False),
        ("::", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_where_load_may_go_without_an_explicit_word(address: str, allowed: bool) -> None:
    assert is_private(address) is allowed


@pytest.mark.parametrize("address", ["10.1.2.3", "0.0.0.0", "::", "fe80::1%eth0"])
def test_what_needs_no_word(address: str) -> None:
    require_allowed(address, allow_public=False)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:0:808:808::1"])
def test_what_needs_one(address: str) -> None:
    with pytest.raises(UsageError, match="--allow-public"):
        require_allowed(address, allow_public=False)
    require_allowed(address, allow_public=True)


def test_what_is_this_machine_itself() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("", "0.0.0.0", "10.0.0.1", "localhost.evil.example", "::"))
