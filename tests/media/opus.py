"""libopus itself, for what PyAV's decoder does not do: decoding a lost packet's audio out of the next one (FEC)."""

from __future__ import annotations

import ctypes
from pathlib import Path

import av
import numpy as np

#: the library that PyAV's wheel brings along
_LIBRARY = next((Path(av.__file__).parent.parent / "av.libs").glob("libopus*.so*"))
_opus = ctypes.CDLL(str(_LIBRARY))
_opus.opus_decoder_create.restype = ctypes.c_void_p
_opus.opus_decode.argtypes = (
    ctypes.c_void_p,
    ctypes.c_char_p,
    ctypes.c_int32,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_int,
)
_opus.opus_decoder_destroy.argtypes = (ctypes.c_void_p,)

FRAME = 960


class Decoder:
    """An Opus decoder at 48 kHz, mono, of packets of 20 ms."""

    def __init__(self) -> None:
        error = ctypes.c_int()
        self._state = _opus.opus_decoder_create(48_000, 1, ctypes.byref(error))
        assert not error.value

    def __del__(self) -> None:
        _opus.opus_decoder_destroy(self._state)

    def decode(self, packet: bytes | None, *, fec: bool = False) -> np.ndarray:
        """20 ms of samples; of None what libopus makes up, with `fec` the packet *before* the one given."""
        pcm = np.zeros(FRAME, np.int16)
        size = len(packet) if packet else 0
        count = _opus.opus_decode(self._state, packet, size, pcm.ctypes.data, FRAME, fec)
        assert count == FRAME
        return pcm.astype(float)
