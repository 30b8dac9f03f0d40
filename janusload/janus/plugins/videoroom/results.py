"""What the VideoRoom answers, and what it says unasked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

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
    num_participants: int
    max_publishers: int
    pin_required: bool = False
    is_private: bool = False
    bitrate: int = 0
    audiocodec: str | None = None
    videocodec: str | None = None
    record: bool = False
    lock_record: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of a publisher."""

    type: str
    mindex: int
    mid: str
    codec: str | None = None
    description: str | None = None
    disabled: bool = False
    moderated: bool = False
    talking: bool | None = None


@dataclass(frozen=True, slots=True)
class Publisher:
    """Somebody who publishes."""

    id: Id
    streams: tuple[Stream, ...] = ()
    display: str | None = None
    talking: bool | None = None


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody in a room, who may publish or not."""

    id: Id
    publisher: bool
    display: str | None = None
    talking: bool | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """We are in.

    Attributes:
        id: ours in the room; others subscribe to it.
        private_id: for our own subscriptions, where the room asks for it.
        publishers: who publishes.
        jsep: the answer, if we published at once.
    """

    room: Id
    id: Id
    private_id: int
    publishers: tuple[Publisher, ...]
    description: str | None = None
    jsep: Jsep | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """We publish, with the answer to our offer; or a change was made, and there is none."""

    room: Id
    streams: tuple[Stream, ...] = ()
    audio_codec: str | None = None
    video_codec: str | None = None
    jsep: Jsep | None = None


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A stream that we get, in the m-line `mid`; from nobody if it is not `active`."""

    mid: str
    mindex: int
    type: str
    active: bool
    feed_id: Id | None = None
    feed_mid: str | None = None
    feed_display: str | None = None
    ready: bool = False
    send: bool = False
    codec: str | None = None


@dataclass(frozen=True, slots=True)
class Attached:
    """We are subscribed once we have answered this offer with `start`."""

    room: Id
    streams: tuple[Subscribed, ...]
    jsep: Jsep


@dataclass(frozen=True, slots=True)
class Updated:
    """Our subscriptions changed, by our wish or as a publisher went; `start` answers the offer, if there is one.

    A publisher goes so by `unpublish` or with its PeerConnection; of one that leaves or is kicked nothing is said here.
    """

    room: Id
    streams: tuple[Subscribed, ...] = ()
    jsep: Jsep | None = None


@dataclass(frozen=True, slots=True)
class Forwarder:
    """A forwarder of one stream."""

    stream_id: int
    type: str
    host: str
    port: int
    ssrc: int | None = None
    pt: int | None = None


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Forwarders that were made."""

    room: Id
    publisher_id: Id
    forwarders: tuple[Forwarder, ...]


@dataclass(frozen=True, slots=True)
class PublisherForwarders:
    """The forwarders of one publisher, as Janus lists them."""

    publisher_id: Id
    forwarders: tuple[dict[str, Any], ...] = field(default=())


# -- events ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PublishersChanged:
    """Somebody began to publish, or publishes something else now."""

    room: Id
    publishers: tuple[Publisher, ...]


@dataclass(frozen=True, slots=True)
class Joining:
    """Somebody joined; only in rooms with `notify_joining`."""

    room: Id
    joining: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unpublished:
    """Somebody no longer publishes; `ok` if it is us."""

    room: Id
    unpublished: Id


@dataclass(frozen=True, slots=True)
class Leaving:
    """Somebody left; `ok` if it is us, with a reason if we were kicked."""

    room: Id
    leaving: Id
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Kicked:
    """Somebody was kicked."""

    room: Id
    kicked: Id


@dataclass(frozen=True, slots=True)
class Moderated:
    """A stream was muted by a moderator, or no longer is."""

    room: Id
    id: Id
    mid: str
    moderation: str


@dataclass(frozen=True, slots=True)
class Talking:
    """Somebody began to talk, in rooms with `audiolevel_event`."""

    room: Id
    id: Id


@dataclass(frozen=True, slots=True)
class StoppedTalking:
    """Somebody no longer talks."""

    room: Id
    id: Id


@dataclass(frozen=True, slots=True)
class Destroyed:
    """The room is no more."""

    room: Id


VideoRoomEvent: TypeAlias = (
    PublishersChanged
    | Joining
    | Unpublished
    | Leaving
    | Kicked
    | Moderated
    | Talking
    | StoppedTalking
    | Updated
    | Destroyed
)
