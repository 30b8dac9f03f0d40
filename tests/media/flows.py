"""Two flows with keys that fit each other, as after a handshake."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pylibsrtp import Policy, Session

from janusload.media import clips
from janusload.media.flow import Flow
from janusload.media.ice import SO_TIMESTAMPNS
from janusload.media.messages import TickChoice
from janusload.media.native import NativeFlow

#: near to far, far to near
Keys = tuple[bytes, bytes]

CLIP = clips.make("silence")


def udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.bind(("127.0.0.1", 0))
    return sock


def session(key: bytes, *, sending: bool) -> Session:
    """As aiortc makes them after DTLS."""
    kind = Policy.SSRC_ANY_OUTBOUND if sending else Policy.SSRC_ANY_INBOUND
    policy = Policy(key=key, ssrc_type=kind, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_256_GCM)
    policy.allow_repeat_tx = True
    policy.window_size = 1024
    return Session(policy)


class Far:
    """The other end of a flow: a bare socket and the sessions to read and write what the flow does."""

    def __init__(self, keys: Keys | None = None) -> None:
        self.sock = udp()
        self.keys = keys or (os.urandom(44), os.urandom(44))
        self.tx = session(self.keys[1], sending=True)
        self.rx = session(self.keys[0], sending=False)

    def received(self) -> list[bytes]:
        found = []
        while True:
            try:
                found.append(self.sock.recv(2048))
            except BlockingIOError:
                return found


@contextmanager
def flow_and_far(
    kind: str = TickChoice.PYTHON, *, keys: Keys | None = None, **options: Any
) -> Iterator[tuple[Flow, Far]]:
    """A flow for this tick, and who it talks to."""
    far, sock = Far(keys), udp()
    far.sock.connect(sock.getsockname())
    sock.connect(far.sock.getsockname())
    handed_back: list[bytes] = []
    settings: dict[str, Any] = {
        "clip": CLIP,
        "ssrc": 0x1234,
        "cname": "near",
        "payload_type": 111,
        "audio_level_id": 1,
        "incoming": lambda data, source: handed_back.append(data),
    }
    settings |= options
    make = NativeFlow if kind == TickChoice.C and Flow.plain_with(**settings) else Flow
    flow = make(sock=sock, tx=session(far.keys[0], sending=True), rx=session(far.keys[1], sending=False), **settings)
    try:
        yield flow, far
    finally:
        sock.close()
        far.sock.close()
