"""One file of Arrow IPC streams, read as far as it is sound.

pyarrow's own reader takes one stream and stops at the first thing amiss. A run's file may hold several streams behind
each other, may end in half a batch (a crash), and may have been damaged on its way; here whole messages are found
first, and each run of them is then read by pyarrow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

_CONTINUATION = b"\xff\xff\xff\xff"  # opens every message of an Arrow IPC stream
_END_MARK = _CONTINUATION + bytes(4)


def read_stream_file(
    path: Path, columns: set[str], required: set[str] | None = None
) -> tuple[list[pa.RecordBatch], int]:
    """Every whole batch of a file of Arrow IPC streams.

    Args:
        columns: the columns wanted.
        required: those without which a stream makes no sense; all of them unless said. The others may be missing from
            what an older version wrote.

    Returns:
        The batches in order, and how many bytes could not be read.
    """
    if path.stat().st_size == 0:
        return [], 0
    with pa.memory_map(str(path)) as source:
        data = source.read_buffer()
    batches: list[pa.RecordBatch] = []
    read = 0
    for begin, end in _streams(data):
        found, sound = _read_stream(data.slice(begin, end - begin), columns, columns if required is None else required)
        batches += found
        read += sound
    return batches, data.size - read


def _streams(data: pa.Buffer) -> Iterator[tuple[int, int]]:
    """Where each stream of whole messages begins and ends.

    A stream begins with a schema message. It ends with an end mark, at the next schema (the writer had to begin
    anew after a full disk), at damage, or with the last whole message of the file.
    """
    reader = pa.BufferReader(data)
    begin: int | None = None
    at = 0
    while at < data.size:
        header = data.slice(at, min(8, data.size - at)).to_pybytes()
        if header == _END_MARK:
            at += 8
            if begin is not None:
                yield begin, at
            begin = None
            continue
        message, after = _message(reader, at, header)
        if message is None:
            if begin is not None:
                yield begin, at
            begin = None
            following = _find(data, _CONTINUATION, at + 1)
            if following < 0:
                return
            at = following
        else:
            if message.type == "schema":
                if begin is not None:
                    yield begin, at
                begin = at
            # Without its schema and dictionaries a batch cannot be read; it is passed over to the next stream.
            at = after
    if begin is not None:
        yield begin, at


def _message(reader: pa.BufferReader, at: int, header: bytes) -> tuple[Any, int]:
    """The whole message at a position and where it ends, or (None, at)."""
    if len(header) < 8 or header[:4] != _CONTINUATION:
        return None, at
    if struct.unpack("<i", header[4:])[0] <= 0:
        return None, at
    reader.seek(at)
    try:
        message = pa.ipc.read_message(reader)
    except (pa.ArrowException, OSError, EOFError, ValueError):
        return None, at
    return message, reader.tell()


def _find(data: pa.Buffer, mark: bytes, start: int) -> int:
    """Position of `mark` at or after `start`, -1 without one; looks at a megabyte at a time."""
    window = 1 << 20
    for at in range(start, data.size, window):
        piece = data.slice(at, min(window + len(mark) - 1, data.size - at)).to_pybytes()
        found = piece.find(mark)
        if found >= 0:
            return int(at + found)
    return -1


def _read_stream(data: pa.Buffer, columns: set[str], required: set[str]) -> tuple[list[pa.RecordBatch], int]:
    """The sound batches of one stream, and how many of its bytes were read."""
    batches: list[pa.RecordBatch] = []
    source = pa.BufferReader(data)
    lost = 0
    at = 0
    try:
        schema = pa.ipc.open_stream(pa.BufferReader(data)).schema
        if not required <= set(schema.names):
            return [], 0  # written by a version whose records lacked what is asked for
        wanted = [index for index, name in enumerate(schema.names) if name in columns]
        reader = pa.ipc.open_stream(source, options=pa.ipc.IpcReadOptions(included_fields=wanted))
        while True:
            at = source.tell()
            try:
                batch = reader.read_next_batch()
                batch.validate(full=True)  # damaged indices would be read outside their dictionary
            except StopIteration:
                return batches, data.size - lost
            except pa.ArrowInvalid:
                if source.tell() == at:
                    return batches, at - lost
                lost += source.tell() - at
            else:
                batches.append(batch)
    except (pa.ArrowException, OSError, ValueError):
        return batches, at - lost
