"""What the AudioBridge's requests take.

Required parameters come first and may be given by position, as in `join(1234, display="Ann")`; all others by keyword.
`secret` is the room's, needed if it has one; `admin_key` that of the plugin's configuration. Unknown parameters are
ignored by Janus without a word: those that only some versions know are refused here for the others.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from janusload.janus.plugins.verb import Id, Parameters, WithJsep, before, hidden, since

Codec = Literal["opus", "pcma", "pcmu"]

#: the jitter buffer of speexdsp replaced prebuffering (PR 3233)
_JITTER_BUFFER = (1, 2, 0)
#: suspend and resume (PR 3301)
_SUSPEND = (1, 2, 1)
#: RNNoise (PR 3185), where the build has it
_RNNOISE = (1, 2, 3)
#: plain RTP whose far end is told later (PR 3534)
_RTP_LATER = (1, 3, 2)


@dataclass(frozen=True)
class Nothing(Parameters):
    """It takes nothing."""


@dataclass(frozen=True)
class OfRoom(Parameters):
    """About a room, and needs no secret."""

    room: Id


@dataclass(frozen=True)
class WithSecret(OfRoom):
    """About a room."""

    _: KW_ONLY
    secret: str | None = hidden()


@dataclass(frozen=True)
class OfParticipant(Parameters):
    """About a participant of a room; PluginError 492 if there is none of this id."""

    room: Id
    id: Id
    _: KW_ONLY
    secret: str | None = hidden()


@dataclass(frozen=True)
class ListRooms(Parameters):
    """With the admin key the private rooms are listed too."""

    _: KW_ONLY
    admin_key: str | None = hidden()


@dataclass(frozen=True)
class Create(Parameters):
    """Create a room; its mixer thread starts at once. PluginError 486 if it exists, 499 for another sampling rate.

    Attributes:
        room: its number; Janus chooses one if there is none.
        sampling_rate: of the mix: 8000, 12000, 16000 (default), 24000 or 48000 Hz.
        spatial_audio: a stereo mix in which participants have places.
        allowed: tokens that may join; without it no token is needed.
        record, record_file, record_dir: record the mix to a WAV file.
        mjrs, mjrs_dir: record every participant to an MJR file of their own.
        allow_rtp_participants: whether `join` may come with `rtp`.
        audiolevel_event: send `talking` and `stopped-talking` (RFC 6464 levels decide).
        audio_active_packets: over how many packets the level is averaged (default 100).
        audio_level_average: below it, in -dBov, is talking (default 25; 127 is silence).
        default_expectedloss: percent, at most 20.
        default_bitrate: of Opus to participants, in bit/s; 0 lets libopus decide.
        default_prebuffering: packets that are held back, at most 50 (default 6, of 20 ms each). Before 1.2.0.
        denoise: RNNoise for all participants. From 1.2.3 on, and only in builds that have RNNoise.
        groups: names, at most 5, that participants may be tagged with for forwarders.
        permanent: also write it to the plugin's configuration file.
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
    sampling_rate: int | None = None
    spatial_audio: bool | None = None
    record: bool | None = None
    record_file: str | None = None
    record_dir: str | None = None
    mjrs: bool | None = None
    mjrs_dir: str | None = None
    allow_rtp_participants: bool | None = None
    audiolevel_ext: bool | None = None
    audiolevel_event: bool | None = None
    audio_active_packets: int | None = None
    audio_level_average: int | None = None
    default_expectedloss: int | None = None
    default_bitrate: int | None = None
    default_prebuffering: int | None = before(_JITTER_BUFFER)
    denoise: bool | None = since(_RNNOISE)
    groups: list[str] | None = None


@dataclass(frozen=True)
class Edit(Parameters):
    """Change a room; `permanent` also in the plugin's configuration file. An empty `new_pin` removes the pin."""

    room: Id
    _: KW_ONLY
    secret: str | None = hidden()
    new_description: str | None = None
    new_secret: str | None = hidden()
    new_pin: str | None = hidden()
    new_is_private: bool | None = None
    new_record_dir: str | None = None
    new_mjrs_dir: str | None = None
    permanent: bool | None = None


@dataclass(frozen=True)
class Destroy(Parameters):
    """Destroy a room; its participants are told, and stay attached."""

    room: Id
    _: KW_ONLY
    secret: str | None = hidden()
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
class EnableRecording(Parameters):
    """Start or stop recording the mix of a room to a WAV file; an unwritable path is only a line in Janus's log."""

    room: Id
    record: bool
    _: KW_ONLY
    record_file: str | None = None
    record_dir: str | None = None
    secret: str | None = hidden()


@dataclass(frozen=True)
class EnableMjrs(Parameters):
    """Start or stop recording every participant of a room to an MJR file of their own."""

    room: Id
    mjrs: bool
    _: KW_ONLY
    mjrs_dir: str | None = None
    secret: str | None = hidden()


@dataclass(frozen=True)
class Suspend(OfParticipant):
    """Neither mix a participant nor send it the mix, while its PeerConnection stays up."""

    _: KW_ONLY
    pause_events: bool | None = None
    stop_record: bool | None = None


@dataclass(frozen=True)
class Resume(OfParticipant):
    """Mix a suspended participant again; `record` to an MJR file named after `filename`."""

    _: KW_ONLY
    record: bool | None = None
    filename: str | None = None


@dataclass(frozen=True)
class PlainRtp:
    """How a participant without WebRTC takes part: where its audio goes; the answer says where to send.

    The room must have been created with `allow_rtp_participants`. Janus sends nothing before it has received a packet.

    Attributes:
        ip, port: where Janus is to send the mix. Without them nowhere; or until `configure` tells, from 1.3.2 on and
            if `generate_offer` was said to `join` (else it answers ok and does nothing).
        payload_type: of Opus, in both directions (default 100).
        audiolevel_ext: id of the audio level extension (RFC 6464) in what is sent to Janus.
        fec: whether Opus in-band FEC is used when a packet is missing.
    """

    ip: str | None = None
    port: int | None = None
    payload_type: int | None = None
    audiolevel_ext: int | None = None
    fec: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Taking(Parameters):
    """How to take part, the same for `join` and `changeroom`.

    Attributes:
        display: name to be shown to the others.
        token: for rooms that ask for one at the door.
        bitrate: of Opus to us, in bit/s; 0 lets libopus decide.
        quality: libopus's complexity, 1-10 (default 4); 0 is refused with 484, whatever the documentation says.
        expected_loss: percent, at most 20: how much FEC there is in what we are sent.
        volume: of ours in the mix, in percent.
        spatial_position: 0 is left, 50 the middle, 100 right; in rooms with `spatial_audio`.
        suspended, pause_events: join suspended. From 1.2.1 on.
        denoise: RNNoise for what we send. From 1.2.3 on.
    """

    id: Id | None = None
    group: str | None = None
    display: str | None = None
    token: str | None = hidden()
    muted: bool | None = None
    bitrate: int | None = None
    quality: int | None = None
    expected_loss: int | None = None
    volume: int | None = None
    spatial_position: int | None = None
    suspended: bool | None = since(_SUSPEND)
    pause_events: bool | None = since(_SUSPEND)
    denoise: bool | None = since(_RNNOISE)


@dataclass(frozen=True)
class Join(Taking, WithJsep):
    """Join a room, with an offer, with plain RTP, or with neither (then `configure` brings the offer).

    PluginError 485 no such room, 489 wrong pin, secret or token, 490 id in use, 491 joined already.

    Attributes:
        secret: the room's; makes us its admin, whom `mute_room` does not mute.
        codec: the answer's; G.711 wants packets of 20 ms.
        audio_level_average, audio_active_packets: instead of the room's.
        record, filename: record us to an MJR file; `-audio.mjr` is put behind the name.
        generate_offer: Janus offers; answer with `configure(jsep=...)`.
        rtp: take part without WebRTC.
        prebuffer: packets that are held back, at most 50. Before 1.2.0.
    """

    room: Id
    _: KW_ONLY
    pin: str | None = hidden()
    secret: str | None = hidden()
    codec: Codec | None = None
    audio_level_average: int | None = None
    audio_active_packets: int | None = None
    record: bool | None = None
    filename: str | None = None
    generate_offer: bool | None = None
    rtp: PlainRtp | None = None
    prebuffer: int | None = before(_JITTER_BUFFER)


@dataclass(frozen=True)
class ChangeRoom(Taking):
    """Leave our room and join another one over the same PeerConnection, under a new id."""

    room: Id


@dataclass(frozen=True)
class Configure(WithJsep):
    """Change how we take part, bring an offer, or answer Janus's.

    Attributes:
        record, filename: record us to an MJR file named after `filename`; a name alone is kept for the next recording.
        generate_offer, update: have Janus offer, or offer anew.
        rtp: move a plain-RTP participant; from 1.3.2 on.
        prebuffer: packets that are held back, at most 50. Before 1.2.0.
        denoise: RNNoise for what we send. From 1.2.3 on.
    """

    _: KW_ONLY
    muted: bool | None = None
    display: str | None = None
    bitrate: int | None = None
    quality: int | None = None
    expected_loss: int | None = None
    volume: int | None = None
    group: str | None = None
    spatial_position: int | None = None
    record: bool | None = None
    filename: str | None = None
    generate_offer: bool | None = None
    update: bool | None = None
    rtp: PlainRtp | None = since(_RTP_LATER)
    prebuffer: int | None = before(_JITTER_BUFFER)
    denoise: bool | None = since(_RNNOISE)


@dataclass(frozen=True)
class RtpForward(Parameters):
    """Send the mix of a room, or of a `group` in it, as RTP to somewhere.

    Attributes:
        ssrc: default: the id of the forwarder.
        ptype: payload type of Opus (default 100).
        srtp_suite, srtp_crypto: 32 or 80, and the key as in SDES (RFC 4568), to send SRTP.
        always_on: also while nobody is in the room.
    """

    room: Id
    host: str
    port: int
    _: KW_ONLY
    group: str | None = None
    ssrc: int | None = None
    codec: Codec | None = None
    ptype: int | None = None
    host_family: Literal["ipv4", "ipv6"] | None = None
    srtp_suite: Literal[32, 80] | None = None
    srtp_crypto: str | None = hidden()
    always_on: bool | None = None
    secret: str | None = hidden()
    admin_key: str | None = hidden()


@dataclass(frozen=True)
class StopRtpForward(Parameters):
    """End a forwarder."""

    room: Id
    stream_id: int
    _: KW_ONLY
    secret: str | None = hidden()
    admin_key: str | None = hidden()


@dataclass(frozen=True)
class PlayFile(Parameters):
    """Play a file of the server, Opus in Ogg, into the mix. PluginError 499 if it cannot be opened.

    Attributes:
        file_id: what the playing is called; Janus makes a name if there is none.
        loop: for ever.
    """

    room: Id
    filename: str
    _: KW_ONLY
    file_id: str | None = None
    group: str | None = None
    loop: bool | None = None
    secret: str | None = hidden()
    admin_key: str | None = hidden()


@dataclass(frozen=True)
class OfFile(Parameters):
    """About a file that is played."""

    room: Id
    file_id: str
    _: KW_ONLY
    secret: str | None = hidden()
