"""Where load may go: loopback and private addresses, unless its owner says otherwise."""

from __future__ import annotations

import ipaddress

from janusload.errors import UsageError


def require_allowed(address: str, *, allow_public: bool) -> None:
    """Check a resolved address before anything is sent to it.

    Raises:
        UsageError: it is neither loopback, link-local nor private (RFC 1918, RFC 4193, RFC 2544), and public targets
            were not asked for.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if not allow_public and not (ip.is_loopback or ip.is_private or ip.is_link_local):
        raise UsageError(f"{address} is a public address: load goes there only with --allow-public")
