"""A media worker: the process that carries peers. Started by the engine, by exec, with one end of a socketpair.

`python -m janusload.media.worker --fd N --number N --parent PID [--public-targets] [--tick auto|python|c]`

It ends when it is told to, when its socket ends, and when its parent dies (`PR_SET_PDEATHSIG`), whichever comes first.
Interrupts from the terminal are the parent's business: it closes the peers in order.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from janusload import descriptors
from janusload.addresses import is_private
from janusload.errors import MediaError
from janusload.media import clips, ice, impairment, messages, sdp
from janusload.media.carried import Carried, PeerState
from janusload.media.flow import Tap
from janusload.media.hearing import Heard, Listener
from janusload.media.impairment import Fates
from janusload.media.listening import Listening, row
from janusload.media.messages import Message, TickChoice
from janusload.media.peer import Peer, SharedCertificate
from janusload.media.plain import PlainPeer
from janusload.media.process import Memory, die_with_parent, take_real_time
from janusload.media.pump import Pump
from janusload.media.quality import Lateness
from janusload.media.telling import Telling

log = logging.getLogger(__name__)

#: how often statistics are sent
STATISTICS_S = 1.0
#: how often the loop's lag is looked at
LAG_PROBE_S = 0.05
#: statistics are dropped while this much waits to be read by the engine: the next ones replace them
BACKLOG_BYTES = 1 << 20
#: objects made since the last look after which it is time for another
NEW_OBJECTS = 20_000
#: how long peers may take to say goodbye at the end
GOODBYE_S = 2.0

#: how long the interpreter lets one thread run on; the default of 5 ms is a quarter of the pump's period
SWITCH_INTERVAL_S = 0.0005


class Worker:
    """Serves one engine over one socket."""

    def __init__(self, number: int, *, public_targets: bool, tick: str) -> None:
        self._number = number
        self._allowed: Callable[[str], bool] = (lambda _: True) if public_targets else is_private
        self._peers: dict[int, Carried] = {}
        self._telling: dict[int, Telling] = {}
        #: peers that wait for their clip
        self._awaited: set[int] = set()
        self._listening = Listening(self._heard)
        self._clips: dict[tuple[str, str, int], asyncio.Task[clips.Clip]] = {}
        self._certificate: SharedCertificate = SharedCertificate.generateCertificate()
        self._pump = Pump(tick)
        self._lag = Lateness()
        self._memory = Memory()
        self._tasks: set[asyncio.Task[None]] = set()
        self._untidy = False
        self._ended = asyncio.Event()
        self._fault: BaseException | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._verbs: dict[str, Callable[[Message], Awaitable[Any]]] = {
            "offer": self._offer,
            "answer": self._answer,
            "accept": self._accept,
            "connected": self._connected,
            "open": self._open,
            "connect": self._connect,
            "sending": self._sending,
            "count": self._count,
            "close": self._close,
            "stop": self._stop,
        }

    async def serve(self, sock: socket.socket, *, real_time: bool) -> int:
        """Serve until the engine says stop or goes away; returns the exit code.

        Args:
            sock: to the engine.
            real_time: whether this process has real-time priority, for the engine to know.
        """
        loop = asyncio.get_running_loop()
        await self._clip("speech")

        def fault(exc: BaseException) -> None:
            loop.call_soon_threadsafe(self._pump_failed, exc)

        self._pump.start(fault)
        reader, self._writer = await asyncio.open_unix_connection(sock=sock)
        gc.disable()
        gc.collect()
        gc.freeze()
        self._say(
            {
                "say": "hello",
                "pid": os.getpid(),
                "tick": self._pump.tick,
                "without_c": self._pump.without_c,
                "real_time": real_time,
            }
        )
        for work in (self._read(reader), self._measure_lag(), self._tell(), self._listening.run()):
            self._spawn(work)
        await self._ended.wait()
        await self._goodbye()
        self._pump.stop()
        self._writer.close()
        if self._fault is not None:
            raise self._fault
        return 0

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _pump_failed(self, exc: BaseException) -> None:
        self._fault = exc
        self._ended.set()

    def _say(self, message: Message) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(messages.encode(message))

    def _backlog(self) -> bool:
        """Whether so much waits to be read by the engine that news had better not be told."""
        return self._writer is not None and self._writer.transport.get_write_buffer_size() > BACKLOG_BYTES

    async def _read(self, reader: asyncio.StreamReader) -> None:
        decoder = messages.Decoder()
        try:
            while chunk := await reader.read(65536):
                for message in decoder.feed(chunk):
                    self._spawn(self._obey(message))
                # not more asks than answers that can leave
                if self._writer is not None:
                    await self._writer.drain()
        except OSError:
            pass
        finally:
            self._ended.set()

    async def _obey(self, message: Message) -> None:
        ask = message.get("ask")
        try:
            result = await self._verbs[message["verb"]](message)
        except MediaError as exc:
            self._say({"ask": ask, "phase": exc.phase, "reason": str(exc)})
        except Exception as exc:
            # of this one ask alone; whoever asked must not wait for an answer that never comes
            log.exception("the media worker failed to %s", message.get("verb"))
            self._say({"ask": ask, "phase": "worker", "reason": f"the media worker failed: {type(exc).__name__}"})
        else:
            if ask is not None:
                self._say({"ask": ask, "result": result})

    async def _clip(self, name: str, codec: str = "opus", ptime_ms: int = 20) -> clips.Clip:
        """A clip, encoded once however many ask for it at the same time."""
        key = name, codec, ptime_ms
        if key not in self._clips:
            # in a thread: encoding takes some 10 ms per second of audio
            self._clips[key] = asyncio.create_task(asyncio.to_thread(clips.make, *key))
        try:
            # not to be cancelled with one of those who wait for it
            return await asyncio.shield(self._clips[key])
        except Exception as exc:
            # a file may be there the next time
            self._clips.pop(key, None)
            if isinstance(exc, MediaError):
                raise MediaError(str(exc), phase=exc.phase) from None
            raise

    async def _clip_of(self, message: Message) -> clips.Clip:
        """The clip of a peer that is to be made.

        Raises:
            MediaError: phase `media`; there is none, or the peer was closed meanwhile.
        """
        number = message["peer"]
        self._awaited.add(number)
        try:
            clip = await self._clip(message["clip"], message["codec"], message["ptime_ms"])
            if number not in self._awaited:
                raise MediaError("the peer was closed before it was made", phase="media")
        finally:
            self._awaited.discard(number)
        return clip

    async def _new_peer(self, message: Message, *, controlling: bool) -> Peer:
        peer = Peer(
            message["peer"],
            clip=await self._clip_of(message),
            fates=self._fates(message),
            controlling=controlling,
            addresses=ice.local_addresses(message["route_to"]),
            tap=self._tap(message),  # after all that may be refused: nobody forgets what never was
            allowed=self._allowed,
            certificate=self._certificate,
            pump=self._pump,
            on_change=self._changed,
        )
        self._keep(peer)
        return peer

    def _fates(self, message: Message) -> Fates | None:
        return impairment.fates(message["impair"], seed=message["peer"], ptime_ms=message["ptime_ms"])

    def _tap(self, message: Message) -> Tap | None:
        """Where a listener's packets go; None for who does not listen."""
        if not message["hear"]:
            return None
        listener = Listener(message["codec"])
        self._listening.add(message["peer"], listener)
        return listener.tap

    def _heard(self, number: int, heard: Heard) -> None:
        peer = self._peers.get(number)
        if peer is not None and peer.state is PeerState.CONNECTED and peer.receives and not self._backlog():
            self._say(row(number, heard))

    def _keep(self, peer: Carried) -> None:
        self._peers[peer.number] = peer
        self._telling[peer.number] = Telling(peer)

    def _peer(self, message: Message) -> Peer:
        peer = self._any(message)
        if not isinstance(peer, Peer):
            raise MediaError("a plain-RTP participant takes no SDP", phase="sdp")
        return peer

    def _any(self, message: Message) -> Carried:
        try:
            return self._peers[message["peer"]]
        except KeyError:
            raise MediaError("the media worker has no such peer: it was closed", phase="media") from None

    async def _offer(self, message: Message) -> str:
        return await (await self._new_peer(message, controlling=True)).offer()

    async def _answer(self, message: Message) -> str:
        peer = await self._new_peer(message, controlling=False)
        return await peer.answer(message["sdp"], message["timeout_s"])

    async def _accept(self, message: Message) -> None:
        await self._peer(message).accept(message["sdp"], message["timeout_s"])

    async def _connected(self, message: Message) -> None:
        await self._peer(message).connected()

    async def _open(self, message: Message) -> tuple[str, int, int]:
        peer = PlainPeer(
            message["peer"],
            clip=await self._clip_of(message),
            fates=self._fates(message),
            payload_type=sdp.CODECS[message["codec"]].payloadType,
            address=ice.local_addresses(message["route_to"])[0],
            tap=self._tap(message),
            allowed=self._allowed,
            pump=self._pump,
            on_change=self._changed,
        )
        self._keep(peer)
        return peer.open()

    async def _connect(self, message: Message) -> None:
        peer = self._any(message)
        if not isinstance(peer, PlainPeer):
            raise MediaError("a peer connection is connected by SDP", phase="sdp")
        peer.connect(message["ip"], message["port"], message["payload_type"])

    async def _sending(self, message: Message) -> None:
        self._any(message).set_sending(message["on"])

    async def _count(self, message: Message) -> tuple[int | None, int]:
        flow = self._any(message).flow
        return (None, 0) if flow is None else (flow.ssrc, flow.sent)

    async def _close(self, message: Message) -> None:
        peer = self._peers.get(message["peer"])
        if peer is None:
            # it could not be made, or will not be: no last numbers tell that it has ended
            self._awaited.discard(message["peer"])
            self._say({"say": "gone", "peer": message["peer"]})
            return
        await peer.close(silently=message["silently"])
        self._forget(peer)

    async def _stop(self, message: Message) -> None:
        self._ended.set()

    async def _goodbye(self) -> None:
        """Close all peers; whoever is not done in time goes without a word."""
        closing = [asyncio.create_task(peer.close()) for peer in self._peers.values()]
        if closing:
            await asyncio.wait(closing, timeout=GOODBYE_S)
        for peer in list(self._peers.values()):
            self._forget(peer)
        if self._writer is not None:
            try:
                async with asyncio.timeout(GOODBYE_S):
                    await self._writer.drain()
            except (TimeoutError, OSError):
                # the engine is gone, or does not read: nobody to tell
                pass

    def _forget(self, peer: Carried) -> None:
        """Tell the last numbers of a peer and drop it."""
        self._listening.remove(peer.number)
        if self._peers.pop(peer.number, None) is not None:
            self._say({"say": "media", "rows": [self._telling.pop(peer.number).row(time.monotonic_ns())]})

    def _changed(self, peer: Carried) -> None:
        told: Message = {"say": "state", "peer": peer.number, "state": peer.state}
        if peer.error is not None:
            told |= {"phase": peer.error.phase, "reason": str(peer.error)}
        self._say(told)

    def _tidy(self) -> None:
        """Collect garbage by hand: a full collection stops the pump for 25 to 50 ms at 600 peers.

        A peer leaves no cycles when it is closed, so what survives a look at what is new is not looked at again
        (`gc.freeze`); whatever an error may have left in cycles all the same waits until no peer is there to be late.
        """
        if self._peers:
            if gc.get_count()[0] > NEW_OBJECTS:
                gc.collect()
                gc.freeze()
            self._untidy = True
        elif self._untidy:
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            self._untidy = False

    async def _measure_lag(self) -> None:
        while True:
            due_ns = time.monotonic_ns() + int(LAG_PROBE_S * 1e9)
            await asyncio.sleep(LAG_PROBE_S)
            self._lag.add(time.monotonic_ns() - due_ns)

    async def _tell(self) -> None:
        """Send health and statistics once a second."""
        cpu_ns, since_ns = time.process_time_ns(), time.monotonic_ns()
        while True:
            await asyncio.sleep(STATISTICS_S)
            self._tidy()
            cpu, now = time.process_time_ns(), time.monotonic_ns()
            if self._backlog():
                continue
            self._say(
                {
                    "say": "health",
                    "t_ns": now,
                    "cpu_percent": round(100 * (cpu - cpu_ns) / (now - since_ns), 2),
                    "rss_bytes": self._memory.rss_bytes(),
                    "fds": descriptors.count(),
                    "lag_p99_ms": self._lag.take().p99_ms,
                    "pacing": self._pump.take_pacing(),
                    "tick": self._pump.tick,
                }
            )
            cpu_ns, since_ns = cpu, now
            telling = [number for number, peer in self._peers.items() if peer.state is not PeerState.NEW]
            for start in range(0, len(telling), messages.ROWS_PER_MESSAGE):
                self._tell_of(telling[start : start + messages.ROWS_PER_MESSAGE])
                await asyncio.sleep(0)

    def _tell_of(self, numbers: list[int]) -> None:
        """Send the statistics of peers, and what has happened to them."""
        now = time.monotonic_ns()
        told = [(number, self._telling[number]) for number in numbers if number in self._telling]
        self._say({"say": "media", "rows": [each.row(now) for _, each in told]})
        for number, each in told:
            if spoken_ns := each.spoken():
                self._say({"say": "spoken", "peer": number, "t_ns": spoken_ns})
            if event := each.event(now):
                self._say({"say": "event", "peer": number, "t_ns": now, "kind": event[0], "seconds": event[1]})


def main(argv: list[str] | None = None) -> int:
    """Run a worker until its engine goes; returns the exit code."""
    parser = argparse.ArgumentParser(prog="janusload.media.worker", description="A media worker; the engine starts it.")
    parser.add_argument("--fd", type=int, required=True, help="inherited end of the engine's socketpair")
    parser.add_argument("--number", type=int, required=True, help="number of this worker")
    parser.add_argument("--parent", type=int, required=True, help="process that this one is not to outlive")
    parser.add_argument("--public-targets", action="store_true", help="allow media to public addresses")
    parser.add_argument("--tick", choices=list(TickChoice), default=TickChoice.AUTO, help="what runs the RTP")
    options = parser.parse_args(argv)
    die_with_parent(options.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptors.raise_limit()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    sock = socket.socket(fileno=options.fd)
    try:
        worker = Worker(options.number, public_targets=options.public_targets, tick=options.tick)
    except MediaError as exc:
        sock.sendall(messages.encode({"say": "hello", "refused": str(exc)}))
        return 1
    # after the C tick may have been compiled, and before there are other threads: they inherit it
    real_time = take_real_time()
    return asyncio.run(worker.serve(sock, real_time=real_time))


if __name__ == "__main__":
    sys.exit(main())
