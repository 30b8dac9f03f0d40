"""Every verb of Streaming on a real Janus, with RTP that we send it."""

from __future__ import annotations

import signal
import socket
import struct
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import gevent
import gevent.socket
import pytest

from janusload.errors import ConnectionLost, PluginError, UsageError
from janusload.janus.connection import Connection
from janusload.janus.plugins.streaming import Edited, Media, Mountpoint, RecordedMedia, Status, Streaming, WantedStream
from janusload.janus.session import Session
from janusload.lab import Lab, LabOptions
from janusload.media.engine import Peer
from tests.janus.plugins.conftest import Heard, until

pytestmark = pytest.mark.lab

_numbers = count(7000)


@pytest.fixture
def streaming(session: Session) -> Streaming:
    return session.attach(Streaming)


@pytest.fixture
def mountpoint(streaming: Streaming) -> Iterator[Mountpoint]:
    made = streaming.create("rtp", id=next(_numbers), media=[Media("audio", "a", 0, pt=111, codec="opus")])
    yield made
    streaming.destroy(made.id)


@pytest.fixture
def source(janus: Lab, mountpoint: Mountpoint) -> Iterator[None]:
    """Opus, 50 packets a second, into the mountpoint."""
    target = (janus.address, mountpoint.ports[0].port)

    def send() -> None:
        for number in count():
            udp.sendto(struct.pack("!BBHII", 0x80, 111, number & 0xFFFF, number * 960, 77) + b"\x48" * 20, target)
            gevent.sleep(0.02)

    with gevent.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        sender = gevent.spawn(send)
        yield
        sender.kill()


def test_mountpoints_are_made_changed_listed_and_destroyed(streaming: Streaming) -> None:
    number = next(_numbers)
    made = streaming.create(
        "rtp",
        id=number,
        name="n",
        description="first",
        secret="s",
        pin="1",
        media=[Media("audio", "a", 0, pt=111, codec="opus")],
    )
    assert (made.id, made.type, made.description) == (number, "live", "first")
    assert [(port.type, port.mid) for port in made.ports] == [("audio", "a")]
    listed = {each.id: each for each in streaming.list()}[number]
    assert (listed.description, listed.enabled, [each.mid for each in listed.media]) == ("first", True, ["a"])
    assert streaming.info(number).media[0].port is None, "only who has the secret may know"
    info = streaming.info(number, secret="s")
    assert (info.name, info.viewers, info.enabled) == ("n", 0, True)
    assert (info.media[0].port, info.media[0].pt) == (made.ports[0].port, 111)
    streaming.edit(number, secret="s", new_description="second", new_is_private=True)
    assert number not in [each.id for each in streaming.list()]
    assert streaming.info(number, secret="s").description == "second"
    # with stop_recording, its default, both versions crash: see `Disable`
    streaming.disable(number, secret="s", stop_recording=False)
    assert not streaming.info(number, secret="s").enabled
    streaming.enable(number, secret="s")
    with pytest.raises(PluginError, match="streaming error 457 UNAUTHORIZED"):
        streaming.destroy(number, secret="wrong")
    streaming.destroy(number, secret="s")
    with pytest.raises(PluginError, match="streaming error 455 NO_SUCH_MOUNTPOINT"):
        streaming.info(number)
    with pytest.raises(PluginError, match="streaming error 456 CANT_CREATE"):
        streaming.create("live", filename="/nowhere.opus")


@pytest.mark.usefixtures("source")
def test_watching(streaming: Streaming, mountpoint: Mountpoint, session: Session, peer: Callable[..., Peer]) -> None:
    viewer = session.attach(Streaming)
    heard = Heard(viewer)
    with peer("viewer") as watcher:
        offered = viewer.watch(mountpoint.id, media=["a"])
        assert viewer.start(jsep=watcher.answer(offered.jsep)).status == "starting"
        watcher.connected()
        assert heard.wait(Status) == Status("started")
        until(lambda: watcher.record is not None and watcher.record.received > 5)
        assert streaming.info(mountpoint.id).viewers == 1
        streaming.edit(mountpoint.id, new_metadata="m", edited_event=True)
        assert heard.wait(Edited) == Edited(mountpoint.id, "m")
        both = [WantedStream("a", send=True)]
        if session.connection.version() >= (1, 2, 0):
            viewer.configure(streams=both)
        else:
            with pytest.raises(UsageError, match=r"streaming\.configure: Janus 1\.1\.2 ignores 'streams'"):
                viewer.configure(streams=both)
        viewer.configure(mid="a", send=False)
        viewer.configure(mid="a", send=True)
        assert viewer.pause().status == "pausing"
        assert viewer.start().status == "started"
        other = streaming.create("rtp", media=[Media("audio", "a", 0, pt=111, codec="opus")])
        viewer.switch(other.id)
        streaming.destroy(other.id)
        assert heard.wait(Status).status == "stopped"


@pytest.mark.usefixtures("source")
def test_a_viewer_may_offer_where_the_version_knows_that(
    mountpoint: Mountpoint, session: Session, peer: Callable[..., Peer]
) -> None:
    viewer = session.attach(Streaming)
    with peer("offering viewer") as watcher:
        offer = watcher.offer()
        if session.connection.version() < (1, 1, 4):
            with pytest.raises(UsageError, match=r"streaming\.watch: Janus 1\.1\.2 ignores 'jsep' without a word"):
                viewer.watch(mountpoint.id, jsep=offer)
            return
        answer = viewer.watch(mountpoint.id, jsep=offer).jsep
        assert answer["type"] == "answer"
        watcher.accept(answer)
        until(lambda: watcher.record is not None and watcher.record.received > 5)


@pytest.mark.usefixtures("source")
def test_stopping_and_being_stopped(
    streaming: Streaming, mountpoint: Mountpoint, session: Session, peer: Callable[..., Peer]
) -> None:
    for end in ("stop", "kick_all"):
        viewer = session.attach(Streaming)
        heard = Heard(viewer)
        with peer(end) as watcher:
            viewer.start(jsep=watcher.answer(viewer.watch(mountpoint.id).jsep))
            watcher.connected()
            # before that, a stop is acknowledged and then ignored without an event
            assert heard.wait(Status) == Status("started")
            if end == "stop":
                assert viewer.stop().status == "stopping"
            else:
                streaming.kick_all(mountpoint.id)
            until(lambda viewer=viewer: viewer.hung_up == "Close PC", what=end)


@pytest.mark.usefixtures("source")
def test_recording(streaming: Streaming, mountpoint: Mountpoint, janus: Lab) -> None:
    base = janus.recordings / f"mountpoint-{mountpoint.id}"
    streaming.recording(mountpoint.id, "start", [RecordedMedia("a", str(base))])
    gevent.sleep(0.1)
    streaming.recording(mountpoint.id, "stop", [RecordedMedia("a")])
    assert [path.suffix for path in janus.recordings.glob(f"{base.name}*")] == [".mjr"]


@pytest.mark.parametrize("version", ["janus", "1.4.1"])
def test_the_warning_about_disable_is_true(tmp_path: Path, version: str) -> None:
    with Lab(LabOptions(janus=version), tmp_path / "janus.log") as lab, Connection(lab.url) as connection:
        streaming = connection.create().attach(Streaming)
        made = streaming.create("rtp", media=[Media("audio", "a", 0, pt=111, codec="opus")])
        with pytest.raises(ConnectionLost):
            # the answer may come before the end does
            streaming.disable(made.id)
            streaming.list(timeout_s=10)
        until(lambda: lab.returncode == -signal.SIGSEGV, what=lab.returncode)
