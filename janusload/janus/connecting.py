"""From an address to an open WebSocket: name resolution, TCP, TLS, upgrade, under one deadline over all of them."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent
import gevent.monkey
import gevent.socket
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidURI
from websockets.protocol import OPEN
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI, parse_uri

from janusload.addresses import require_allowed
from janusload.errors import ConnectFailed, UsageError
from janusload.janus.link import words
from janusload.janus.tls import Tls, verifying

_RECEIVE_BYTES = 65536

#: what a server may answer to the upgrade request at most
_MAX_RESPONSE_BYTES = 65536

_UNANSWERED = {
    "dns": "no name resolution",
    "tcp": "no TCP connection",
    "tls": "no TLS handshake",
    "ws_upgrade": "TCP is open but nothing answered the WebSocket upgrade",
}


@dataclass(slots=True)
class Opened:
    """An open WebSocket.

    Attributes:
        sock: a plain socket of the standard library, unpatched.
        tls: its TLS session; None for `ws://`.
        rest: what came behind the answer to the upgrade, already decrypted: the beginning of the first frames.
    """

    sock: Any
    tls: Tls | None
    rest: bytes


def parse(url: str) -> WebSocketURI:
    """The parts of an address. Raises UsageError if it is none of a WebSocket, or holds a user or password."""
    try:
        uri = parse_uri(url)
    except (InvalidURI, ValueError):
        raise UsageError("the address of Janus must look like ws://HOST:PORT or wss://HOST:PORT") from None
    if uri.user_info is not None:
        raise UsageError("put no user or password into the address of Janus: it would show in errors and reports")
    return uri


def open_websocket(
    uri: WebSocketURI,
    *,
    subprotocol: str,
    deadline_s: float,
    allow_public: bool = False,
    tls: ssl.SSLContext | None = None,
    on_phase: Callable[[str], None] | None = None,
) -> Opened:
    """Connect, without a proxy whatever the environment says.

    Args:
        on_phase: told when TCP is open and the next phase begins: `tls` or `ws_upgrade`. Must not block.

    Raises:
        ConnectFailed: no WebSocket within `deadline_s`; `phase` says how far it got.
        UsageError: the address is public, and that was not allowed.
    """
    attempt = _Attempt(uri, subprotocol, allow_public, tls, on_phase)
    timeout = gevent.Timeout(deadline_s)
    try:
        with timeout:
            return attempt.connect()
    except gevent.Timeout as expired:
        attempt.abandon()
        if expired is not timeout:
            raise
        raise attempt.failed(f"{_UNANSWERED[attempt.phase]} within {deadline_s:g} s") from None
    except (OSError, EOFError) as error:
        attempt.abandon()
        raise attempt.failed(words(error)) from None
    except UnicodeError:
        raise attempt.failed("no host has such a name") from None
    except BaseException:
        attempt.abandon()
        raise


class _Attempt:
    """One try, and how far it got: `phase` is dns, tcp, tls or ws_upgrade."""

    def __init__(
        self,
        uri: WebSocketURI,
        subprotocol: str,
        allow_public: bool,
        tls: ssl.SSLContext | None,
        on_phase: Callable[[str], None] | None,
    ) -> None:
        self.phase = "dns"
        self._on_phase = on_phase
        self._uri = uri
        self._subprotocol = Subprotocol(subprotocol)
        self._allow_public = allow_public
        self._context = tls
        self._tls: Tls | None = None
        self._socket: Any = None

    def connect(self) -> Opened:
        infos = gevent.socket.getaddrinfo(self._uri.host, self._uri.port, 0, gevent.socket.SOCK_STREAM)
        self.phase = "tcp"
        self._connect_tcp(infos)
        if self._uri.secure:
            self._enter("tls")
            self._tls = Tls(self._context or verifying(), self._uri.host)
            self._shake_hands()
        self._enter("ws_upgrade")
        rest = self._upgrade()
        # gevent's socket has watchers of its own, which nobody needs from here on
        plain = gevent.monkey.get_original("socket", "socket")(
            self._socket.family, self._socket.type, self._socket.proto, fileno=self._socket.detach()
        )
        self._socket = None
        return Opened(plain, self._tls, rest)

    def _enter(self, phase: str) -> None:
        self.phase = phase
        if self._on_phase is not None:
            self._on_phase(phase)

    def abandon(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def failed(self, what: str) -> ConnectFailed:
        host = f"[{self._uri.host}]" if ":" in self._uri.host else self._uri.host
        scheme = "wss" if self._uri.secure else "ws"
        return ConnectFailed(f"{scheme}://{host}:{self._uri.port}: {what}", phase=self.phase)

    def _connect_tcp(self, infos: list[Any]) -> None:
        refusal: OSError | None = None
        for family, kind, proto, _, address in infos:
            require_allowed(address[0], allow_public=self._allow_public)
            try:
                self._socket = gevent.socket.socket(family, kind, proto)
                self._socket.connect(address)
                break
            except OSError as error:
                refusal = error
                self.abandon()
        if self._socket is None:
            raise refusal or OSError("the name has no address")
        self._socket.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)

    def _shake_hands(self) -> None:
        assert self._tls is not None
        while True:
            done = self._tls.handshake()
            outgoing = self._tls.outgoing()
            if outgoing:
                self._socket.sendall(outgoing)
            if done:
                return
            data = self._socket.recv(_RECEIVE_BYTES)
            if not data:
                raise OSError("the server closed the connection during the TLS handshake")
            self._tls.feed(data)

    def _upgrade(self) -> bytes:
        websocket = ClientProtocol(self._uri, subprotocols=[self._subprotocol])
        websocket.send_request(websocket.connect())
        for data in websocket.data_to_send():
            self._socket.sendall(data if self._tls is None else self._tls.encrypt(data))
        response = bytearray()
        # only the response goes to the library; what follows it are frames, which are not its business
        while (end := response.find(b"\r\n\r\n")) < 0:
            if len(response) > _MAX_RESPONSE_BYTES:
                raise self._no_janus("an endless answer to the upgrade")
            data = self._receive()
            if not data:
                # Janus closes without a word when the subprotocol is not its own; so does a server of another kind
                raise self._no_janus("closed during the upgrade")
            response += data
        websocket.receive_data(bytes(response[: end + 4]))
        if websocket.state is OPEN:
            return bytes(response[end + 4 :])
        if websocket.handshake_exc is None:
            # a refusal with a body, of which the rest does not matter
            websocket.receive_eof()
        raise self._no_janus(str(websocket.handshake_exc))

    def _receive(self) -> bytes:
        while True:
            data: bytes = self._socket.recv(_RECEIVE_BYTES)
            if self._tls is None or not data:
                return data
            clear = self._tls.decrypt(data)
            outgoing = self._tls.outgoing()
            if outgoing:
                self._socket.sendall(outgoing)
            if clear is None:
                return b""
            if clear:
                return clear

    def _no_janus(self, what: str) -> ConnectFailed:
        return self.failed(f"TCP is open but it is no Janus WebSocket: {what}")
