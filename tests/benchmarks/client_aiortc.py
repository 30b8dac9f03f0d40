"""The stock aiortc client of bench_media: N `RTCPeerConnection`s, one audio track each way.

Speaks as pion/main.go does.

usage: client_aiortc.py COUNT encode|packets
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)

from janusload.media import clips, sounds

PTIME_S = 0.02


class Talk(MediaStreamTrack):  # type: ignore[misc]
    """Speech, 20 ms at a time: as frames that aiortc encodes, or as packets that it only sends."""

    kind = "audio"

    def __init__(self, units: list[Any]) -> None:
        super().__init__()
        self._units = units
        self._number = 0
        self._started = 0.0

    async def recv(self) -> Any:
        self._started = self._started or time.monotonic()
        await asyncio.sleep(max(0.0, self._started + self._number * PTIME_S - time.monotonic()))
        unit = self._units[self._number % len(self._units)]
        unit.pts = self._number * 960
        unit.time_base = Fraction(1, 48_000)
        self._number += 1
        return unit


def frames() -> list[Any]:
    samples = (sounds.speech(8) * 32767).astype(np.int16)
    made = []
    for start in range(0, len(samples) - 959, 960):
        frame = av.AudioFrame.from_ndarray(samples[start : start + 960].reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = 48_000
        made.append(frame)
    return made


async def main() -> None:
    count, mode = int(sys.argv[1]), sys.argv[2]
    units = frames() if mode == "encode" else [av.Packet(each) for each in clips.make("speech").packets]
    received = [0] * count

    def write(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    async def listen(number: int, track: MediaStreamTrack) -> None:
        while True:
            await track.recv()
            received[number] += 1

    write({"up": True})
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    peers, tracks, tasks = [], [], []
    for number in range(count):
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        track = Talk(units)
        peer.addTrack(track)
        peer.on("track", lambda far, number=number: tasks.append(asyncio.create_task(listen(number, far))))
        await peer.setLocalDescription(await peer.createOffer())
        peers.append(peer)
        tracks.append(track)
        write({"offer": number, "sdp": peer.localDescription.sdp})
        said = json.loads(await reader.readline())
        await peer.setRemoteDescription(RTCSessionDescription(said["sdp"], "answer"))
    while not all(received):
        await asyncio.sleep(0.1)
    write({"ready": True})
    while await reader.readline():
        write({"sent": sum(track._number for track in tracks), "received": sum(received)})
    # without a word: how it leaves is not measured
    os._exit(0)


asyncio.run(main())
