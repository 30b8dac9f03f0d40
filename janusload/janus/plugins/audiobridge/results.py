"""What the AudioBridge answers. Fields that only some versions send have defaults."""

from __future__ import annotations

from dataclasses import dataclass

from janusload.janus.plugins.audiobridge.events import Participant
from janusload.janus.plugins.verb import Id, Jsep


@dataclass(frozen=True, slots=True)
class Created:
    """A room that was made; `permanent` whether it got into the configuration file."""

    room: Id
    permanent: bool


@dataclass(frozen=True, slots=True)
class Room:
    """A room in the list."""

    room: Id
    description: str
    sampling_rate: int
    pin_required: bool
    record: bool
    num_participants: int
    spatial_audio: bool = False
    muted: bool = False


@dataclass(frozen=True, slots=True)
class RtpTarget:
    """Where a plain-RTP participant sends its audio; `payload_type` of Opus."""

    ip: str
    port: int
    payload_type: int | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """We are in.

    Attributes:
        id: ours in the room.
        participants: who was there before.
        jsep: the answer to our offer, or Janus's offer; None if neither was asked for.
        rtp: where to send plain RTP; None with WebRTC.
    """

    room: Id
    id: Id
    participants: tuple[Participant, ...]
    jsep: Jsep | None = None
    rtp: RtpTarget | None = None


@dataclass(frozen=True, slots=True)
class RoomChanged:
    """We are in another room, under a new id."""

    room: Id
    id: Id
    participants: tuple[Participant, ...]


@dataclass(frozen=True, slots=True)
class Configured:
    """It was done; with a jsep if one was sent, or asked for with `generate_offer`."""

    jsep: Jsep | None = None


@dataclass(frozen=True, slots=True)
class Forwarding:
    """A forwarder that was made."""

    room: Id
    stream_id: int
    host: str
    port: int
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Forwarder:
    """A forwarder in the list."""

    stream_id: int
    ip: str
    port: int
    ssrc: int | None = None
    codec: str | None = None
    ptype: int | None = None
    srtp: bool = False
    always_on: bool = False
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Playing:
    """A file that begins to be played."""

    room: Id
    file_id: str


@dataclass(frozen=True, slots=True)
class Announcement:
    """A file in the list of those that are played."""

    file_id: str
    filename: str | None = None
    playing: bool | None = None
    loop: bool | None = None
