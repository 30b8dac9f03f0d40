"""What the VideoRoom's requests take.

Required parameters come first and may be given by position; all others by keyword. `secret` is the room's, needed if it
has one; `admin_key` that of the plugin's configuration.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

from janusload.janus.plugins.verb import Id, Jsep, Parameters, WithJsep, hidden


@dataclass(frozen=True)
class Nothing(Parameters):
    """It takes nothing."""


@dataclass(frozen=True)
class ListRooms(Parameters):
    """With the admin key the private rooms are listed too."""

    _: KW_ONLY
    admin_key: str | None = hidden()


@dataclass(frozen=True)
class OfRoom(Parameters):
    """About a room."""

    room: Id
    _: KW_ONLY
    secret: str | None = hidden()


@dataclass(frozen=True)
class OfParticipant(Parameters):
    """About somebody in a room; PluginError 428 if there is nobody of this id."""

    room: Id
    id: Id
    _: KW_ONLY
    secret: str | None = hidden()


@dataclass(frozen=True)
class Create(Parameters):
    """Create a room. PluginError 427 if it exists.

    Attributes:
        room: its number; Janus chooses one if there is none.
        publishers: how many may publish at a time (default 3); one more is refused with 432.
        bitrate: what video is capped to by REMB, in bit/s; `bitrate_cap` keeps publishers from raising it.
        fir_freq: a key frame is asked for every so many seconds; 0 never.
        audiocodec, videocodec: in order of preference, with commas.
        require_pvtid: subscribers must give the `private_id` of a publisher.
        record, rec_dir: record publishers to MJR files; with `lock_record` only who has the secret may change that.
        notify_joining: tell everybody of who joins, not only of who publishes.
        dummy_publisher, dummy_streams: a placeholder that can be subscribed to.
    """

    room: Id | None = None
    _: KW_ONLY
    admin_key: str | None = hidden()
    permanent: bool | None = None
    description: str | None = None
    secret: str | None = hidden()
    pin: str | None = hidden()
    is_private: bool | None = None
    allowed: list[str] | None = None
    require_pvtid: bool | None = None
    signed_tokens: bool | None = None
    require_e2ee: bool | None = None
    publishers: int | None = None
    bitrate: int | None = None
    bitrate_cap: bool | None = None
    fir_freq: int | None = None
    audiocodec: str | None = None
    videocodec: str | None = None
    vp9_profile: str | None = None
    h264_profile: str | None = None
    opus_fec: bool | None = None
    opus_dtx: bool | None = None
    audiolevel_ext: bool | None = None
    audiolevel_event: bool | None = None
    audio_active_packets: int | None = None
    audio_level_average: int | None = None
    videoorient_ext: bool | None = None
    playoutdelay_ext: bool | None = None
    transport_wide_cc_ext: bool | None = None
    record: bool | None = None
    rec_dir: str | None = None
    lock_record: bool | None = None
    notify_joining: bool | None = None
    dummy_publisher: bool | None = None
    dummy_streams: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class Edit(OfRoom):
    """Change a room."""

    _: KW_ONLY
    new_description: str | None = None
    new_secret: str | None = hidden()
    new_pin: str | None = hidden()
    new_is_private: bool | None = None
    new_require_pvtid: bool | None = None
    new_bitrate: int | None = None
    new_fir_freq: int | None = None
    new_publishers: int | None = None
    new_lock_record: bool | None = None
    new_rec_dir: str | None = None
    permanent: bool | None = None


@dataclass(frozen=True)
class Destroy(OfRoom):
    """Destroy a room; everybody in it is told."""

    _: KW_ONLY
    permanent: bool | None = None


@dataclass(frozen=True)
class Allowed(Parameters):
    """Ask for tokens at the door or not (`enable`, `disable`), let tokens in or not (`add`, `remove`)."""

    room: Id
    action: Literal["enable", "disable", "add", "remove"]
    _: KW_ONLY
    allowed: list[str] | None = None
    secret: str | None = hidden()


@dataclass(frozen=True)
class Moderate(Parameters):
    """Mute a stream of a publisher for all its subscribers, or no longer."""

    room: Id
    id: Id
    mid: str
    mute: bool
    _: KW_ONLY
    secret: str | None = hidden()


@dataclass(frozen=True)
class EnableRecording(Parameters):
    """Record all publishers of a room to MJR files, or no longer."""

    room: Id
    record: bool
    _: KW_ONLY
    secret: str | None = hidden()


@dataclass(frozen=True)
class ForwardedStream:
    """Which stream goes where, and how; `host` if another than that of the request."""

    mid: str
    port: int
    host: str | None = None
    host_family: Literal["ipv4", "ipv6"] | None = None
    rtcp_port: int | None = None
    ssrc: int | None = None
    pt: int | None = None
    simulcast: bool | None = None
    srtp_suite: Literal[32, 80] | None = None
    srtp_crypto: str | None = hidden()


@dataclass(frozen=True)
class RtpForward(Parameters):
    """Send streams of a publisher as RTP to somewhere."""

    room: Id
    publisher_id: Id
    host: str
    streams: list[ForwardedStream]
    _: KW_ONLY
    host_family: Literal["ipv4", "ipv6"] | None = None
    secret: str | None = hidden()
    admin_key: str | None = hidden()


@dataclass(frozen=True)
class StopRtpForward(Parameters):
    """End a forwarder."""

    room: Id
    publisher_id: Id
    stream_id: int
    _: KW_ONLY
    secret: str | None = hidden()
    admin_key: str | None = hidden()


# -- publishers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Description:
    """What a stream of ours is called."""

    mid: str
    description: str


@dataclass(frozen=True)
class OwnStream:
    """What is to become of a stream of ours."""

    mid: str
    send: bool | None = None
    keyframe: bool | None = None
    min_delay: int | None = None
    max_delay: int | None = None


@dataclass(frozen=True, kw_only=True)
class Publishing(Parameters):
    """How to publish, the same for `publish`, `configure` and `joinandconfigure`.

    Attributes:
        audiocodec, videocodec: which to take from the offer.
        bitrate: what our video is capped to, in bit/s; 0 for no cap.
        keyframe: ask us for a key frame.
        record, filename: record us to MJR files; `-audio-N.mjr` and the like are put behind the name.
        descriptions: what our streams are called.
        restart, update: of ICE; renegotiate.
    """

    audiocodec: str | None = None
    videocodec: str | None = None
    bitrate: int | None = None
    keyframe: bool | None = None
    record: bool | None = None
    filename: str | None = None
    display: str | None = None
    audio_level_average: int | None = None
    audio_active_packets: int | None = None
    descriptions: list[Description] | None = None
    restart: bool | None = None
    update: bool | None = None


@dataclass(frozen=True)
class Join(Parameters):
    """Join a room as somebody who may publish, and hears of those who do. PluginError 426, 433, 436."""

    room: Id
    _: KW_ONLY
    id: Id | None = None
    display: str | None = None
    pin: str | None = hidden()
    token: str | None = hidden()
    ptype: str = field(default="publisher", init=False)


@dataclass(frozen=True)
class Publish(Publishing):
    """Begin to publish, with an offer. PluginError 432 if as many publish as may."""

    jsep: Jsep


@dataclass(frozen=True)
class Configure(Publishing, WithJsep):
    """Change how we publish, `streams` one by one; begin to, or renegotiate, if there is an offer."""

    _: KW_ONLY
    streams: list[OwnStream] | None = None


@dataclass(frozen=True)
class JoinAndConfigure(Publishing):
    """Join and publish in one go."""

    room: Id
    jsep: Jsep
    _: KW_ONLY
    id: Id | None = None
    pin: str | None = hidden()
    token: str | None = hidden()
    ptype: str = field(default="publisher", init=False)


# -- subscribers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Feed:
    """What to subscribe to: everything of a publisher, or one stream of theirs (`mid`).

    Attributes:
        crossrefid: comes back with the subscription.
        sub_mid: the m-line of ours in which it is to come; only where a stream is switched or unsubscribed.
    """

    feed: Id | None = None
    mid: str | None = None
    crossrefid: str | None = None
    sub_mid: str | None = None
    send: bool | None = None
    substream: int | None = None
    temporal: int | None = None
    fallback: int | None = None
    spatial_layer: int | None = None
    temporal_layer: int | None = None
    min_delay: int | None = None
    max_delay: int | None = None


@dataclass(frozen=True)
class JoinSubscriber(Parameters):
    """Subscribe to publishers; Janus offers. PluginError 428 no such feed.

    Attributes:
        private_id: of the publisher that we are, where the room asks for it.
        use_msid: put the publishers' ids into the SDP.
        autoupdate: whether Janus offers anew by itself when a publisher goes (it does).
    """

    room: Id
    streams: list[Feed]
    _: KW_ONLY
    private_id: int | None = None
    use_msid: bool | None = None
    autoupdate: bool | None = None
    pin: str | None = hidden()
    token: str | None = hidden()
    ptype: str = field(default="subscriber", init=False)


@dataclass(frozen=True)
class Start(WithJsep):
    """Answer an offer of Janus's, or (without a jsep) go on after `pause`."""


@dataclass(frozen=True)
class SubscribedStream:
    """What we want of a stream that we get: `mid` is our m-line."""

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
class ConfigureSubscriber(Parameters):
    """Change what we get; `restart` has Janus offer anew."""

    _: KW_ONLY
    streams: list[SubscribedStream] | None = None
    restart: bool | None = None


@dataclass(frozen=True)
class Subscription(Parameters):
    """What to subscribe to, to unsubscribe from, or to switch to."""

    streams: list[Feed]


@dataclass(frozen=True)
class Update(Parameters):
    """Subscribe and unsubscribe in one go."""

    _: KW_ONLY
    subscribe: list[Feed] | None = None
    unsubscribe: list[Feed] | None = None
