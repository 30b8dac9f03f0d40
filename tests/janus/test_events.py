"""Every notification as its own type; nothing that a server says makes one raise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusload.janus.events import (
    Detached,
    Hangup,
    Listeners,
    Media,
    Notification,
    PluginEvent,
    SessionTimeout,
    SlowLink,
    Trickle,
    WebrtcUp,
    notification,
)

HEAD = {"session_id": 7, "sender": 8}


@pytest.mark.parametrize(
    ("message", "kind", "fields"),
    [
        ({"janus": "webrtcup"}, WebrtcUp, {}),
        (
            {"janus": "media", "mid": "0", "type": "audio", "receiving": False, "seconds": 2, "substream": 1},
            Media,
            {"mid": "0", "media": "audio", "receiving": False, "seconds": 2, "substream": 1},
        ),
        (
            {"janus": "slowlink", "mid": "0", "media": "audio", "uplink": True, "lost": 9},
            SlowLink,
            {"mid": "0", "media": "audio", "uplink": True, "lost": 9},
        ),
        ({"janus": "hangup", "reason": "DTLS alert"}, Hangup, {"reason": "DTLS alert"}),
        ({"janus": "hangup"}, Hangup, {"reason": "no reason given"}),
        ({"janus": "detached"}, Detached, {}),
        ({"janus": "timeout"}, SessionTimeout, {}),
        (
            {"janus": "trickle", "candidate": {"candidate": "candidate:1", "sdpMid": "0"}},
            Trickle,
            {"candidate": {"candidate": "candidate:1", "sdpMid": "0"}, "completed": False},
        ),
        ({"janus": "trickle", "candidate": {"completed": True}}, Trickle, {"candidate": None, "completed": True}),
        ({"janus": "trickle", "completed": True}, Trickle, {"candidate": None, "completed": True}),
        (
            {"janus": "event", "plugindata": {"plugin": "p", "data": {"a": 1}}, "jsep": {"type": "offer"}},
            PluginEvent,
            {"plugin": "p", "data": {"a": 1}, "jsep": {"type": "offer"}},
        ),
        ({"janus": "event"}, PluginEvent, {"plugin": "", "data": {}, "jsep": None}),
        ({"janus": "something new"}, Notification, {}),
    ],
)
def test_kinds(message: dict[str, Any], kind: type[Notification], fields: dict[str, Any]) -> None:
    found = notification({**message, **HEAD}, 5)
    assert type(found) is kind
    assert (found.kind, found.session_id, found.handle_id, found.arrived_ns) == (message["janus"], 7, 8, 5)
    assert found.message == {**message, **HEAD}
    assert {name: getattr(found, name) for name in fields} == fields


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([]) | st.just({})


@given(
    st.sampled_from(["webrtcup", "media", "slowlink", "hangup", "detached", "timeout", "trickle", "event", "x"]),
    st.dictionaries(
        st.sampled_from(
            [
                *("session_id", "sender", "mid", "type", "receiving", "substream", "seconds", "media", "uplink"),
                *("lost", "reason", "candidate", "completed", "plugindata", "jsep"),
            ]
        ),
        anything | st.dictionaries(st.sampled_from(["plugin", "data", "completed"]), anything),
    ),
)
def test_wrong_types_become_none(kind: str, fields: dict[str, Any]) -> None:
    found = notification({"janus": kind, **fields}, 0)
    assert found.session_id is None or type(found.session_id) is int
    assert repr(found)


def test_listeners_of_a_kind_come_before_those_of_all() -> None:
    heard: list[str] = []
    listeners = Listeners()
    listeners.on(Hangup, lambda event: heard.append(event.reason))
    listeners.on(Hangup, lambda event: heard.append("second"))
    listeners.on_event = lambda event: heard.append(event.kind)
    for message in ({"janus": "hangup", "reason": "why"}, {"janus": "webrtcup"}):
        event = notification(message, 0)
        for tell in listeners.listeners(event):
            tell(event)
    assert heard == ["why", "second", "hangup", "webrtcup"]
