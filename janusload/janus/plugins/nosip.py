"""NoSIP: a bridge between WebRTC and plain RTP, without any signalling of its own (`janus.plugin.nosip`).

https://janus.conf.meetecho.com/docs/nosip. `generate` makes plain SDP from a jsep, `process` a jsep from plain SDP. Two
handles that are given each other's plain SDP are a call: WebRTC and plain RTP load without SIP.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal, TypeAlias

from janusload.janus.plugins.facade import Events, Facade
from janusload.janus.plugins.verb import Jsep, Parameters, Verb, into, nothing

Srtp = Literal["sdes_optional", "sdes_mandatory"]


@dataclass(frozen=True)
class Nothing(Parameters):
    """It takes nothing."""


@dataclass(frozen=True)
class Generate(Parameters):
    """Make plain SDP from our offer or answer; the plugin binds the ports in it. PluginError 446 without a jsep.

    Attributes:
        srtp, srtp_profile: offer or demand SRTP by SDES (RFC 4568).
    """

    jsep: Jsep
    _: KW_ONLY
    info: str | None = None
    srtp: Srtp | None = None
    srtp_profile: str | None = None
    update: bool | None = None


@dataclass(frozen=True)
class Process(Parameters):
    """Make a jsep from the plain SDP of the far end."""

    type: Literal["offer", "answer"]
    sdp: str
    _: KW_ONLY
    info: str | None = None
    srtp: Srtp | None = None
    srtp_profile: str | None = None
    update: bool | None = None


@dataclass(frozen=True)
class Record(Parameters):
    """Start or stop recording each side, to MJR files whose names begin with `filename`."""

    action: Literal["start", "stop"]
    _: KW_ONLY
    audio: bool | None = None
    video: bool | None = None
    peer_audio: bool | None = None
    peer_video: bool | None = None
    filename: str | None = None


@dataclass(frozen=True)
class KeyFrame(Parameters):
    """Ask one side or the other for a key frame."""

    _: KW_ONLY
    user: bool | None = None
    peer: bool | None = None


@dataclass(frozen=True, slots=True)
class Generated:
    """Plain SDP for the far end."""

    type: Literal["offer", "answer"]
    sdp: str


@dataclass(frozen=True, slots=True)
class Processed:
    """The jsep for our side: an offer to be answered with `generate`, or the answer to ours."""

    jsep: Jsep
    srtp: str | None = None


@dataclass(frozen=True, slots=True)
class HangingUp:
    """The plugin closes the PeerConnection."""


NoSipEvent: TypeAlias = HangingUp


class NoSip(Facade[NoSipEvent]):
    """Facade of `janus.plugin.nosip`; all its requests are asynchronous."""

    package = "janus.plugin.nosip"
    short = "nosip"
    events = Events("result", {"hangingup": HangingUp})

    generate = Verb(Generate, into(Generated, within="result"))
    process = Verb(Process, into(Processed, within="result"))
    recording = Verb(Record, nothing)
    keyframe = Verb(KeyFrame, nothing)
    #: end the bridge; the PeerConnection is closed too
    plugin_hangup = Verb(Nothing, nothing, request="hangup")
