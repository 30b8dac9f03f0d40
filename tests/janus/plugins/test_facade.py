"""Typed events and the table of verbs, without any Janus."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from janusload.janus.events import PluginEvent, notification
from janusload.janus.plugins.audiobridge import AudioBridge, events
from janusload.janus.plugins.echotest import Done, EchoTest
from janusload.janus.plugins.facade import Facade, Other
from janusload.janus.plugins.nosip import NoSip
from janusload.janus.plugins.recordplay import RecordPlay
from janusload.janus.plugins.streaming import Edited, Status, Streaming
from janusload.janus.plugins.textroom import TextRoom
from janusload.janus.plugins.videocall import HungUp, IncomingCall, VideoCall
from janusload.janus.plugins.videoroom import VideoRoom, VideoRoomPublisher, VideoRoomSubscriber, results

FACADES = [
    AudioBridge,
    EchoTest,
    NoSip,
    RecordPlay,
    Streaming,
    TextRoom,
    VideoCall,
    VideoRoom,
    VideoRoomPublisher,
    VideoRoomSubscriber,
]

OFFER = {"type": "offer", "sdp": "v=0\r\n"}


def event(data: dict[str, Any], jsep: dict[str, Any] | None = None) -> PluginEvent:
    message = {"janus": "event", "session_id": 1, "sender": 2, "plugindata": {"plugin": "p", "data": data}}
    told = notification(message if jsep is None else {**message, "jsep": jsep}, 0)
    assert isinstance(told, PluginEvent)
    return told


def handle(kind: type[Any]) -> Any:
    return kind(session=None, handle_id=2)


@pytest.mark.parametrize(
    ("facade", "data", "jsep", "expected"),
    [
        (AudioBridge, {"audiobridge": "event", "room": 1, "leaving": 5}, None, events.Leaving(1, 5)),
        (AudioBridge, {"audiobridge": "event", "room": "r", "leaving": "l"}, None, events.Leaving("r", "l")),
        (AudioBridge, {"audiobridge": "event", "room": 1, "muted": True}, None, events.RoomMuted(1, True)),
        (AudioBridge, {"audiobridge": "destroyed", "room": 1}, None, events.Destroyed(1)),
        (
            AudioBridge,
            {
                "audiobridge": "event",
                "room": 1,
                "resumed": 5,
                "participants": [{"id": 6, "setup": True, "muted": False}],
            },
            None,
            events.Resumed(1, 5, (events.Participant(6, True, False),)),
        ),
        (EchoTest, {"echotest": "event", "result": "done"}, None, Done()),
        (RecordPlay, {"recordplay": "event", "result": "done"}, None, RecordPlay.events.read({"result": "done"}, None)),
        (Streaming, {"streaming": "event", "result": {"status": "started"}}, None, Status("started")),
        (Streaming, {"event": "edited", "id": 1, "metadata": "m"}, None, Edited(1, "m")),
        (
            VideoCall,
            {"videocall": "event", "result": {"event": "incomingcall", "username": "ann"}},
            OFFER,
            IncomingCall("ann", OFFER),
        ),
        (VideoCall, {"videocall": "event", "result": {"event": "hangup"}}, None, HungUp()),
        (VideoRoom, {"videoroom": "updated", "room": 1}, OFFER, results.Updated(1, (), OFFER)),
        (VideoRoom, {"videoroom": "event", "room": 1, "unpublished": 7}, None, results.Unpublished(1, 7)),
    ],
)
def test_events_are_told_apart(
    facade: type[Facade[Any]], data: dict[str, Any], jsep: dict[str, Any] | None, expected: object
) -> None:
    assert handle(facade).read_event(event(data, jsep)) == expected


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"audiobridge": "new in the next version", "room": 1},
        {"audiobridge": "event", "room": 1},
        {"audiobridge": "event", "leaving": 5},
        {"audiobridge": "talking", "room": None, "id": {}},
        {"audiobridge": ["event"], "leaving": 5},
        {"audiobridge": {"event": 5}},
    ],
)
def test_what_fits_no_type_is_kept_whole_and_never_raises(data: dict[str, Any]) -> None:
    assert handle(AudioBridge).read_event(event(data)) == Other(data)


def test_listeners_are_told_of_the_plugins_events_only() -> None:
    bridge = handle(AudioBridge)
    told: list[object] = []
    seen: list[object] = []
    bridge.on_event = seen.append
    assert len(bridge.listeners(event({}))) == 1
    bridge.on_plugin_event = told.append
    for each in (event({"audiobridge": "destroyed", "room": 1}), notification({"janus": "webrtcup"}, 0)):
        for tell in bridge.listeners(each):
            tell(each)
    assert told == [events.Destroyed(1)]
    assert len(seen) == 2


@pytest.mark.parametrize("facade", FACADES)
def test_every_verb_knows_its_plugin_and_explains_itself(facade: type[Facade[Any]]) -> None:
    assert facade.package == f"janus.plugin.{facade.short}"
    for name, verb in facade.verbs().items():
        assert (verb.package, verb.short) == (facade.package, facade.short), name
        assert verb.__doc__, name
    assert facade.verbs()


def test_a_facade_has_the_verbs_of_those_it_derives_from() -> None:
    assert set(VideoRoom.verbs()) < set(VideoRoomSubscriber.verbs())
    assert VideoRoomSubscriber.verbs()["join"] is not VideoRoomPublisher.verbs()["join"]


@pytest.mark.parametrize("facade", FACADES)
def test_every_verb_is_tested_on_a_real_janus(facade: type[Facade[Any]]) -> None:
    text = (Path(__file__).parent / f"test_{facade.short}.py").read_text()
    assert not [name for name in facade.verbs() if not re.search(rf"\.{name}[(),]", text)]
