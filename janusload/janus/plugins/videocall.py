"""VideoCall: two users call each other through Janus (`janus.plugin.videocall`).

https://janus.conf.meetecho.com/docs/videocall. Both register a name; one `call`s with an offer, the other hears
`IncomingCall` with that offer and `accept`s with an answer, which the caller hears as `Accepted`.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TypeAlias

from janusload.janus.plugins.facade import Events, Facade
from janusload.janus.plugins.verb import Jsep, Parameters, Verb, WithJsep, into, nothing


@dataclass(frozen=True)
class Nothing(Parameters):
    """It takes nothing."""


@dataclass(frozen=True)
class Register(Parameters):
    """Take a name. PluginError 476 if somebody has it, 477 if we have one."""

    username: str


@dataclass(frozen=True)
class Call(Parameters):
    """Call somebody, with an offer. PluginError 478 no such name, 480 somebody is in a call already."""

    username: str
    jsep: Jsep


@dataclass(frozen=True)
class Accept(Parameters):
    """Take a call, with the answer to its offer. PluginError 481 if nobody calls."""

    jsep: Jsep


@dataclass(frozen=True)
class Set(WithJsep):
    """Change what is passed on of us, record it, or renegotiate with a new offer or answer.

    Attributes:
        audio, video: whether it is passed on.
        bitrate: cap on our video, in bit/s.
        record, filename: record us to MJR files; `-audio.mjr`, `-video.mjr` are put behind the name.
        substream, temporal, fallback: which layer of the other's simulcast to take (`fallback` in microseconds).
    """

    _: KW_ONLY
    audio: bool | None = None
    video: bool | None = None
    bitrate: int | None = None
    record: bool | None = None
    filename: str | None = None
    restart: bool | None = None
    substream: int | None = None
    temporal: int | None = None
    fallback: int | None = None


@dataclass(frozen=True, slots=True)
class Registered:
    """The name is ours."""

    username: str


@dataclass(frozen=True, slots=True)
class Names:
    """Who is registered."""

    list: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """Somebody calls, with an offer: `accept` it, or `plugin_hangup`."""

    username: str
    jsep: Jsep


@dataclass(frozen=True, slots=True)
class Accepted:
    """Our call was taken; the answer to our offer."""

    username: str
    jsep: Jsep


@dataclass(frozen=True, slots=True)
class Update:
    """The other side renegotiates; answer its offer with `set`."""

    jsep: Jsep | None = None


@dataclass(frozen=True, slots=True)
class HungUp:
    """The call is over."""

    username: str | None = None
    reason: str | None = None


VideoCallEvent: TypeAlias = IncomingCall | Accepted | Update | HungUp


class VideoCall(Facade[VideoCallEvent]):
    """Facade of `janus.plugin.videocall`; all its requests are asynchronous."""

    package = "janus.plugin.videocall"
    short = "videocall"
    events = Events("result", {"incomingcall": IncomingCall, "accepted": Accepted, "update": Update, "hangup": HungUp})

    register = Verb(Register, into(Registered, within="result"))
    list = Verb(Nothing, into(Names, within="result"))
    call = Verb(Call, nothing)
    accept = Verb(Accept, nothing)
    set = Verb(Set, nothing)
    #: decline, cancel or end a call, unlike `hangup`, which closes the PeerConnection only
    plugin_hangup = Verb(Nothing, into(HungUp, within="result"), request="hangup")
