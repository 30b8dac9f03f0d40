"""The wire between the engine and its media workers: length-prefixed MessagePack over a socketpair.

Rules:

- A frame is four bytes of length, big endian, and that many bytes of MessagePack: one map, never longer than `LIMIT`.
- The engine asks (`{"ask": n, "verb": ..., ...}`); the worker answers each ask exactly once, in any order
  (`{"ask": n, "result": {...}}` or `{"ask": n, "phase": ..., "reason": ...}`).
- What the worker says of itself has no `ask` and a `say`: `hello`, `state`, `media`, `health`, `event`,
  `spoken`, `heard`, and `gone` for a peer that was closed and never came to be.
- `media` carries rows in the order of `MEDIA_FIELDS`: a thousand maps a second with the same keys are not free,
  and as JSON a row cost 30 us of both ends together, where it costs 4 now.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import msgpack

from janusload.errors import MediaError
from janusload.records import HealthRecord, MediaRecord

Message = dict[str, Any]

#: longest frame in bytes; an SDP has a few kB, a batch of statistics at most some 40 kB
LIMIT = 1 << 20


class TickChoice(StrEnum):
    """What runs the RTP of a worker's peers."""

    AUTO = "auto"  # the C tick where it can be had
    PYTHON = "python"
    C = "c"


#: rows of statistics in one `media` message
ROWS_PER_MESSAGE = 200

#: a row of statistics: the engine's number of the peer, then MediaRecord without what the engine knows itself, then the
#: count of dropped datagrams
MEDIA_FIELDS = (
    "number",
    *(field for field in MediaRecord._fields if field not in ("peer", "worker", "tone_hz")),
    "dropped",
)

_LENGTH = struct.Struct("!I")

#: whatever a message of the system may hold comes through
_UNICODE_ERRORS = "surrogatepass"


def media_record(row: list[Any], *, peer: str, worker: int, tone_hz: float | None = None) -> tuple[MediaRecord, int]:
    """The record of a row of statistics, and how many datagrams were dropped, which comes last in the row."""
    _, t_ns, *values, dropped = row
    values.append(tone_hz)
    return MediaRecord(t_ns, peer, worker, *values), dropped


def health_record(said: Message, *, worker: int) -> HealthRecord:
    """The record of what a worker says of its health."""
    return HealthRecord(
        t_ns=said["t_ns"],
        process=f"media-{worker}",
        cpu_percent=said["cpu_percent"],
        rss_bytes=said["rss_bytes"],
        fds=said["fds"],
        lag_p99_ms=said["lag_p99_ms"],
        pacing_p99_ms=said["pacing"][0],
        pacing_due=said["pacing"][1],
        pacing_late=said["pacing"][2],
        tick=said["tick"],
    )


def encode(message: Message) -> bytes:
    """The frame of a message.

    Raises:
        MediaError: phase `worker`; the message would be longer than `LIMIT`.
    """
    body: bytes = msgpack.packb(message, unicode_errors=_UNICODE_ERRORS)
    if len(body) > LIMIT:
        raise MediaError(f"a message of {len(body)} bytes is too long for the media worker", phase="worker")
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Takes bytes as they come, gives the messages that are complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """The messages that `chunk` completes, in order.

        Raises:
            MediaError: phase `worker`; what came is no frame of ours. The stream cannot be used any further.
        """
        self._buffer += chunk
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > LIMIT:
                raise MediaError(f"a frame of {length} bytes on the media worker's socket", phase="worker")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            try:
                message = msgpack.unpackb(body, unicode_errors=_UNICODE_ERRORS)
            except ValueError as exc:
                raise MediaError("a frame without MessagePack on the media worker's socket", phase="worker") from exc
            if not isinstance(message, dict):
                raise MediaError("a frame without a map on the media worker's socket", phase="worker")
            yield message
