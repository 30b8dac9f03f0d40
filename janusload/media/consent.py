"""Consent to send (RFC 7675) on a path that ICE has chosen: asked for and given on the pump's thread.

aioice can do it on its event loop, which wakes up for each datagram: that was an eighth of what a participant costs
with the C tick. What is done here is the common case alone: authentic binding requests, the answers to ours, and
keepalives. Everything else is aioice's business still.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import random
import struct
import zlib
from typing import NamedTuple

#: mean time between requests (RFC 7675 section 5.1)
CHECK_S = 5.0
#: requests in a row without an answer that end consent: after the 30 s of RFC 7675, give or take their own spread.
#: Counted and not timed: that this process was held up is no fault of the far end
MOST_UNANSWERED = 5

# RFC 8489 sections 5 and 14, RFC 8445 section 16.1
_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")
_FINGERPRINT = struct.Struct("!HHI")
_COOKIE = 0x2112A442
_REQUEST, _INDICATION, _RESPONSE = 0x0001, 0x0011, 0x0101
_USERNAME, _INTEGRITY, _MAPPED_ADDRESS, _PRIORITY, _FINGERPRINT_TYPE = 0x0006, 0x0008, 0x0020, 0x0024, 0x8028
_CONTROLLED, _CONTROLLING = 0x8029, 0x802A
_FINGERPRINT_XOR = 0x5354554E
_INTEGRITY_BYTES = _ATTRIBUTE.size + 20


class Credentials(NamedTuple):
    """One side's, from its SDP."""

    username: str
    password: str


class Consent:
    """One path's.

    Args:
        local, remote: the credentials of both sides.
        controlling: our role.
        tie_breaker: ours.
        priority: what a candidate would have that the far end learned of by our request (RFC 8445 section 7.1.1).
        address: IP address and port of the far end.
    """

    def __init__(
        self,
        *,
        local: Credentials,
        remote: Credentials,
        controlling: bool,
        tie_breaker: int,
        priority: int,
        address: tuple[str, int],
    ) -> None:
        self._local_key = local.password.encode()
        self._remote_key = remote.password.encode()
        self._username = f"{local.username}:{remote.username}".encode()
        #: who has the role that we have is in conflict with us
        self._our_role = _CONTROLLING if controlling else _CONTROLLED
        self._asking = (
            _attribute(_USERNAME, f"{remote.username}:{local.username}".encode())
            + _attribute(_PRIORITY, struct.pack("!I", priority))
            + _attribute(self._our_role, struct.pack("!Q", tie_breaker))
        )
        host = ipaddress.ip_address(address[0])
        self._family, self._host = (1 if host.version == 4 else 2), host.packed
        self._port = address[1] ^ _COOKIE >> 16
        #: requests since the last answer; one to any of them will do
        self._unanswered: list[bytes] = []

    @property
    def over(self) -> bool:
        """Whether the far end has left too many requests unanswered."""
        return len(self._unanswered) >= MOST_UNANSWERED

    @staticmethod
    def pause_s() -> float:
        """How long to wait until the next request."""
        return CHECK_S * (0.8 + 0.4 * random.random())

    def ask(self) -> bytes:
        """The next request."""
        transaction = os.urandom(12)
        self._unanswered.append(transaction)
        return _sealed(_REQUEST, transaction, self._asking, self._remote_key)

    def take(self, datagram: bytes) -> bytes | None:
        """What to answer to a STUN message, empty for nothing; None if it is not for us."""
        if len(datagram) < _HEADER.size:
            return None
        kind, size, cookie, transaction = _HEADER.unpack_from(datagram)
        if cookie != _COOKIE or size != len(datagram) - _HEADER.size:
            return None
        if kind == _INDICATION:
            return b""
        if kind == _RESPONSE and transaction in self._unanswered and self._authentic(datagram, self._remote_key):
            self._unanswered.clear()
            return b""
        if kind != _REQUEST:
            return None
        found = self._authentic(datagram, self._local_key)
        if found.get(_USERNAME) != self._username or self._our_role in found:
            return None
        return _sealed(_RESPONSE, transaction, self._mapped_address(transaction), self._local_key)

    def _mapped_address(self, transaction: bytes) -> bytes:
        pad = _COOKIE.to_bytes(4, "big") + transaction
        host = bytes(ours ^ theirs for ours, theirs in zip(self._host, pad, strict=False))
        return _attribute(_MAPPED_ADDRESS, struct.pack("!HH", self._family, self._port) + host)

    @staticmethod
    def _authentic(datagram: bytes, key: bytes) -> dict[int, bytes]:
        """The attributes before MESSAGE-INTEGRITY, and that; empty unless integrity and fingerprint are right."""
        found: dict[int, bytes] = {}
        end = len(datagram) - _FINGERPRINT.size
        at = _HEADER.size
        while at <= end - _ATTRIBUTE.size:
            kind, size = _ATTRIBUTE.unpack_from(datagram, at)
            value = datagram[at + 4 : at + 4 + size]
            found[kind] = value
            if kind == _INTEGRITY:
                break
            at += 4 + size + -size % 4
        else:
            return {}
        if datagram[end:] != _fingerprint(datagram[:end]):
            return {}
        # the length that was signed ends with the signature
        signed = datagram[:2] + (at + _INTEGRITY_BYTES - _HEADER.size).to_bytes(2, "big") + datagram[4:at]
        return found if hmac.compare_digest(value, hmac.digest(key, signed, "sha1")) else {}


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(kind, len(value)) + value + bytes(-len(value) % 4)


def _sealed(kind: int, transaction: bytes, attributes: bytes, key: bytes) -> bytes:
    """A message with MESSAGE-INTEGRITY and FINGERPRINT (RFC 8489 sections 14.5 and 14.7)."""
    size = len(attributes) + _INTEGRITY_BYTES
    signature = hmac.digest(key, _HEADER.pack(kind, size, _COOKIE, transaction) + attributes, "sha1")
    head = _HEADER.pack(kind, size + _FINGERPRINT.size, _COOKIE, transaction)
    message = head + attributes + _attribute(_INTEGRITY, signature)
    return message + _fingerprint(message)


def _fingerprint(message: bytes) -> bytes:
    """The attribute that ends a message whose length already counts it."""
    return _FINGERPRINT.pack(_FINGERPRINT_TYPE, 4, zlib.crc32(message) ^ _FINGERPRINT_XOR)
