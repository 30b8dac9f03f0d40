"""Every verb of Record&Play on a real Janus."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest

from janusload.errors import CoreError, PluginError, UsageError
from janusload.janus.plugins.recordplay import Done, RecordPlay
from janusload.janus.session import Session
from janusload.lab import Lab
from janusload.media.engine import Peer
from tests.janus.plugins.conftest import Heard, until

pytestmark = pytest.mark.lab


def test_a_recording_is_made_listed_and_played(session: Session, janus: Lab, peer: Callable[..., Peer]) -> None:
    recorder = session.attach(RecordPlay)
    heard = Heard(recorder)
    recorder.configure(video_bitrate_max=200_000, video_keyframe_interval=10_000)
    with peer("recorder") as speaker:
        recorded = recorder.record("a talk", speaker.offer(), filename="talk", audiocodec="opus")
        speaker.accept(recorded.jsep)
        # too early: it is not complete
        assert recorded.id not in [each.id for each in recorder.list()]
        gevent.sleep(0.5)
        assert recorder.stop().id == recorded.id
        assert heard.wait(Done) == Done()
    recorder.update()
    until(lambda: recorded.id in [each.id for each in recorder.list()])
    (entry,) = (each for each in recorder.list() if each.id == recorded.id)
    assert (entry.name, entry.audio, entry.video, entry.audio_codec) == ("a talk", True, False, "opus")
    assert (janus.recordings / "talk-audio.mjr").exists()

    player = session.attach(RecordPlay)
    heard = Heard(player)
    with peer("listener") as listener:
        offered = player.play(recorded.id)
        assert offered.id == recorded.id
        player.start(listener.answer(offered.jsep))
        listener.connected()
        assert heard.wait(Done) == Done()
        assert listener.record is None or listener.record.lost == 0
    # a player may be stopped too
    with peer("impatient") as listener:
        player = session.attach(RecordPlay)
        player.start(listener.answer(player.play(recorded.id).jsep))
        listener.connected()
        player.stop()


def test_refusals_are_named(session: Session) -> None:
    recordplay = session.attach(RecordPlay)
    with pytest.raises(PluginError, match="recordplay error 416 NOT_FOUND"):
        recordplay.play(1)
    with pytest.raises(CoreError, match="465 JSEP_INVALID_SDP"):
        recordplay.start({"type": "answer", "sdp": "v=0\r\n"})
    assert recordplay.stop().id is None


def test_private_recordings_are_newer(session: Session, peer: Callable[..., Peer]) -> None:
    recordplay = session.attach(RecordPlay)
    with peer("private") as speaker:
        offer = speaker.offer()
        if session.connection.version() < (1, 3, 2):
            with pytest.raises(UsageError, match=r"recordplay\.record: Janus 1\.1\.2 ignores 'is_private'"):
                recordplay.record("private", offer, is_private=True)
            with pytest.raises(UsageError, match="admin_key"):
                recordplay.list(admin_key="k")
            return
        heard = Heard(recordplay)
        recorded = recordplay.record("private", offer, is_private=True)
        speaker.accept(recorded.jsep)
        recordplay.stop()
        heard.wait(Done)
        assert recorded.id not in [each.id for each in recordplay.list()]
        # none is configured, so none is checked
        assert recordplay.list(admin_key="any") == recordplay.list()
