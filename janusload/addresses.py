"""Where load may go: loopback and private addresses, unless its owner says otherwise."""

from __future__ import annotations

import ipaddress

from janusload.errors import UsageError

#: by name, not by `ipaddress`'s `is_private`, which has more than the networks for private use (Teredo for one, which
#: leads out) and changes from Python to Python: RFC 1122, 1918, 3927, 2544; 4291 (loopback, link-local), 4193
_PRIVATE = [
    ipaddress.ip_network(network)
    for network in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "198.18.0.0/15"),
        *("::1/128", "fe80::/10", "fc00::/7"),
    )
]


def is_private(address: str) -> bool:
    """Whether an IP address is one that load may go to without an explicit word: loopback, link-local or private."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return any(ip in network for network in _PRIVATE)


def is_loopback(host: str) -> bool:
    """Whether a name or address, as it stands, is this machine's own; nothing is resolved."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_allowed(address: str, *, allow_public: bool) -> None:
    """Check a resolved address before anything is sent to it.

    Raises:
        UsageError: it is neither private nor (0.0.0.0, ::) this machine, and public targets were not asked for.
    """
    if not (allow_public or is_private(address) or ipaddress.ip_address(address.partition("%")[0]).is_unspecified):
        raise UsageError(f"{address} is a public address: load goes there only with --allow-public")
