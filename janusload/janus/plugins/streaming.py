"""Streaming: what comes in as RTP or from a file goes out to viewers (`janus.plugin.streaming`).

https://janus.conf.meetecho.com/docs/streaming. `watch` brings Janus's offer and `start` takes our answer; `Status` says
`started` when it flows.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal, TypeAlias

from janusload.janus.plugins.facade import Events, Facade
from janusload.janus.plugins.verb import Id, Jsep, Parameters, Verb, WithJsep, hidden, into, key, nothing, since


@dataclass(frozen=True)
class Nothing(Parameters):
    """It takes nothing."""


@dataclass(frozen=True)
class ListMountpoints(Parameters):
    """With the admin key the private mountpoints are listed too."""

    _: KW_ONLY
    admin_key: str | None = hidden()


@dataclass(frozen=True)
class OfMountpoint(Parameters):
    """About a mountpoint; PluginError 455 if there is none of this id."""

    id: Id
    _: KW_ONLY
    secret: str | None = hidden()


@dataclass(frozen=True)
class Media:
    """A stream that a mountpoint takes in, as RTP.

    Attributes:
        mid: which m-line it becomes.
        port: where Janus listens for it; 0 lets it choose, and `create` says which.
        pt, codec, fmtp: as in SDP.
        mcast, iface: to take it from a multicast group.
        skew: correct the sender's clock.
    """

    type: Literal["audio", "video", "data"]
    mid: str
    port: int
    label: str | None = None
    msid: str | None = None
    pt: int | None = None
    codec: str | None = None
    fmtp: str | None = None
    rtcpport: int | None = None
    mcast: str | None = None
    iface: str | None = None
    skew: bool | None = None
    bufferkf: bool | None = None
    simulcast: bool | None = None
    port2: int | None = None
    port3: int | None = None
    svc: bool | None = None
    buffermsg: bool | None = None


@dataclass(frozen=True)
class Create(Parameters):
    """Create a mountpoint. PluginError 456 if it cannot be.

    Attributes:
        type: `rtp`, what comes in goes out; `live`, a file in a loop for all; `ondemand`, a file from its beginning for
            each viewer; `rtsp`, from a server.
        media: of `rtp`.
        filename, audiocodec, audiofmtp, audiopt: of `live` and `ondemand`: G.711 or Ogg-Opus.
        url, rtsp_user, rtsp_pwd: of `rtsp`.
        threads: helpers that share the viewers.
        collision: ms for which packets of another SSRC are thrown away.
    """

    type: Literal["rtp", "live", "ondemand", "rtsp"]
    _: KW_ONLY
    id: Id | None = None
    name: str | None = None
    description: str | None = None
    metadata: str | None = None
    secret: str | None = hidden()
    pin: str | None = hidden()
    is_private: bool | None = None
    permanent: bool | None = None
    admin_key: str | None = hidden()
    media: list[Media] | None = None
    threads: int | None = None
    collision: int | None = None
    srtpsuite: Literal[32, 80] | None = None
    srtpcrypto: str | None = hidden()
    playoutdelay_ext: bool | None = None
    e2ee: bool | None = None
    filename: str | None = None
    audiocodec: str | None = None
    audiofmtp: str | None = None
    audiopt: int | None = None
    url: str | None = None
    rtsp_user: str | None = None
    rtsp_pwd: str | None = hidden()


@dataclass(frozen=True)
class Edit(OfMountpoint):
    """Change a mountpoint; with `edited_event` its viewers are told of new metadata."""

    _: KW_ONLY
    new_description: str | None = None
    new_metadata: str | None = None
    new_secret: str | None = hidden()
    new_pin: str | None = hidden()
    new_is_private: bool | None = None
    permanent: bool | None = None
    edited_event: bool | None = None


@dataclass(frozen=True)
class Destroy(OfMountpoint):
    """Destroy a mountpoint; its viewers are hung up on."""

    _: KW_ONLY
    permanent: bool | None = None


@dataclass(frozen=True)
class Disable(OfMountpoint):
    """Let nobody watch; `stop_recording` (default true) also stops that.

    Beware: where nothing is recorded, both 1.1.2 and 1.4.1 crash (SIGSEGV) unless it is False.
    """

    _: KW_ONLY
    stop_recording: bool | None = None


@dataclass(frozen=True)
class RecordedMedia:
    """A stream to record; `filename` (a base name) only to start."""

    mid: str
    filename: str | None = None


@dataclass(frozen=True)
class Record(Parameters):
    """Start or stop recording what comes in, to MJR files."""

    id: Id
    action: Literal["start", "stop"]
    media: list[RecordedMedia]
    _: KW_ONLY
    secret: str | None = hidden()


@dataclass(frozen=True)
class Watch(Parameters):
    """Watch a mountpoint, or some m-lines of it. PluginError 455 none of this id, 457 wrong pin.

    Attributes:
        jsep: our offer, which Janus then answers (WHEP, PR 3199). From 1.1.4 on.
    """

    id: Id
    _: KW_ONLY
    jsep: Jsep | None = since((1, 1, 4))
    pin: str | None = hidden()
    media: list[str] | None = None
    restart: bool | None = None


@dataclass(frozen=True)
class Start(WithJsep):
    """Answer the offer of `watch`, or (without a jsep) go on after `pause`."""


@dataclass(frozen=True)
class WantedStream:
    """What we want of a stream that we watch."""

    mid: str
    send: bool | None = None
    substream: int | None = None
    temporal: int | None = None
    fallback: int | None = None
    spatial_layer: int | None = None
    temporal_layer: int | None = None
    min_delay: int | None = None
    max_delay: int | None = None


@dataclass(frozen=True)
class Configure(Parameters):
    """Change what we watch of a stream; several `streams` at once from 1.2.0 on (PR 3239)."""

    _: KW_ONLY
    mid: str | None = None
    send: bool | None = None
    substream: int | None = None
    temporal: int | None = None
    fallback: int | None = None
    spatial_layer: int | None = None
    temporal_layer: int | None = None
    min_delay: int | None = None
    max_delay: int | None = None
    streams: list[WantedStream] | None = since((1, 2, 0))


@dataclass(frozen=True, slots=True)
class Port:
    """Where a mountpoint listens for a stream."""

    type: str
    mid: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Mountpoint:
    """A mountpoint that was made."""

    id: Id
    type: str
    description: str | None = None
    is_private: bool = False
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class MountpointMedia:
    """A stream of a mountpoint; `age_ms` since the last packet, `port` only for who has the secret."""

    mid: str
    type: str
    label: str | None = None
    age_ms: int | None = None
    pt: int | None = None
    codec: str | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A mountpoint in the list."""

    id: Id
    type: str
    description: str | None = None
    metadata: str | None = None
    enabled: bool = True
    media: tuple[MountpointMedia, ...] = ()


@dataclass(frozen=True, slots=True)
class Info:
    """All about a mountpoint."""

    id: Id
    type: str
    name: str | None = None
    description: str | None = None
    metadata: str | None = None
    enabled: bool = True
    is_private: bool | None = None
    viewers: int | None = None
    media: tuple[MountpointMedia, ...] = ()


@dataclass(frozen=True, slots=True)
class Offered:
    """Janus's offer; or its answer, if we offered."""

    jsep: Jsep


@dataclass(frozen=True, slots=True)
class Status:
    """How watching goes: preparing, starting, started, pausing, stopping, stopped, ..."""

    status: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Edited:
    """The metadata of what we watch changed, where `edit` was told to say so."""

    id: Id
    metadata: str | None = None


StreamingEvent: TypeAlias = Status | Edited

_STATES = ("started", "stopped", "starting", "stopping", "pausing", "preparing", "updating")


class Streaming(Facade[StreamingEvent]):
    """Facade of `janus.plugin.streaming`."""

    package = "janus.plugin.streaming"
    short = "streaming"
    events: ClassVar[Events[StreamingEvent]] = Events("result", {**dict.fromkeys(_STATES, Status), "edited": Edited})

    create = Verb(Create, key("stream", Mountpoint))
    edit = Verb(Edit, nothing)
    destroy = Verb(Destroy, nothing)
    list = Verb(ListMountpoints, key("list", tuple[Listed, ...]))
    info = Verb(OfMountpoint, key("info", Info))
    enable = Verb(OfMountpoint, nothing)
    disable = Verb(Disable, nothing)
    recording = Verb(Record, nothing)
    kick_all = Verb(OfMountpoint, nothing)

    watch = Verb(Watch, into(Offered))
    start = Verb(Start, into(Status, within="result"))
    pause = Verb(Nothing, into(Status, within="result"))
    stop = Verb(Nothing, into(Status, within="result"))
    configure = Verb(Configure, nothing)
    #: watch another mountpoint over the same PeerConnection
    switch = Verb(OfMountpoint, nothing)
