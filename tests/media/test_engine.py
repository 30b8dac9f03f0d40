from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gevent
import pytest

from janusload.errors import MediaError, WorkerLost
from janusload.lab import Lab
from janusload.media.engine import Engine
from janusload.media.participants import Peer
from janusload.media.process import take_real_time
from janusload.records import HealthRecord
from tests.media.conftest import Heard, call, until
from tests.media.echotest import echotest


@pytest.mark.lab
def test_audio_flows_both_ways_with_a_real_janus(each_lab: Lab, engine: Engine, heard: Heard) -> None:
    name = f"talker-{each_lab.facts()['janus']}"
    with echotest(each_lab.url) as janus:
        handle = janus.attach()
        with engine.peer(name, route_to=each_lab.address) as peer:
            peer.accept(janus.call(handle, peer.offer()))
            assert peer.state == "connected"
            janus.wait_for("webrtcup", handle)
            assert janus.wait_for("media", handle)["receiving"] is True
            until(lambda: peer.record and peer.record.received > 100 and peer.record.rtt_ms is not None)
        # first this: the signalling here blocks, and with it the greenlet that asks the worker to close
        assert peer.ended.wait(2)
        assert janus.wait_for("hangup", handle)["reason"] == "DTLS alert"
    last = heard.media(name)[-1]
    assert last.state == "closed"
    assert last.lost == 0
    assert 0 <= last.sent - last.received <= 10
    assert last.rtt_ms is not None and last.rtt_ms < 100
    assert last.remote_lost_share == 0
    assert last.setup_ms is not None and 0 < last.setup_ms < 5000
    assert last.jitter_ms is not None and last.jitter_ms < 20
    assert last.first_packet_ms is not None and last.ice_ms is not None and last.dtls_ms is not None
    assert max(each.mos or 0 for each in heard.media(name)) > 4.2
    assert max(each.mos_sent or 0 for each in heard.media(name)) > 4.2
    health = heard.health()
    assert health and all(each.process == "media-0" and each.rss_bytes > 1e7 and each.fds > 3 for each in health)


@pytest.mark.lab
def test_ten_at_once(lab: Lab, engine: Engine, heard: Heard) -> None:
    with echotest(lab.url) as janus:
        peers = [engine.peer(f"p{index}", route_to=lab.address) for index in range(10)]
        for peer in peers:
            peer.accept(janus.call(janus.attach(), peer.offer()))
        until(lambda: all(peer.record and peer.record.received > 50 for peer in peers))
        for peer in peers:
            peer.close()
        gevent.joinall([gevent.spawn(peer.ended.wait, 2) for peer in peers])
        assert {peer.state for peer in peers} == {"closed"}
    assert all(heard.media(peer.name)[-1].lost == 0 for peer in peers)


@pytest.mark.lab
def test_loss_that_we_make_is_the_loss_that_janus_reports(lab: Lab, engine: Engine) -> None:
    with echotest(lab.url) as janus, engine.peer("lossy", loss="every:4", route_to=lab.address) as peer:
        peer.accept(janus.call(janus.attach(), peer.offer()))
        until(lambda: peer.record and peer.record.sent > 150 and peer.record.remote_lost_share)
        assert peer.record is not None
        assert peer.record.remote_lost_share == pytest.approx(0.25, abs=0.04)
        # the echo has the gaps that we made
        assert peer.record.lost == pytest.approx(peer.record.sent / 3, abs=5)
        # both directions had the loss, and each is scored by who heard it
        until(lambda: peer.record and peer.record.mos_sent is not None)
        assert peer.record.mos_sent is not None and 1 < peer.record.mos_sent < 2.6
        assert peer.record.mos is not None and 1 < peer.record.mos < 2.6


def test_two_peers_of_ours_and_a_loss_that_is_reported_exactly(engine: Engine, heard: Heard) -> None:
    with (
        engine.peer("lossy", loss="every:4", route_to="127.0.0.1") as lossy,
        engine.peer("whole", clip="tone", route_to="127.0.0.1") as whole,
    ):
        assert (lossy.state, whole.state) == ("new", "new")
        offer = lossy.offer()
        # silent until both are up: on a busy machine more can come before that than is kept
        lossy.pause()
        answer = whole.answer(offer)
        whole.pause()
        lossy.accept(answer)
        whole.connected()
        assert (lossy.state, whole.state) == ("connected", "connected")
        lossy.resume()
        whole.resume()
        until(lambda: whole.record and whole.record.rtt_ms is not None and whole.record.received > 60)
        lossy.pause()
        whole.pause()
        until(lambda: settled(lossy, whole))
    assert lossy.ended.wait(2) and whole.ended.wait(2)
    sent, received = heard.media("lossy")[-1], heard.media("whole")[-1]
    assert received.received == sent.sent
    # of four packets the last is withheld: one for each three before the last that left
    assert received.lost == (sent.sent - 1) // 3
    assert sent.lost == 0
    assert sent.received == received.sent
    assert sent.remote_lost_share == pytest.approx(0.25, abs=0.05)
    assert received.rtt_ms is not None and received.rtt_ms < 50
    assert received.jitter_ms is not None and received.jitter_ms < 20
    assert (sent.state, received.state) == ("closed", "closed")


def test_silence_where_audio_was_due_is_told_at_once(engine: Engine, heard: Heard) -> None:
    with engine.peer("mute", route_to="127.0.0.1") as mute, engine.peer("waiting", route_to="127.0.0.1") as waiting:
        call(mute, waiting)
        until(lambda: waiting.record and waiting.record.mos is not None)
        mute.pause()
        until(lambda: waiting.silent)
        mute.resume()
        until(lambda: not waiting.silent)
        assert waiting.state == "connected"
        assert waiting.record is not None and waiting.record.first_packet_ms is not None
        # the handshake's end is known here before the far end's first packet can come
        assert waiting.record.setup_ms == pytest.approx((waiting.record.ice_ms or 0) + (waiting.record.dtls_ms or 0))
    assert [(each.kind, each.worker) for each in heard.events("waiting")] == [("no_media", 0), ("media_again", 0)]
    away, again = heard.events("waiting")
    assert away.seconds is not None and 2 <= away.seconds < 4
    assert again.seconds is not None and again.seconds > away.seconds
    # who was asked to be silent is owed nothing
    assert not heard.events("mute")


def settled(one: Peer, other: Peer) -> bool:
    assert one.record is not None and other.record is not None
    return one.record.sent == other.record.received and other.record.sent == one.record.received


def test_a_paused_peer_sends_nothing_and_goes_on(engine: Engine) -> None:
    with engine.peer("a", route_to="127.0.0.1") as a, engine.peer("b", route_to="127.0.0.1") as b:
        call(a, b)
        a.pause()
        a.resume()
        until(lambda: b.record and b.record.received > 20)


def test_peers_open_and_close_without_growth(engine: Engine, heard: Heard) -> None:
    def pair(number: int) -> list[Peer]:
        peers = [engine.peer(f"{number}-{side}", clip="silence", route_to="127.0.0.1") for side in "ab"]
        call(*peers)
        return peers

    def rounds(count: int) -> HealthRecord:
        for _ in range(count):
            pairs = [gevent.spawn(pair, number) for number in range(40)]
            gevent.joinall(pairs, raise_error=True)
            peers = [peer for each in pairs for peer in each.value]
            assert {peer.state for peer in peers} == {"connected"}
            for peer in peers:
                peer.close()
            until(lambda peers=peers: all(peer.ended.is_set() for peer in peers))
        # the next but one: it has looked at itself after the last peer had gone
        seen = len(heard.health())
        until(lambda: len(heard.health()) > seen + 1)
        return heard.health()[-1]

    until(heard.health)
    before = heard.health()[-1]
    first = rounds(3)
    last = rounds(3)
    assert last.fds <= before.fds
    # 240 peers more, of 0.15 MB each while they live: a fifth of that is left to the allocator, whose high-water mark
    # goes on rising for some 2,000 peers and then stays
    assert last.rss_bytes - first.rss_bytes < 240 * 30_000
    assert not engine._carriers[0].peers


def caught_by(call: Callable[[], object]) -> BaseException | None:
    try:
        call()
    except MediaError as exc:
        return exc
    return None


def test_a_killed_worker_is_noticed_at_once_and_the_others_go_on() -> None:
    heard = Heard()
    engine = Engine(workers=2, on_record=heard.records.append, on_lost=lambda *lost: heard.lost.append(lost))
    engine.start()
    try:
        peers = [engine.peer(f"p{index}", route_to="127.0.0.1") for index in range(4)]
        assert [peer.worker for peer in peers] == [0, 1, 0, 1]
        call(peers[0], peers[2])
        call(peers[1], peers[3])
        until(lambda: all(peer.record for peer in peers))
        waiting = gevent.spawn(caught_by, engine.peer("late", route_to="127.0.0.1").connected)
        killed = time.monotonic()
        os.kill(engine.pids[0], signal.SIGKILL)
        assert peers[0].ended.wait(2) and peers[2].ended.wait(2)
        assert time.monotonic() - killed < 1
        assert isinstance(peers[0].error, WorkerLost) and "SIGKILL" in str(peers[0].error)
        assert peers[0].state == "failed"
        until(lambda: heard.lost)
        assert heard.lost == [(0, "killed by SIGKILL")]
        assert heard.media("p0")[-1].state == "failed"
        assert isinstance(waiting.get(timeout=5), WorkerLost)
        with pytest.raises(WorkerLost):
            peers[0].pause()
        with pytest.raises(WorkerLost):
            peers[0].accept({"type": "answer", "sdp": ""})
        peers[0].close()
        sent = peers[1].record.sent if peers[1].record else 0
        until(lambda: peers[1].record and peers[1].record.sent > sent)
        assert peers[1].state == "connected"
        assert engine.peer("next").worker == 1
        os.kill(engine.pids[0], signal.SIGKILL)
        until(lambda: len(heard.lost) == 2)
        with pytest.raises(WorkerLost, match="no media worker is running"):
            engine.peer("none")
    finally:
        engine.stop()
    assert len(heard.lost) == 2


@pytest.mark.parametrize("tick", ["python", "c"])
def test_the_tick_is_chosen_at_the_start_and_named(tick: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JANUSLOAD_TICK", tick)
    heard = Heard()
    engine = Engine(on_record=heard.records.append)
    engine.start()
    try:
        assert engine.ticks == [tick]
        # it goes first where it may: its loop and its pump (numpy's threads were there before)
        threads = [int(path.name) for path in Path(f"/proc/{engine.pids[0]}/task").iterdir()]
        first = [each for each in threads if os.sched_getscheduler(each) == os.SCHED_RR]
        assert len(first) >= 2 if engine.real_time == [True] else not first
        with ThreadPoolExecutor(1) as thread:  # as far as this process may itself
            assert engine.real_time == [thread.submit(take_real_time).result()]
        with engine.peer("a", route_to="127.0.0.1") as a, engine.peer("b", route_to="127.0.0.1") as b:
            call(a, b)
            until(lambda: a.record and a.record.received > 20 and heard.health())
        assert heard.health()[-1].tick == tick
    finally:
        engine.stop()


def test_a_tick_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no tick 'fast'; known are auto, python, c"):
        Engine(tick="fast")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    engine = Engine(tick="c")
    with pytest.raises(MediaError, match="no C tick: there is no C compiler") as caught:
        engine.start()
    assert caught.value.phase == "worker"
    assert engine.pids == []


def test_a_worker_that_hangs_is_killed_at_the_end() -> None:
    engine = Engine()
    engine.start()
    pid = engine.pids[0]
    peer = engine.peer("stuck", route_to="127.0.0.1")
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(MediaError, match=r"did not offer within 0\.2 s") as caught:
        peer.offer(timeout_s=0.2)
    assert caught.value.phase == "worker"
    peer.close()
    engine.stop(timeout_s=0.3)
    assert not os.path.exists(f"/proc/{pid}")
    assert peer.ended.is_set()
    engine.stop()
    with pytest.raises(WorkerLost):
        engine.peer("none")


def test_somebody_elses_timeout_goes_through(engine: Engine) -> None:
    with engine.peer("impatient", route_to="127.0.0.1") as peer:
        os.kill(engine.pids[0], signal.SIGSTOP)
        try:
            with pytest.raises(gevent.Timeout), gevent.Timeout(0.2):
                peer.offer(timeout_s=5)
        finally:
            os.kill(engine.pids[0], signal.SIGCONT)


def test_a_worker_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONSTARTUP", "")
    monkeypatch.setattr("janusload.media.launch.sys.executable", "/bin/false")
    engine = Engine()
    with pytest.raises(WorkerLost, match="exit status 1"):
        engine.start()
    assert engine.pids == []


def test_a_receiver_that_fails_does_not_end_the_engine(caplog: pytest.LogCaptureFixture) -> None:
    def fail(record: object) -> None:
        raise ZeroDivisionError

    engine = Engine(on_record=fail)
    engine.start()
    with engine.peer("a", route_to="127.0.0.1") as peer:
        until(lambda: "receiver of media records failed" in caplog.text)
        assert "m=audio" in peer.offer()["sdp"]
    engine.stop()


@pytest.mark.parametrize(
    ("jsep", "phase"),
    [
        ({"type": "offer", "sdp": "v=0"}, "sdp"),
        ({"type": "answer"}, "sdp"),
        ({"type": "answer", "sdp": "v=0\r\n"}, "sdp"),
        ({"type": "answer", "sdp": "\0garbage"}, "sdp"),
    ],
)
def test_a_bad_answer_is_refused(engine: Engine, jsep: dict[str, Any], phase: str) -> None:
    with engine.peer("p", route_to="127.0.0.1") as peer:
        peer.offer()
        with pytest.raises(MediaError) as caught:
            peer.accept(jsep)
        assert caught.value.phase == phase


def test_what_is_out_of_order_is_refused(engine: Engine) -> None:
    peer = engine.peer("p", route_to="127.0.0.1")
    offer = peer.offer()
    assert offer["type"] == "offer" and offer["trickle"] is False
    with pytest.raises(MediaError, match="described already"):
        peer.offer()
    peer.close()
    peer.close()
    with pytest.raises(MediaError, match="is closed"):
        peer.accept({"type": "answer", "sdp": offer["sdp"]})
    unused = engine.peer("unused")
    unused.close()
    assert unused.ended.is_set() and unused.state == "closed"


def test_an_unknown_clip_is_refused(engine: Engine) -> None:
    with engine.peer("p", clip="song") as peer, pytest.raises(MediaError, match="no clip") as caught:
        peer.offer()
    assert caught.value.phase == "media"
    assert peer.ended.wait(2) and peer.state == "closed"


def test_whatever_could_not_be_made_is_forgotten_all_the_same(engine: Engine) -> None:
    with engine.peer("p", route_to="127.0.0.1") as peer, pytest.raises(MediaError, match="a jsep offer"):
        peer.answer({})
    assert peer.ended.is_set()
    for made_wrong in ({"impair": "always"}, {"route_to": "nowhere"}, {"clip": "file:/nowhere"}):
        with engine.peer("p", **made_wrong) as peer, pytest.raises(MediaError):  # type: ignore[arg-type]
            peer.offer()
        assert peer.ended.wait(2) and peer.state == "closed"
    assert not any(carrier._closing for carrier in engine._carriers)


def test_with_gevent_patched_in() -> None:
    code = (
        "from gevent import monkey; monkey.patch_all()\n"
        "from janusload.media.engine import Engine\n"
        "engine = Engine(); engine.start()\n"
        "a, b = engine.peer('a', route_to='127.0.0.1'), engine.peer('b', route_to='127.0.0.1')\n"
        "a.accept(b.answer(a.offer())); b.connected(); assert b.state == 'connected'\n"
        "engine.stop(); assert a.ended.is_set() and not engine.pids; print('well')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("well\n", "", 0)
