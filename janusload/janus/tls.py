"""TLS of a client connection without I/O: what came is decrypted, what is to go is encrypted, in memory."""

from __future__ import annotations

import functools
import ssl


def context(*, ca: str | None = None, insecure: bool = False) -> ssl.SSLContext:
    """A TLS context for `Connection(tls=...)`; make one and share it: reading the system's authorities takes a while.

    Args:
        ca: PEM file of the authority to trust instead of the system's own.
        insecure: whether to trust anybody, and any name. Then whoever is on the way can read and change everything.
    """
    made = ssl.create_default_context(cafile=ca)
    if insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


@functools.cache
def verifying() -> ssl.SSLContext:
    """The context of connections that were given none: the system's authorities, names verified."""
    return context()


class Tls:
    """The TLS of one connection.

    Hand what arrives to `feed`, send what `outgoing` returns, and call `handshake` until it is done; from then on
    `decrypt` takes what arrives and `encrypt` what is to go.
    """

    __slots__ = ("_from_server", "_session", "_to_server")

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._from_server = ssl.MemoryBIO()
        self._to_server = ssl.MemoryBIO()
        self._session = context.wrap_bio(self._from_server, self._to_server, server_hostname=host)

    def feed(self, data: bytes) -> None:
        """Take what arrived; nothing means that nothing will come any more."""
        if data:
            self._from_server.write(data)
        else:
            self._from_server.write_eof()

    def outgoing(self) -> bytes:
        """What is to be sent, beside that which `encrypt` returns: handshake and key updates."""
        return self._to_server.read()

    def handshake(self) -> bool:
        """Go on with the handshake; whether it is done. Raises ssl.SSLError if it fails."""
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def decrypt(self, data: bytes) -> bytes | None:
        """What `data` says; None once the server has said that no more will come. Raises ssl.SSLError on nonsense."""
        self.feed(data)
        clear: list[bytes] = []
        try:
            while True:
                chunk = self._session.read(65536)
                if not chunk:
                    return b"".join(clear) or None
                clear.append(chunk)
        except ssl.SSLWantReadError:
            return b"".join(clear)
        except ssl.SSLZeroReturnError:
            return b"".join(clear) or None

    def encrypt(self, data: bytes) -> bytes:
        """What to send for `data`. Raises ssl.SSLError if the session is broken."""
        self._session.write(data)
        return self._to_server.read()
