"""What a life sends, step by step, and on its way out, to a scripted server."""

from __future__ import annotations

import random
from typing import Any

import gevent
import gevent.event
import pytest

from janusload.load.lives import Life
from janusload.load.recorder import Recorder
from janusload.load.stage import Stage, Target
from janusload.media.engine import Engine
from janusload.scenario import Users
from tests.fake_janus import FakeJanus
from tests.janus.waiting import wait_until


def said(janus: FakeJanus) -> list[str]:
    """The requests to the plugin, with what `configure` changes."""
    bodies: list[dict[str, Any]] = [request["body"] for request in janus.requests if request["janus"] == "message"]
    return [f"{body['request']} muted={body['muted']}" if "muted" in body else body["request"] for body in bodies]


def lived(janus: FakeJanus, *steps: str, until: str) -> list[str]:
    """What a user says who lives these steps and is told to leave after `until`."""
    stage = Stage(Target(janus.url), Recorder(None), Engine(workers=0))
    stage.deal_rooms({"": [1, 2]}, {})
    group = Users.model_validate({"name": "talker", "count": 1, "media": "none", "life": list(steps)})
    leaving = gevent.event.Event()
    life = gevent.spawn(Life(stage, group, "talker-1", random.Random(1), leaving).live)
    wait_until(lambda: until in said(janus))
    gevent.sleep(0.05)
    leaving.set()
    life.get(timeout=5)
    wait_until(lambda: not janus.sessions)
    return said(janus)


@pytest.fixture
def janus() -> Any:
    with FakeJanus() as server:
        yield server


BEGIN = ("connect", "create", "attach", "join", "mute")


def test_on_the_way_out_it_parts_from_what_is_there(janus: FakeJanus) -> None:
    found = lived(janus, *BEGIN, "stay", "unmute", "list", "leave", "destroy", until="configure muted=True")
    assert found == ["join", "configure muted=True", "configure muted=False", "leave"]


def test_who_comes_into_another_room_is_not_muted_there(janus: FakeJanus) -> None:
    found = lived(janus, *BEGIN, "changeroom", "stay", "unmute", "leave", until="changeroom")
    assert found == ["join", "configure muted=True", "changeroom", "leave"]


def test_nor_is_who_comes_back(janus: FakeJanus) -> None:
    found = lived(janus, *BEGIN, "leave", "join", "list", "stay", "unmute", until="listparticipants")
    assert found == ["join", "configure muted=True", "leave", "join", "listparticipants"]
