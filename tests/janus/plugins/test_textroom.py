"""Every verb of the TextRoom's side over the Janus API, on a real Janus."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from janusload.errors import CoreError, PluginError
from janusload.janus.plugins.textroom import TextRoom
from janusload.janus.session import Session

pytestmark = pytest.mark.lab

_numbers = count(8000)


@pytest.fixture
def textroom(session: Session) -> TextRoom:
    return session.attach(TextRoom)


@pytest.fixture
def room(textroom: TextRoom) -> Iterator[int]:
    number = textroom.create(next(_numbers), description="first", history=3).room
    assert isinstance(number, int)
    yield number
    textroom.destroy(number)


def test_rooms_are_made_changed_listed_and_destroyed(textroom: TextRoom, room: int) -> None:
    assert textroom.exists(room)
    listed = {each.room: each for each in textroom.list()}[room]
    assert (listed.description, listed.history, listed.pin_required) == ("first", 3, False)
    textroom.edit(room, new_description="second", new_pin="1")
    listed = {each.room: each for each in textroom.list()}[room]
    assert (listed.description, listed.pin_required, listed.num_participants) == ("second", True, 0)
    assert textroom.allowed(room, "add", allowed=["t"]) == ("t",)
    assert textroom.allowed(room, "disable") == ()
    assert textroom.listparticipants(room) == ()
    textroom.announcement(room, "hear, hear")
    with pytest.raises(PluginError, match="textroom error 423 NO_SUCH_USER"):
        textroom.kick(room, "nobody")
    with pytest.raises(PluginError, match="textroom error 418 ROOM_EXISTS"):
        textroom.create(room)
    with pytest.raises(PluginError, match="textroom error 417 NO_SUCH_ROOM"):
        textroom.destroy(next(_numbers))


def test_janus_offers_a_data_channel(textroom: TextRoom) -> None:
    offered = textroom.setup()
    assert offered.jsep["type"] == "offer"
    assert "m=application" in offered.jsep["sdp"]
    assert "webrtc-datachannel" in textroom.restart().jsep["sdp"]
    # an answer as a peer would give it, which here is nobody
    sdp = offered.jsep["sdp"]
    lines = [line for line in sdp.splitlines() if not line.startswith(("a=candidate", "a=end-of-candidates"))]
    answer = "\r\n".join(lines).replace("a=setup:actpass", "a=setup:active") + "\r\n"
    textroom.ack({"type": "answer", "sdp": answer})
    with pytest.raises(CoreError, match="469 UNEXPECTED_ANSWER"):
        textroom.session.attach(TextRoom).ack({"type": "answer", "sdp": answer})
