"""Recordings written by hand, so that every byte of them is known."""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np

HEADER = b'{"t":"a","c":"opus","s":1000000,"u":2000000}'


def rtp(sequence: int, payload: bytes = b"\xf8\xff\xfe", *, timestamp: int | None = None, ssrc: int = 7) -> bytes:
    stamp = sequence * 960 if timestamp is None else timestamp
    return struct.pack(">BBHII", 0x80, 111, sequence & 0xFFFF, stamp & 0xFFFFFFFF, ssrc) + payload


def frame(packet: bytes, *, ms: int = 0) -> bytes:
    return struct.pack(">4sIH", b"MEET", ms, len(packet)) + packet


def mjr_bytes(packets: Iterable[bytes], *, header: bytes = HEADER, magic: bytes = b"MJR00002") -> bytes:
    frames = b"".join(frame(packet, ms=20 * at) for at, packet in enumerate(packets))
    return magic + len(header).to_bytes(2, "big") + header + frames


def wav_bytes(
    samples: np.ndarray, *, rate: int = 16_000, channels: int = 1, riff: int | None = None, data: int | None = None
) -> bytes:
    """As Janus writes it: the data chunk's size is that of the whole file."""
    pcm = samples.astype("<i2").tobytes()
    size = 44 + len(pcm)
    return (
        struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            *(b"RIFF", size - 8 if riff is None else riff, b"WAVE", b"fmt ", 16, 1, channels),
            *(rate, rate * 2 * channels, 2, 16, b"data", size if data is None else data),
        )
        + pcm
    )


def counted_by_janus(path: Path) -> tuple[int, bool]:
    """How many packets Janus's own `janus-pp-rec` finds, and whether it complains.

    By its exit status it says nothing: a truncated file ends with 0 and a warning.
    """
    done = subprocess.run(["janus-pp-rec", "-p", str(path)], capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    counted = re.search(r"Counted (\d+) RTP packets", output)
    return (int(counted[1]) if counted else 0), "[WARN]" in output or "[ERR]" in output or done.returncode != 0


def sine(hertz: float, seconds: float, rate: int, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
