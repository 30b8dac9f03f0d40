"""Requests as data, without any Janus."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import pytest

from janusload.errors import ProtocolViolation, UsageError
from janusload.janus.handle import Handle, Reply
from janusload.janus.plugins.audiobridge import AudioBridge, PlainRtp
from janusload.janus.plugins.echotest import EchoTest
from janusload.janus.plugins.recordplay import RecordPlay
from janusload.janus.plugins.verb import Jsep, Parameters, Verb, before, hidden, into, jsep_of, key, named, since


@dataclass(frozen=True)
class Given(Parameters):
    """What it takes."""

    room: int
    jsep: Jsep | None = None
    _: KW_ONLY
    bit_rate: int | None = named("bit-rate")
    secret: str | None = hidden()
    old: int | None = before((1, 2, 0))
    new: int | None = since((1, 3, 0))


@dataclass(frozen=True, slots=True)
class Told:
    room: int
    names: tuple[str, ...] = ()
    jsep: Jsep | None = None


class Plugin(Handle):
    package = "janus.plugin.made_up"
    short = "madeup"

    do = Verb(Given, into(Told))
    say = Verb(Given, key("room", int), request="speak")
    bare = Verb(Given, jsep_of, request="")
    deep = Verb(Given, into(Told, within="result"))

    def __init__(self, reply: Reply, version: tuple[int, int, int] = (1, 1, 2)) -> None:
        self.reply = reply
        self.sent: list[dict[str, Any]] = []
        self.session = self.connection = self  # type: ignore[assignment]
        self._version = version

    def version(self) -> tuple[int, int, int]:
        return self._version

    def message(self, body: dict[str, Any], **beside: Any) -> Reply:
        self.sent.append({"body": body, **beside})
        return self.reply


def test_only_what_is_given_is_sent_and_nothing_that_belongs_beside_the_body() -> None:
    plugin = Plugin(Reply({"room": 5}, None))
    assert plugin.do(5, {"type": "offer"}, bit_rate=3, timeout_s=2.0) == Told(5)
    assert plugin.sent == [
        {
            "body": {"request": "do", "room": 5, "bit-rate": 3},
            "name": "do",
            "jsep": {"type": "offer"},
            "timeout_s": 2.0,
        }
    ]


def test_names_on_the_wire() -> None:
    plugin = Plugin(Reply({"room": 5}, None))
    assert plugin.say(5) == 5
    assert plugin.bare(5) is None
    assert [sent["body"] for sent in plugin.sent] == [{"request": "speak", "room": 5}, {"room": 5}]
    assert [sent["name"] for sent in plugin.sent] == ["speak", "bare"]
    assert (Plugin.say.name, Plugin.say.short, Plugin.say.package) == ("speak", "madeup", "janus.plugin.made_up")
    assert Plugin.do.__doc__ == "What it takes."


def test_bodies_may_be_had_alone() -> None:
    assert AudioBridge.exists.body(1234) == {"request": "exists", "room": 1234}
    assert AudioBridge.join.body(1, rtp=PlainRtp("10.0.0.1", 5004, fec=False)) == {
        "request": "join",
        "room": 1,
        "rtp": {"ip": "10.0.0.1", "port": 5004, "fec": False},
    }
    assert AudioBridge.create.body(groups=["a"]) == {"request": "create", "groups": ["a"]}
    assert EchoTest.start.body(jsep={"type": "offer"}, audio=True) == {"audio": True}
    assert RecordPlay.configure.body(video_bitrate_max=1) == {"request": "configure", "video-bitrate-max": 1}


@pytest.mark.parametrize(
    ("version", "given", "refused"),
    [
        ((1, 1, 2), {"old": 1}, False),
        ((1, 2, 0), {"old": 1}, True),
        ((1, 2, 9), {"new": 1}, True),
        ((1, 3, 0), {"new": 1}, False),
        ((1, 3, 0), {"old": None, "new": None}, False),
    ],
)
def test_what_a_version_would_ignore_is_refused(
    version: tuple[int, int, int], given: dict[str, Any], refused: bool
) -> None:
    plugin = Plugin(Reply({"room": 5}, None), version)
    if not refused:
        assert plugin.do(5, **given) == Told(5)
        return
    with pytest.raises(UsageError, match=r"madeup\.do: Janus 1\.2\.\d ignores '(old|new)' without a word"):
        plugin.do(5, **given)
    assert not plugin.sent


def test_the_version_is_not_asked_for_in_vain() -> None:
    plugin = Plugin(Reply({"room": 5}, None))
    plugin.version = lambda: pytest.fail("nothing given depends on it")  # type: ignore[method-assign]
    plugin.do(5)


def test_answers_are_read_and_what_is_unknown_left_out() -> None:
    told = Plugin(Reply({"room": 5, "names": ["a", "b"], "more": 1}, {"type": "answer"})).do(5)
    assert told == Told(5, ("a", "b"), {"type": "answer"})
    assert Plugin(Reply({"result": {"room": 6}}, {"type": "offer"})).deep(5) == Told(6, (), {"type": "offer"})


@pytest.mark.parametrize("data", [{}, {"room": None}, {"room": [1]}, {"room": "hush"}, {"room": 5, "names": 3}])
def test_an_answer_that_lacks_what_it_must_carry_is_a_violation_without_the_values(data: dict[str, Any]) -> None:
    with pytest.raises(ProtocolViolation, match=r"madeup\.do: no such answer was due: (room|names): ") as violation:
        Plugin(Reply(data, None)).do(5)
    assert "hush" not in str(violation.value)


@pytest.mark.parametrize("data", [{}, {"result": None}, {"result": "done"}, {"result": []}])
def test_so_is_one_whose_inner_part_is_missing(data: dict[str, Any]) -> None:
    with pytest.raises(ProtocolViolation):
        Plugin(Reply(data, None)).deep(5)


def test_a_value_that_may_be_missing() -> None:
    assert key("tokens", tuple[str, ...], ())(Reply({}, None)) == ()


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(Given(5, secret="hush"))
    assert "hush" not in repr(AudioBridge.join.parameters(1, pin="hush", secret="hush", token="hush"))
