"""The C tick held against the Python one: same datagrams out, same numbers from what comes in."""

from __future__ import annotations

import dataclasses
import os
import random
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pylibsrtp
import pytest
from aiortc.rtp import RtpPacket
from hypothesis import given, settings
from hypothesis import strategies as st

from janusload.errors import MediaError
from janusload.media import clips, compiled, impairment, native, sounds
from janusload.media.compiled import NoNativeTick
from janusload.media.flow import PERIOD_NS, Flow
from janusload.media.messages import TickChoice
from janusload.media.native import NativeFlow, NativeTick
from janusload.media.pump import Pump
from janusload.media.quality import Lateness
from janusload.media.tick import PythonTick, Tick
from tests.media.flows import Far, flow_and_far

KINDS = (TickChoice.PYTHON, TickChoice.C)
KEYS = os.urandom(44), os.urandom(44)

#: what a flow counts, as records and reports have it
COUNTED = (
    *("sent", "sent_bytes", "octets", "used", "late", "received_bytes", "forged", "replayed", "strange"),
    *("overflowed", "send_errors", "receive_errors", "dropped", "timestamp", "sequence", "index", "wait", "second"),
    *("rtt_ms", "remote_lost_share"),
)
OF_RECEPTION = ("ssrc", "received", "lost", "highest", "jitter_ms", "sender_ntp", "sender_ns")


def a_tick(kind: str, lateness: Lateness) -> Tick[Any]:
    return NativeTick(1, lateness) if kind == TickChoice.C else PythonTick(1, lateness)


@contextmanager
def twins(fates: str = "", **options: Any) -> Iterator[list[tuple[Flow, Far, Tick[Any]]]]:
    """The same flow run by each tick."""
    with ExitStack() as stack:
        made = []
        for kind in KINDS:
            # each its own: they are gone through once
            played = {"fates": impairment.fates(fates, seed=1)} if fates else {}
            flow, far = stack.enter_context(flow_and_far(kind, keys=KEYS, **options, **played))
            flow.sequence, flow.timestamp, flow.index = 65_530, 0xFFFF_F000, 3
            tick = a_tick(kind, Lateness())
            tick.add(flow)
            stack.callback(tick.close)
            made.append((flow, far, tick))
        assert [type(flow) for flow, _, _ in made] == [Flow, NativeFlow]
        yield made


def counted(flow: Flow) -> dict[str, Any]:
    mine = {name: getattr(flow, name) for name in COUNTED}
    theirs = {name: getattr(flow.reception, name) for name in OF_RECEPTION}
    return mine | theirs | {"block": flow.reception.report_block(10**18)}


def assert_alike(made: list[tuple[Flow, Far, Tick[Any]]]) -> None:
    python, c = (counted(flow) for flow, _, _ in made)
    assert c == python


@pytest.mark.parametrize("ptime_ms", [20, 60])
@pytest.mark.parametrize("level_id", [None, 5])
def test_the_same_datagrams_leave(ptime_ms: int, level_id: int | None) -> None:
    clip = clips.encode_opus("x", sounds.speech(1), ptime_ms=ptime_ms)
    with twins(clip=clip, audio_level_id=level_id, payload_type=100) as made:
        for flow, _, tick in made:
            # across the wrap of sequence numbers and timestamps, with a pause and with time that was missed
            for step in range(40):
                if step in (10, 20):
                    flow.begin_talkspurt()
                    flow.sending = step == 20
                if step == 30:
                    tick.skip(0, 7)
                tick.send(0, time.monotonic_ns())
        python, c = (far.received() for _, far, _ in made)
        assert len(python) >= 9
        assert c == python
        assert_alike(made)


def test_the_same_is_counted_when_it_is_late() -> None:
    with twins() as made:
        for _, _, tick in made:
            for late_ms in (0, 3, 7, 50, 200):
                tick.send(0, time.monotonic_ns() - late_ms * 1_000_000)
            tick.skip(0, 3)
        assert_alike(made)
        assert made[0][0].late == 6
        lateness = []
        for _, _, tick in made:
            tick.collect()
            tick.collect()
            lateness.append(tick._lateness._counts)  # type: ignore[attr-defined]
        python, c = (sum(counts[step] for step in range(20, 1001)) for counts in lateness)
        assert c == python == 7
        assert sum(lateness[0]) == sum(lateness[1]) == 8


def datagrams(source: random.Random, count: int) -> Iterator[bytes]:
    """What may come: mostly a stream, with losses, duplicates, disorder, jumps, new sources, RTCP, STUN and garbage."""
    ssrc, sequence, timestamp = 7, source.getrandbits(16), source.getrandbits(32)
    for _ in range(count):
        match source.choices(range(8), (70, 5, 5, 4, 2, 4, 4, 6))[0]:
            case 1:
                sequence += source.randrange(1, 200)
            case 2:
                sequence -= source.randrange(1, 300)
            case 3:
                sequence += source.randrange(2_000, 40_000)
            case 4:
                ssrc += 1
            case 5:
                yield struct.pack("!BBHIIIII", 0x80, 200, 6, ssrc, source.getrandbits(32), 0, 0, 0) + bytes(4)
                continue
            case 6:
                yield bytes(source.getrandbits(8) for _ in range(source.randrange(60)))
                continue
            case 7:
                yield struct.pack("!BBHIIIIIII", 0x81, 201, 7, 9, 0x1234, 1 << 24, 5, 3, source.getrandbits(32), 1)
                continue
        sequence, timestamp = (sequence + 1) & 0xFFFF, (timestamp + source.choice((960, 960, 1920))) & 0xFFFFFFFF
        yield struct.pack("!BBHII", 0x80, 111, sequence, timestamp, ssrc) + b"payload"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_same_is_made_of_what_comes(seed: int) -> None:
    with twins(ssrc=0x1234) as made:
        source = random.Random(seed)
        arrived_ns = 1_700_000_000_000_000_000
        far = made[0][1]
        for plain in datagrams(source, 120):
            arrived_ns += source.randrange(40_000_000)
            if not plain or not 128 <= plain[0] < 192:
                # what is no RTP and no RTCP comes through the sockets only
                continue
            try:
                rtcp = len(plain) >= 12 and 192 <= plain[1] <= 223
                secured = bytearray(far.tx.protect_rtcp(plain) if rtcp else far.tx.protect(plain))
            except pylibsrtp.Error:
                # garbage, or older than libsrtp sends
                secured = bytearray(plain)
            if len(secured) > 1 and source.random() < 0.05:
                secured[source.randrange(1, len(secured))] ^= 1 << source.randrange(8)
            for _ in range(2 if source.random() < 0.05 else 1):
                for flow, _, tick in made:
                    flow.used = 10
                    tick.take(flow, bytes(secured), arrived_ns)
            assert_alike(made)


def test_the_same_is_read_from_the_sockets() -> None:
    with twins() as made:
        for _, far, tick in made:
            mine = random.Random(5)
            for round_ in range(6):
                for sequence in range(50):
                    header = struct.pack("!BBHII", 0x80, 111, round_ * 50 + sequence, sequence * 960, 7)
                    far.sock.send(mine.choice((far.tx.protect(header + b"x"), b"", b"\xff", b"\0stun")))
                tick.drain(0, time.monotonic_ns() + 10**10)
        for flow, _, _ in made:
            assert flow.reception.received > 30
        python, c = ({**counted(flow), "jitter_ms": 0, "block": 0} for flow, _, _ in made)
        assert c == python


def test_more_than_there_is_room_for_is_read_in_turns() -> None:
    with flow_and_far(TickChoice.C) as (flow, far), flow_and_far(TickChoice.C) as (other, other_far):
        tick = NativeTick(1, Lateness())
        tick.add(flow)
        tick.add(other)
        for _ in range(200):
            far.sock.send(b"\0flood")
        other_far.sock.send(b"\0one")
        tick.drain(0, time.monotonic_ns() + 10**10)
        assert flow.handed_back + flow.overflowed == 200
        assert other.handed_back == 1
        # with no time left, what is there stays in the kernel
        for _ in range(200):
            far.sock.send(b"\0flood")
        tick.drain(0, 0)
        assert flow.handed_back + flow.overflowed < 400
        tick.drain(0, time.monotonic_ns() + 10**10)
        assert flow.handed_back + flow.overflowed == 400


def test_where_time_is_short_python_reads_a_few_at_a_time_but_no_less_than_what_comes() -> None:
    with ExitStack() as stack:
        tick = PythonTick(2, Lateness())
        made = [stack.enter_context(flow_and_far()) for _ in range(60)]
        for flow, _ in made:
            flow.slot = 1
            tick.add(flow)
        stack.callback(tick.close)

        def read() -> int:
            return sum(flow.handed_back + flow.overflowed for flow, _ in made)

        for period in range(1, 41):
            for _, far in made:
                far.sock.send(b"\0one")
            before = read()
            tick.drain(1, 0)
            if period == 1:
                assert read() == 32
            assert read() - before <= 96
            # what waits is that of a period, and what comes meanwhile
            assert 60 * period - read() <= 120
        assert all(flow.handed_back for flow, _ in made)
        tick.drain(0, time.monotonic_ns() + 10**10)
        assert read() == 2400


@pytest.mark.parametrize("kind", KINDS)
def test_many_at_once_keep_their_own(kind: str) -> None:
    """More flows than the Python tick takes together, each with keys and a clip of its own."""
    with ExitStack() as stack:
        tick = a_tick(kind, Lateness())
        stack.callback(tick.close)
        made = []
        for number in range(70):
            payload = bytes([number]) * (10 * number + 1)
            clip = dataclasses.replace(clips.make("silence"), packets=(payload,), levels=(127,))
            flow, far = stack.enter_context(flow_and_far(kind, clip=clip, ssrc=number))
            tick.add(flow)
            made.append((flow, far, payload))
        for _ in range(2):
            tick.send(0, time.monotonic_ns())
        for number, (flow, far, payload) in enumerate(made):
            packets = [RtpPacket.parse(far.rx.unprotect(each)) for each in far.received()]
            assert [(packet.ssrc, packet.payload) for packet in packets] == [(number, payload)] * 2
            assert (flow.sent, flow.octets) == (2, 2 * len(payload))
            for sequence in range(2):
                header = struct.pack("!BBHII", 0x80, 111, sequence, 960 * sequence, number)
                far.sock.send(far.tx.protect(header + payload))
        tick.drain(0, time.monotonic_ns() + 10**10)
        for number, (flow, _, payload) in enumerate(made):
            assert (flow.reception.ssrc, flow.reception.received, flow.reception.lost) == (number, 2, 0)
            assert (flow.received_bytes, flow.dropped) == (2 * (12 + len(payload) + 16), 0)


def test_it_runs_by_itself_until_it_is_time() -> None:
    with flow_and_far(TickChoice.C) as (flow, far), flow_and_far(TickChoice.C) as (other, other_far):
        tick = NativeTick(4, Lateness())
        other.slot = 2
        tick.add(flow)
        tick.add(other)
        now = time.monotonic_ns()
        due = [now + index * PERIOD_NS // 4 for index in range(4)]
        far.sock.send(b"\0stun")
        tick.run(due, now + 3 * PERIOD_NS - 1)
        assert time.monotonic_ns() >= now + 2 * PERIOD_NS
        assert flow.used == other.used == len(far.received()) == len(other_far.received())
        assert 1 <= flow.used <= 3
        # on the same beat, and slots without flows stay where they were
        assert due[0] > now and (due[0] - now) % PERIOD_NS == 0 and due[1] == now + PERIOD_NS // 4
        assert flow.handed_back == 1
        # nothing is due before then: it does not wait for it
        before = time.monotonic_ns()
        tick.run(due, before)
        assert time.monotonic_ns() < before + PERIOD_NS * 10 and flow.handed_back == 1


def test_it_comes_back_when_it_is_wanted() -> None:
    with flow_and_far(TickChoice.C) as (flow, _):
        tick = NativeTick(1, Lateness())
        tick.add(flow)
        began = time.monotonic_ns()
        waker = threading.Timer(0.1, tick.interrupt)
        waker.start()
        tick.run([began], began + 10**10)
        assert 0.1e9 <= time.monotonic_ns() - began < 5e9
        waker.join()
        # once: the next time it runs again
        used = flow.used
        tick.run([time.monotonic_ns()], time.monotonic_ns() + PERIOD_NS)
        assert flow.used > used


def test_time_that_was_missed_while_it_ran_by_itself_is_not_sent_in_a_burst() -> None:
    with flow_and_far(TickChoice.C) as (flow, far):
        tick = NativeTick(1, Lateness())
        tick.add(flow)
        before, timestamp = time.monotonic_ns(), flow.timestamp
        tick.run([before - 10 * PERIOD_NS], before)
        passed = 11 + (time.monotonic_ns() - before) // PERIOD_NS
        assert len(far.received()) == flow.sent == flow.used == 1
        # the ten that were missed, and the one that left, if it was late
        assert 10 <= flow.late <= passed
        assert (flow.timestamp - timestamp) & 0xFFFFFFFF in (960 * flow.late, 960 * (flow.late + 1))


def test_a_flood_at_one_does_not_keep_it_from_the_others() -> None:
    with flow_and_far(TickChoice.C) as (flow, far), flow_and_far(TickChoice.C) as (other, other_far):
        tick = NativeTick(1, Lateness())
        tick.add(flow)
        tick.add(other)
        due = [time.monotonic_ns()]
        for _ in range(3):
            for _ in range(100):
                far.sock.send(b"\0flood")
            other_far.sock.send(b"\0one")
            for _ in range(4):
                tick.run(due, time.monotonic_ns() + PERIOD_NS)
        assert flow.handed_back + flow.overflowed == 300
        assert other.handed_back == 3


@pytest.mark.parametrize(
    "wanted", ["every:3", "loss=random:0.2,duplicate=every:4", "loss=bursts:0.3:5,duplicate=random:0.5"]
)
def test_the_same_are_lost_and_doubled(wanted: str) -> None:
    with twins(fates=wanted, clip=clips.make("speech")) as made:
        for flow, far, tick in made:
            far.found = []  # type: ignore[attr-defined]
            # some turns of what C is told ahead of time
            for step in range(700):
                flow.sending = step % 50 != 49
                tick.send(0, time.monotonic_ns())
                far.found += far.received()  # type: ignore[attr-defined]
        python, c = (far.found for _, far, _ in made)  # type: ignore[attr-defined]
        assert c == python
        assert 300 < len(c) != made[0][0].used
        for flow, _, _ in made:
            # how busy this machine is
            flow.late = 0
        assert_alike(made)


def test_flows_that_c_cannot_run_are_pythons() -> None:
    pumping = Pump(TickChoice.C)
    assert (pumping.tick, pumping.without_c) == ("c", "")
    with (
        flow_and_far(TickChoice.C, fates=impairment.fates("loss=every:2,delay=1", seed=1)) as (lossy, far),
        flow_and_far(TickChoice.C) as (easy, _),
    ):
        assert type(lossy) is Flow
        pumping._add(lossy, [])
        pumping._add(easy, [])
        for _ in range(4):
            pumping._due[0] = time.monotonic_ns()
            pumping._send(0)
        assert (lossy.used, easy.sent) == (4, 4)
        assert far.received() == []
        time.sleep(0.002)
        pumping._held.release(pumping._flows)
        assert (lossy.sent, len(far.received())) == (2, 2)
        pumping.stop()


def test_without_a_compiler_python_does_the_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(native, "library", native.library.__wrapped__)
    pumping = Pump()
    assert pumping.tick == "python" and "no C compiler" in pumping.without_c
    assert Pump(TickChoice.PYTHON).without_c == ""
    with pytest.raises(MediaError, match="no C compiler") as caught:
        Pump(TickChoice.C)
    assert caught.value.phase == "worker"


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing compiled yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "janusload"


def test_it_is_compiled_once_and_kept(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    native.library.__wrapped__()
    (kept,) = anew.iterdir()
    monkeypatch.setenv("PATH", "")
    native.library.__wrapped__()
    # written by others: not run
    kept.chmod(0o777)
    with pytest.raises(NoNativeTick, match="no C compiler"):
        native.library.__wrapped__()


def test_a_cache_that_cannot_be_written_is_done_without(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    anew.write_text("a file where the folder should be")
    assert native.library.__wrapped__().tick_send
    anew.unlink()
    anew.mkdir(mode=0o777)
    anew.chmod(0o777)
    assert native.library.__wrapped__().tick_send
    assert list(anew.iterdir()) == []


def test_what_does_not_compile_load_or_fit_is_told(anew: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = tmp_path / "tick.c"
    monkeypatch.setattr(compiled, "SOURCE", source)
    with pytest.raises(NoNativeTick, match="not installed"):
        native.library.__wrapped__()
    source.write_text("no C")
    with pytest.raises(NoNativeTick, match=r"does not compile: .*error"):
        native.library.__wrapped__()
    assert list(anew.iterdir()) == []
    true = Path(native.__file__).with_name("tick.c").read_text()
    source.write_text(true.replace("uint32_t is_rtcp, size;", "uint64_t is_rtcp, size;"))
    with pytest.raises(NoNativeTick, match="not laid out"):
        native.library.__wrapped__()
    monkeypatch.setattr(compiled, "_compile", lambda path: path.write_text("no library"))
    source.write_text("// other")
    with pytest.raises(NoNativeTick, match="cannot be loaded"):
        native.library.__wrapped__()


def test_time_that_was_missed_moves_both_on() -> None:
    with twins() as made:
        for _, _, tick in made:
            tick.skip(0, 5)
        assert {flow.late for flow, _, _ in made} == {5}
        assert PERIOD_NS == 20_000_000
        assert_alike(made)
