"""Every verb and event of the VideoRoom on a real Janus; its streams are audio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from janusload.errors import PluginError
from janusload.janus.plugins.videoroom import (
    Feed,
    ForwardedStream,
    OwnStream,
    SubscribedStream,
    VideoRoom,
    VideoRoomPublisher,
    VideoRoomSubscriber,
    results,
)
from janusload.janus.session import Session
from janusload.lab import Lab
from janusload.media.engine import Peer
from tests.janus.plugins.conftest import Heard, until

pytestmark = pytest.mark.lab

_numbers = count(6000)


@pytest.fixture
def manager(session: Session) -> VideoRoom:
    return session.attach(VideoRoom)


@pytest.fixture
def room(manager: VideoRoom) -> Iterator[int]:
    number = next(_numbers)
    manager.create(
        number,
        publishers=2,
        notify_joining=True,
        audiolevel_event=True,
        audio_active_packets=5,
        audio_level_average=60,
    )
    yield number
    if manager.exists(number):
        manager.destroy(number)


@pytest.fixture
def publishing(session: Session, room: int, peer: Callable[..., Peer]) -> Iterator[VideoRoomPublisher]:
    """Somebody who publishes audio, as number 1."""
    publisher = session.attach(VideoRoomPublisher)
    with peer("publisher", clip="speech") as talker:
        published = publisher.joinandconfigure(room, talker.offer(), id=1, display="one")
        assert published.jsep is not None
        talker.accept(published.jsep)
        assert publisher.webrtc_up.wait(5), "before that nobody can subscribe"
        yield publisher


def test_rooms_are_made_changed_listed_and_destroyed(manager: VideoRoom) -> None:
    number = next(_numbers)
    made = manager.create(number, description="first", secret="s", pin="1", publishers=7, audiocodec="opus,pcmu")
    assert (made.room, made.permanent) == (number, False)
    listed = {each.room: each for each in manager.list()}[number]
    assert (listed.description, listed.max_publishers, listed.pin_required) == ("first", 7, True)
    assert (listed.audiocodec, listed.num_participants, listed.record) == ("opus,pcmu", 0, False)
    manager.edit(number, secret="s", new_description="second", new_publishers=1)
    listed = {each.room: each for each in manager.list()}[number]
    assert (listed.description, listed.max_publishers) == ("second", 1)
    assert manager.allowed(number, "add", allowed=["t"], secret="s") == ("t",)
    assert manager.allowed(number, "disable", secret="s") == ()
    manager.enable_recording(number, True, secret="s")
    assert {each.room: each for each in manager.list()}[number].record
    with pytest.raises(PluginError, match="videoroom error 433 UNAUTHORIZED"):
        manager.destroy(number, secret="wrong")
    manager.destroy(number, secret="s")
    assert not manager.exists(number)


def test_publishing_and_what_the_others_hear_of_it(
    manager: VideoRoom, session: Session, room: int, peer: Callable[..., Peer], janus: Lab
) -> None:
    witness, publisher = session.attach(VideoRoomPublisher), session.attach(VideoRoomPublisher)
    seen = witness.join(room, display="witness")
    assert seen.publishers == ()
    heard, own = Heard(witness), Heard(publisher)
    joined = publisher.join(room, id=11, display="eleven")
    assert (joined.room, joined.id) == (room, 11)
    assert heard.wait(results.Joining).joining["id"] == 11
    with peer("eleven", clip="speech") as talker:
        published = publisher.publish(talker.offer(), audiocodec="opus", record=True, filename=f"vr-{room}")
        assert [(each.type, each.mid, each.codec) for each in published.streams] == [("audio", "0", "opus")]
        assert published.jsep is not None
        talker.accept(published.jsep)
        (known,) = heard.wait(results.PublishersChanged).publishers
        assert (known.id, known.display, [each.codec for each in known.streams]) == (11, "eleven", ["opus"])
        assert heard.wait(results.Talking) == results.Talking(room, 11)
        assert heard.wait(results.StoppedTalking) == results.StoppedTalking(room, 11)
        by_id = {each.id: each for each in manager.listparticipants(room)}
        assert (by_id[11].publisher, by_id[seen.id].publisher) == (True, False)

        publisher.configure(bitrate=100_000, streams=[OwnStream("0", send=True)])
        manager.moderate(room, 11, "0", True)
        assert heard.wait(results.Moderated) == results.Moderated(room, 11, "0", "muted")
        manager.moderate(room, 11, "0", False)

        host = str(janus.network.host_address)
        forwarding = manager.rtp_forward(room, 11, host, [ForwardedStream("0", 5004, pt=99)])
        (forwarder,) = forwarding.forwarders
        assert (forwarding.publisher_id, forwarder.host, forwarder.port, forwarder.pt) == (11, host, 5004, 99)
        (listed,) = manager.listforwarders(room)
        assert [each["stream_id"] for each in listed.forwarders] == [forwarder.stream_id]
        manager.stop_rtp_forward(room, 11, forwarder.stream_id)
        assert manager.listforwarders(room) == ()

        publisher.unpublish()
        assert heard.wait(results.Unpublished) == results.Unpublished(room, 11)
        until(lambda: publisher.hung_up is not None)
    # still in the room, so we may publish again by `configure`, once the old PeerConnection is gone
    with peer("again") as talker:
        again = publisher.configure(jsep=talker.offer())
        assert again.jsep is not None
        talker.accept(again.jsep)
        publisher.leave()
        assert heard.wait(results.Leaving).leaving == 11
    publisher = session.attach(VideoRoomPublisher)
    own = Heard(publisher)
    publisher.join(room, id=12)
    manager.kick(room, 12)
    assert heard.wait(results.Kicked) == results.Kicked(room, 12)
    assert own.wait(results.Leaving) == results.Leaving(room, "ok", "kicked")
    manager.destroy(room)
    assert heard.wait(results.Destroyed) == results.Destroyed(room)


def test_subscribing(session: Session, room: int, publishing: VideoRoomPublisher, peer: Callable[..., Peer]) -> None:
    subscriber = session.attach(VideoRoomSubscriber)
    with peer("subscriber") as listener, peer("second") as second:
        attached = subscriber.join(room, [Feed(1)])
        assert [(each.feed_id, each.feed_mid, each.active) for each in attached.streams] == [(1, "0", True)]
        subscriber.start(jsep=listener.answer(attached.jsep))
        listener.connected()
        until(lambda: listener.record is not None and listener.record.received > 5)
        mid = attached.streams[0].mid
        assert subscriber.configure(streams=[SubscribedStream(mid, send=True)]).jsep is None
        subscriber.pause()
        subscriber.start()

        other = session.attach(VideoRoomPublisher)
        published = other.joinandconfigure(room, second.offer(), id=2, display="two")
        assert [each.id for each in published.publishers] == [1]
        second.accept(published.jsep or {})
        assert other.webrtc_up.wait(5)
        switched = subscriber.switch([Feed(2, mid="0", sub_mid=mid)])
        assert [each.feed_id for each in switched.streams] == [2]
        more = subscriber.subscribe([Feed(1)])
        assert {each.feed_id for each in more.streams} == {1, 2}
        assert more.jsep is not None
        assert more.jsep["type"] == "offer"
        # we have not answered, so the next changes come with the offer after that
        assert subscriber.unsubscribe([Feed(1)]).jsep is None
        assert subscriber.update(subscribe=[Feed(1)], unsubscribe=[Feed(2)]).jsep is None
        subscriber.leave()


@pytest.mark.parametrize("how", ["unpublish", "hangup"])
def test_a_publisher_that_goes_is_an_update_with_an_offer(
    session: Session, room: int, publishing: VideoRoomPublisher, peer: Callable[..., Peer], how: str
) -> None:
    subscriber = session.attach(VideoRoomSubscriber)
    heard = Heard(subscriber)
    with peer("left alone") as listener:
        subscriber.start(jsep=listener.answer(subscriber.join(room, [Feed(1, mid="0")]).jsep))
        listener.connected()
        assert subscriber.webrtc_up.wait(5)
        getattr(publishing, how)()
        update = heard.wait(results.Updated)
        assert [each.active for each in update.streams] == [False]
        assert update.jsep is not None
        assert "a=inactive" in update.jsep["sdp"]


def test_refusals_are_named(session: Session, room: int, publishing: VideoRoomPublisher) -> None:
    with pytest.raises(PluginError, match="videoroom error 427 ROOM_EXISTS"):
        publishing.create(room)
    with pytest.raises(PluginError, match="videoroom error 425 ALREADY_JOINED"):
        publishing.join(room)
    with pytest.raises(PluginError, match="videoroom error 428 NO_SUCH_FEED"):
        session.attach(VideoRoomSubscriber).join(room, [Feed(99)])
    stranger = session.attach(VideoRoomPublisher)
    with pytest.raises(PluginError, match="videoroom error 426 NO_SUCH_ROOM"):
        stranger.join(next(_numbers))
    with pytest.raises(PluginError, match="videoroom error 436 ID_EXISTS"):
        stranger.join(room, id=1)
    with pytest.raises(PluginError, match="videoroom error 424 JOIN_FIRST"):
        stranger.unpublish()
