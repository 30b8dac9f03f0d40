"""Server frames for tests, and `websockets` as the oracle of what a client makes of them."""

from __future__ import annotations

import itertools
import logging

from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from janusload.janus import frames

#: a logger of its own, so that the oracle's complaints about garbage stay out of the tests' output
_QUIET = logging.Logger("oracle", level=logging.CRITICAL + 1)


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, head: int | None = None) -> bytes:
    """A frame as a server sends it; `head` overrides its first byte."""
    first = (0x80 if final else 0) | opcode if head is None else head
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 65536:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes([first]) + length + payload


def text(message: str) -> bytes:
    """A whole text message in one frame."""
    return frame(frames.TEXT, message.encode())


#: frames that are mostly right, in orders that are mostly wrong
any_frame = st.builds(
    frame,
    st.sampled_from([frames.CONT, frames.TEXT, frames.BINARY, frames.CLOSE, frames.PING, frames.PONG, 3, 11]),
    st.binary(max_size=140) | st.sampled_from([b"", b"\x03\xe8", b"\x03\xe8\xff", b"\x0f\xa0ok", b"x" * 300]),
    final=st.booleans() | st.just(True),
    head=st.none() | st.none() | st.none() | st.integers(0, 255),
)

streams = st.lists(any_frame, max_size=8).map(b"".join)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    """`data` in pieces, cut at these places."""
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[begin:end] for begin, end in itertools.pairwise(places)]


def oracle(pieces: list[bytes], max_bytes: int) -> tuple[list[tuple[int, bytes]], int | None]:
    """What `websockets` makes of the pieces: messages and control frames, and the close code of a violation."""
    protocol = ClientProtocol(parse_uri("ws://oracle"), max_size=max_bytes, logger=_QUIET)
    protocol.state = OPEN
    protocol.parser = super(ClientProtocol, protocol).parse()
    next(protocol.parser)
    for piece in pieces:
        protocol.receive_data(piece)
    events: list[tuple[int, bytes]] = []
    message: bytes | None = None
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        payload = bytes(event.data)
        if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            message = payload if event.opcode is not Opcode.CONT else (message or b"") + payload
            if event.fin:
                events.append((frames.TEXT, message))
        else:
            events.append((int(event.opcode), payload))
    failed = protocol.close_sent.code if protocol.parser_exc is not None and protocol.close_sent is not None else None
    return events, failed
