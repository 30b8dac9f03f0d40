"""The life of a user: what it may say, and what is refused before it is lived."""

from __future__ import annotations

import random

import pytest

from janusload.scenario.life import Act, Choose, Repeat, Verb, act, acts_of, faults_of
from janusload.scenario.quantities import Span, times
from tests.scenario.files import faults, plan

BASIC = ["connect", "create", "attach", "join+publish", "talk 2 s..5 s", "leave", "hangup", "detach", "destroy"]


def life(*steps: object, **more: object) -> str:
    def toml(step: object) -> str:
        if isinstance(step, str):
            return f'"{step}"'
        if isinstance(step, dict):
            return "{ " + ", ".join(f"{key} = {toml(value)}" for key, value in step.items()) + " }"
        if isinstance(step, list):
            return "[" + ", ".join(toml(each) for each in step) + "]"
        return str(step)

    extra = "".join(f"\n{key} = {toml(value)}" for key, value in more.items())
    return f'run_time = "5 s"\n[[users]]\nname = "u"\ncount = 1\nlife = {toml(list(steps))}{extra}\n'


def test_steps_are_read() -> None:
    steps = plan(life(*BASIC, "vanish")).users[0].steps
    assert [step.verb for step in steps if isinstance(step, Act)] == [word.split()[0] for word in [*BASIC, "vanish"]]
    assert act("talk 300 ms") == Act(Verb.TALK, Span(0.3, 0.3))
    assert act("attach echotest").plugin == "echotest"
    assert str(act("talk 2 s..5 s")) == "talk 2 s..5 s"
    assert act("join+publish record").record and str(act("join+publish record")) == "join+publish record"


def test_repeat_and_choose_may_lie_inside_each_other() -> None:
    steps = plan(
        life(
            *BASIC[:4],
            {
                "repeat": "2..4",
                "steps": [
                    "talk 1 s",
                    {"choose": [{"weight": 3, "steps": ["mute", "unmute"]}, {"steps": ["listen 1 s"]}]},
                ],
            },
        )
    ).users[0]
    repeat = steps.steps[4]
    assert isinstance(repeat, Repeat) and repeat.repeat == (2, 4)
    assert isinstance(repeat.steps[1], Choose) and [way.weight for way in repeat.steps[1].choose] == [3, 1]
    assert {step.verb for step in acts_of(steps.steps)} >= {Verb.MUTE, Verb.LISTEN, Verb.JOIN_PUBLISH}


@pytest.mark.parametrize(
    ("steps", "place", "words"),
    [
        (["create"], 0, "'connect' comes first"),
        (["connect", "attach"], 1, "'create' comes first"),
        (["connect", "create", "join"], 2, "'attach' comes first"),
        (["connect", "create", "attach", "mute"], 3, "'join' comes first"),
        (["connect", "create", "attach", "join", "talk 1 s"], 4, "'publish' comes first"),
        (["connect", "create", "attach", "join", "join"], 4, "in a room already"),
        (["connect", "connect"], 1, "open already"),
        (["connect", "create", "attach echotest", "join"], 3, "echotest cannot do that"),
        (["connect", "create", "attach", "join+publish", "hangup", "mute"], 5, "'join' comes first"),
        (["connect", "create", "attach", "join", "stop-recording"], 4, "nothing is being recorded"),
        (
            ["connect", "create", "attach", "join record", "changeroom", "stop-recording"],
            5,
            "nothing is being recorded",
        ),
        (["connect", "create", "attach", "join record", "publish record"], 4, "is being recorded already"),
        (["connect", "create", "attach videoroom", "join record"], 3, "write 'publish record'"),
        (["connect", "create", "attach echotest", "record-all"], 3, "audiobridge and videoroom can"),
    ],
)
def test_what_cannot_be_done_there_is_a_fault_of_the_file(steps: list[str], place: int, words: str) -> None:
    found = faults(life(*steps))
    assert words in found[f"users.0.life.{place}"], found


def test_a_repeated_part_must_be_repeatable() -> None:
    once = {"repeat": 2, "steps": ["attach", "join"]}
    assert "the second time around" in faults(life("connect", "create", once))["users.0.life.2.steps.0"]
    ways = {"choose": [{"steps": ["attach"]}, {"steps": ["wait 1 s"]}]}
    assert "different states" in faults(life("connect", "create", ways))["users.0.life.2"]


def test_audio_that_cannot_be() -> None:
    no_media = life(*BASIC, media="none")
    assert 'media = "none"' in faults(no_media)["users.0.life.3"]
    plain = life("connect", "create", "attach echotest", "publish", media="plain_rtp")
    assert "audiobridge only" in faults(plain)["users.0.life.3"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fly", "nothing that a user can do"),
        ("talk", "how long"),
        ("talk 5 furlongs", "no unit that fits"),
        ("talk 5 s..2 s", "ends before it begins"),
        ("attach toaster", "no plugin that users know"),
        ("join 5", "takes nothing behind it"),
        ("leave record", "takes nothing behind it"),
    ],
)
def test_faulty_words_name_their_place_and_what_would_do(text: str, words: str) -> None:
    assert words in faults(life("connect", text))["users.0.life.1"]


def test_ranges_are_drawn_evenly_and_again_the_same() -> None:
    span = Span(2.0, 5.0)
    drawn = [span.draw(random.Random(f"seed/{i}")) for i in range(200)]
    assert drawn == [span.draw(random.Random(f"seed/{i}")) for i in range(200)]
    assert 2.0 <= min(drawn) < 2.3 and 4.7 < max(drawn) <= 5.0
    assert {times("2..4").draw(random.Random(i)) for i in range(50)} == {2, 3, 4}


def test_the_usual_life_is_sound_for_every_kind_of_user() -> None:
    for plugin in ("audiobridge", "videoroom", "echotest", "recordplay"):
        for media in ("webrtc", "none"):
            text = f'run_time = "5 s"\n[[users]]\nname = "u"\ncount = 1\nplugin = "{plugin}"\nmedia = "{media}"\n'
            group = plan(text).users[0]
            assert faults_of(group.steps, plugin=plugin, media=media) == []
            assert group.has_audio == (media != "none")
    muted = plan('run_time = "5 s"\n[[users]]\nname = "u"\ncount = 1\nstay = "7 s"\nmute_every = "2 s"\n').users[0]
    waits = [step.span.low for step in acts_of(muted.steps) if step.span is not None]
    assert waits == [2, 2, 2, 1]
