"""What the AudioBridge says unasked, to everybody in a room except where it says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from janusload.janus.plugins.verb import Id


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody in a room.

    Attributes:
        setup: whether media flows.
        talking: only where audio levels are used.
        suspended: from 1.2.1 on. In the answer to `join` 1.4.1 says of everybody what is so of us, and leaves out whose
            events are paused: `listparticipants` tells the truth.
    """

    id: Id
    setup: bool
    muted: bool
    display: str | None = None
    talking: bool | None = None
    spatial_position: int | None = None
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class ParticipantJoined:
    """Somebody joined; media is not up yet."""

    room: Id
    participants: tuple[Participant, ...]


@dataclass(frozen=True, slots=True)
class ParticipantsChanged:
    """Somebody's media came up, or they were muted, renamed or moved."""

    room: Id
    participants: tuple[Participant, ...]


@dataclass(frozen=True, slots=True)
class Leaving:
    """Somebody left, or their PeerConnection was lost."""

    room: Id
    leaving: Id


@dataclass(frozen=True, slots=True)
class Kicked:
    """Somebody was kicked; who it was hears it too."""

    room: Id
    kicked: Id


@dataclass(frozen=True, slots=True)
class KickedAll:
    """Everybody was kicked; each hears of themselves."""

    room: Id
    kicked_all: Id


@dataclass(frozen=True, slots=True)
class RoomMuted:
    """The room was muted, or no longer is."""

    room: Id
    muted: bool


@dataclass(frozen=True, slots=True)
class Suspended:
    """Somebody was suspended (1.2.1)."""

    room: Id
    suspended: Id


@dataclass(frozen=True, slots=True)
class Resumed:
    """Somebody was resumed (1.2.1); who it was hears who is there, if their events were paused."""

    room: Id
    resumed: Id
    participants: tuple[Participant, ...] = ()


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
class AnnouncementStarted:
    """A file begins to be played."""

    room: Id
    file_id: str


@dataclass(frozen=True, slots=True)
class AnnouncementStopped:
    """A file has come to its end, or was stopped."""

    room: Id
    file_id: str


@dataclass(frozen=True, slots=True)
class Destroyed:
    """The room is no more."""

    room: Id


AudioBridgeEvent: TypeAlias = (
    ParticipantJoined
    | ParticipantsChanged
    | Leaving
    | Kicked
    | KickedAll
    | RoomMuted
    | Suspended
    | Resumed
    | Talking
    | StoppedTalking
    | AnnouncementStarted
    | AnnouncementStopped
    | Destroyed
)
