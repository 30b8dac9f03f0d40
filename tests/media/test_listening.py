"""Listening end to end: right about who is muted, and right about a delay that is known."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable

import pytest

from janusload.lab import Lab
from janusload.media import listening
from janusload.media.engine import Engine
from janusload.media.hearing import Heard as Look
from janusload.media.hearing import Listener, Recording
from janusload.media.listening import Listening
from janusload.media.participants import Peer
from janusload.records import HeardRecord
from tests.media.conftest import Heard, call, until
from tests.media.echotest import EchoTest, echotest


def told(heard: Heard, listener: str, talker: str) -> list[HeardRecord]:
    return [
        each
        for each in heard.records
        if isinstance(each, HeardRecord) and (each.peer, each.talker) == (listener, talker)
    ]


def delays_ms(heard: Heard, listener: str, talker: str) -> list[float]:
    return [each.delay_ms for each in told(heard, listener, talker) if each.delay_ms is not None]


def test_a_delay_put_into_a_sender_is_what_the_measurement_shifts_by(engine: Engine, heard: Heard) -> None:
    """Without a mixer: a packet, libopus's look-ahead, and what was put in."""
    peers: list[Peer] = []
    try:
        for name, held in (("straight", ""), ("late", "delay=250"), ("very-late", "delay=2700")):
            chirper = engine.peer(f"{name}-mouth", clip="chirp", mix=name, impair=held, route_to="127.0.0.1")
            ear = engine.peer(f"{name}-ear", clip="silence", mix=name, hear=True, route_to="127.0.0.1")
            call(chirper, ear)
            peers += [chirper, ear]
        until(lambda: delays_ms(heard, "straight-ear", "straight-mouth"), 25)
        until(lambda: delays_ms(heard, "late-ear", "late-mouth"), 25)
        until(lambda: delays_ms(heard, "very-late-ear", "very-late-mouth"), 25)
    finally:
        for peer in peers:
            peer.close()
    straight, late, very_late = (
        statistics.median(delays_ms(heard, f"{each}-ear", f"{each}-mouth"))
        for each in ("straight", "late", "very-late")
    )
    # a busy machine sends late, by some ms; never early
    assert 26 < straight < 60
    assert late - straight == pytest.approx(250, abs=30)
    # longer than from one chirp to the next
    assert very_late - straight == pytest.approx(2700, abs=30)


def join(janus: EchoTest, room: int, peer: Peer) -> int:
    handle = janus.attach("audiobridge")
    answer = janus.ask(handle, peer.offer(), request="join", room=room, display=peer.name)
    peer.accept(answer["jsep"])
    return handle


@pytest.mark.lab
def test_the_mix_has_everybody_but_the_muted(lab: Lab, engine: Engine, heard: Heard) -> None:
    with echotest(lab.url) as janus:
        keeper = janus.attach("audiobridge")
        janus.ask(keeper, request="create", room=4202, sampling_rate=48000)
        handles: dict[str, int] = {}
        peers: dict[str, Peer] = {}
        for name, clip in (("anna", "tone"), ("bert", "tone"), ("carl", "chirp"), ("dora", "silence")):
            peers[name] = engine.peer(name, clip=clip, mix="4202", hear=name == "dora", route_to=lab.address)
            handles[name] = join(janus, 4202, peers[name])
        until(lambda: told(heard, "dora", "carl") and told(heard, "dora", "bert"), 25)
        first = {name: told(heard, "dora", name)[0] for name in ("anna", "bert", "carl")}
        assert all(each.expected and each.heard for each in first.values())
        # as loud as they were said: -25 dBov
        assert first["anna"].level_dbov == pytest.approx(-25, abs=2)
        assert first["bert"].level_dbov == pytest.approx(-25, abs=2)
        assert first["anna"].frequency_hz != first["bert"].frequency_hz
        # six packets wait in 1.1.2's queue, and one is mixed at a time
        assert 60 < delays_ms(heard, "dora", "carl")[0] < 1000
        janus.ask(handles["anna"], request="configure", muted=True)
        peers["anna"].muted = True
        seen = len(told(heard, "dora", "anna")), len(told(heard, "dora", "bert"))
        until(lambda: len(told(heard, "dora", "bert")) > seen[1] + 1, 25)
        # not heard while muted, and not missed either; bert goes on
        assert not [each for each in told(heard, "dora", "anna")[seen[0] :] if each.heard]
        assert told(heard, "dora", "bert")[-1].heard
        for peer in peers.values():
            peer.close()
        janus.ask(keeper, request="destroy", room=4202)


def test_all_are_listened_to_by_turns_and_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "WINDOW_S", 0.01)
    monkeypatch.setattr(listening, "_SETTLE_S", 0.0)
    monkeypatch.setattr(listening, "EVERY_S", 0.02)
    # one look fits into the budget of a round
    monkeypatch.setattr(listening, "_FIRST_GUESS_S", 0.001)
    looked: list[int] = []

    async def listen(enough: Callable[[], bool]) -> None:
        all_of_them = Listening(lambda number, heard: looked.append(number))
        for number in range(3):
            all_of_them.add(number, Listener("opus"))
        running = asyncio.create_task(all_of_them.run())
        async with asyncio.timeout(10):
            while not enough():
                await asyncio.sleep(0.005)
        all_of_them.remove(1)
        all_of_them.remove(1)
        looked.clear()
        async with asyncio.timeout(10):
            while len(looked) < 6:
                await asyncio.sleep(0.005)
        running.cancel()

    asyncio.run(listen(lambda: looked[:6] == [0, 1, 2, 0, 1, 2]))
    assert set(looked[1:]) == {0, 2}


def test_what_cannot_be_looked_at_is_told_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    nonsense = Recording("opus", 5, 9, 0, [(b"too short for RTP", 1), (b"x", 2)])
    heard, cpu_s = listening._look(nonsense)
    assert heard == Look(5, 9, [], [], 0) and cpu_s >= 0
    assert "could not be looked at" in caplog.text


def test_what_is_told_of_a_look_is_plain_data() -> None:
    row = listening.row(3, Look(1, 2, [(400, -25.0)], [(17, True)], 100))
    assert row == {
        "say": "heard",
        "peer": 3,
        "from_ns": 1,
        "until_ns": 2,
        "tones": [(400, -25.0)],
        "chirps": [(17, True)],
        "packets": 100,
    }


def test_the_sample_of_listeners_leaves_the_chirper_out() -> None:
    engine = Engine(hear_share=0.2)
    names = ("chirp", "tone", "tone", "tone", "chirp", "tone", "tone", "tone")
    makings = [engine._making(clip, "opus", 20, "", "room", None, None) for clip in names]
    # of six others a fifth: the first, and the sixth
    assert [making["hear"] for making in makings] == [False, True, False, False, False, False, False, True]
    assert engine._making("chirp", "opus", 20, "", "room", True, None)["hear"]
