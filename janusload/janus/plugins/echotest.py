"""The EchoTest: sends back what it receives. The cheapest way through core, ICE, DTLS and SRTP with no shared room."""

from __future__ import annotations

from dataclasses import dataclass

from janusload.janus.plugins.facade import Events, Facade
from janusload.janus.plugins.verb import Jsep, Parameters, Verb, into, nothing


@dataclass(frozen=True, kw_only=True)
class Configure(Parameters):
    """What to send back, and whether to record it.

    Attributes:
        audio, video: whether they are sent back; an offer is answered whatever they say.
        bitrate: cap on video, in bit/s, by REMB.
        record, filename: record to MJR files; `-audio.mjr`, `-video.mjr` are put behind the name.
        audiocodec, videocodec: which to take from the offer.
    """

    audio: bool | None = None
    video: bool | None = None
    bitrate: int | None = None
    record: bool | None = None
    filename: str | None = None
    audiocodec: str | None = None
    videocodec: str | None = None


@dataclass(frozen=True)
class Start(Configure):
    """The same, with an offer."""

    jsep: Jsep


@dataclass(frozen=True, slots=True)
class Started:
    """The answer to our offer."""

    jsep: Jsep


@dataclass(frozen=True, slots=True)
class Done:
    """The PeerConnection is gone; the `hangup` event says why."""


class EchoTest(Facade[Done]):
    """Facade of `janus.plugin.echotest`; its messages carry no `request` field."""

    package = "janus.plugin.echotest"
    short = "echotest"
    events = Events("result", {"done": Done})

    start = Verb(Start, into(Started), request="")
    configure = Verb(Configure, nothing, request="")
