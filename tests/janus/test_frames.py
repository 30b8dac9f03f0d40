"""Frames against `websockets` as the oracle, and every rule of RFC 6455 that can be broken."""

from __future__ import annotations

import runpy
import sys

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode
from websockets.server import ServerProtocol

from janusload.janus import frames
from janusload.janus.frames import CLOSE, CONT, PING, PONG, TEXT, FrameReader, FrameWriter
from tests.janus.wire import cut, frame, oracle, streams

LIMIT = 1000

calm = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def read(pieces: list[bytes], limit: int = LIMIT) -> tuple[list[tuple[int, bytes]], int | None]:
    reader = FrameReader(limit)
    events = [event for piece in pieces for event in reader.receive(piece)]
    return events, reader.failed[0] if reader.failed is not None else None


@calm
@given(streams, st.lists(st.integers(0, 3000), max_size=12))
@example(frame(TEXT, b"x" * 125) + frame(TEXT, b"y" * 126) + frame(TEXT, b"z" * 999), [1, 2, 3, 130, 131, 132, 133])
def test_any_stream_cut_anywhere_means_what_websockets_says(stream: bytes, at: list[int]) -> None:
    pieces = cut(stream, at)
    assert read(pieces) == oracle(pieces, LIMIT)


@calm
@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=6))
def test_any_bytes_mean_what_websockets_says(data: bytes, at: list[int]) -> None:
    pieces = cut(data, at)
    assert read(pieces) == oracle(pieces, LIMIT)


def test_bytes_one_at_a_time() -> None:
    stream = frame(TEXT, b"one") + frame(TEXT, b"t" * 300) + frame(PING, b"p") + frame(TEXT, b"u" * 70_000)
    events, failed = read([bytes([byte]) for byte in stream], 100_000)
    assert [(opcode, len(payload)) for opcode, payload in events] == [(TEXT, 3), (TEXT, 300), (PING, 1), (TEXT, 70_000)]
    assert failed is None


def test_fragments_with_a_ping_between_and_whether_they_are_complete() -> None:
    reader = FrameReader(LIMIT)
    assert reader.receive(frame(TEXT, b"a", final=False)) == [] and reader.partial
    assert reader.receive(frame(PING, b"?")) == [(PING, b"?")]
    assert reader.receive(frame(CONT, b"b", final=False)) == []
    assert reader.receive(frame(CONT, b"c")) == [(TEXT, b"abc")] and not reader.partial
    assert reader.receive(b"\x81") == [] and reader.partial


def test_binary_messages_are_messages() -> None:
    assert read([frame(frames.BINARY, b"{}")]) == ([(TEXT, b"{}")], None)


def test_masking_without_the_speedups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "websockets.speedups", None)
    writer = runpy.run_path(frames.__file__)["FrameWriter"]()
    data = writer.text(b"hello")
    assert bytes(byte ^ data[2 + place % 4] for place, byte in enumerate(data[6:])) == b"hello"


def test_what_follows_a_close_is_ignored() -> None:
    reader = FrameReader(LIMIT)
    assert reader.receive(frame(CLOSE, b"\x03\xe8") + frame(TEXT, b"x")) == [(CLOSE, b"\x03\xe8")]
    assert reader.receive(frame(TEXT, b"x")) == [] and reader.closed == b"\x03\xe8"


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (frame(3), 1002),
        (b"\x81\x83maskabc", 1002),
        (frame(TEXT, b"x", head=0xC1), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, final=False), 1002),
        (frame(CONT, b"x"), 1002),
        (frame(TEXT, b"x", final=False) + frame(TEXT, b"y"), 1002),
        (frame(TEXT, b"x", final=False) + frame(CLOSE), 1002),
        (frame(CLOSE, b"x"), 1002),
        (frame(CLOSE, b"\x03\xed"), 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
        (frame(TEXT, b"x" * 1001), 1009),
        (frame(TEXT, b"x" * 900, final=False) + frame(CONT, b"x" * 101), 1009),
        (b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 1009),
    ],
)
def test_violations(stream: bytes, code: int) -> None:
    events, failed = read([stream, frame(PONG)])
    assert failed == code and not events


def test_a_frame_that_is_announced_costs_nothing_before_it_comes() -> None:
    reader = FrameReader(2**40)
    reader.receive(b"\x81\x7f\x00\x00\x00\x10\x00\x00\x00\x00")
    assert reader.receive(b"x" * 1000) == [] and reader.failed is None


@calm
@given(st.one_of(st.binary(max_size=200), st.integers(0, 70_000).map(bytes)))
@example(bytes(125))
@example(bytes(126))
@example(bytes(65_535))
@example(bytes(65_536))
def test_websockets_reads_what_is_written(payload: bytes) -> None:
    server = ServerProtocol(max_size=None)
    server.parser = super(ServerProtocol, server).parse()
    next(server.parser)
    writer = FrameWriter()
    server.receive_data(writer.text(payload) + writer.control(PING, b"?") + writer.control(CLOSE, b"\x03\xe8"))
    one, two, three = (event for event in server.events_received() if isinstance(event, Frame))
    assert (one.opcode, bytes(one.data)) == (Opcode.TEXT, payload)
    assert (two.opcode, bytes(two.data)) == (Opcode.PING, b"?")
    assert Close.parse(three.data).code == 1000


def test_masks_are_never_used_twice_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "_MASKS_AT_ONCE", 4)
    writer = FrameWriter()
    masks = [writer.text(b"")[2:6] for _ in range(50)]
    assert len(set(masks)) == 50
