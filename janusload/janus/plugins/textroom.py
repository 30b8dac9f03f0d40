"""TextRoom: chat rooms over data channels (`janus.plugin.textroom`); here its side over the Janus API.

https://janus.conf.meetecho.com/docs/textroom. `setup` brings an offer with a data channel, which `ack` answers. Joining
and talking go over that channel, as JSON with `textroom` in the place of `request`; managing rooms goes here.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from janusload.janus.plugins.facade import Events, Facade
from janusload.janus.plugins.verb import Id, Jsep, Parameters, Verb, hidden, into, key, nothing


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
class Create(Parameters):
    """Create a room. PluginError 418 if it exists.

    Attributes:
        room: its number; Janus chooses one if there is none.
        history: how many messages are kept for those who join later.
        post: address of a web server that is sent every message.
    """

    room: Id | None = None
    _: KW_ONLY
    admin_key: str | None = hidden()
    description: str | None = None
    secret: str | None = hidden()
    pin: str | None = hidden()
    post: str | None = None
    is_private: bool | None = None
    history: int | None = None
    allowed: list[str] | None = None
    permanent: bool | None = None


@dataclass(frozen=True)
class Edit(OfRoom):
    """Change a room."""

    _: KW_ONLY
    new_description: str | None = None
    new_secret: str | None = hidden()
    new_pin: str | None = hidden()
    new_post: str | None = None
    new_is_private: bool | None = None
    permanent: bool | None = None


@dataclass(frozen=True)
class Destroy(OfRoom):
    """Destroy a room."""

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
class Kick(Parameters):
    """Throw somebody out. PluginError 423 if there is nobody of this name."""

    room: Id
    username: str
    _: KW_ONLY
    secret: str | None = hidden()


@dataclass(frozen=True)
class Announcement(Parameters):
    """Say something to a room in its own name."""

    room: Id
    text: str
    _: KW_ONLY
    secret: str | None = hidden()


@dataclass(frozen=True)
class Ack(Parameters):
    """Answer the offer of `setup`."""

    jsep: Jsep


@dataclass(frozen=True, slots=True)
class Offered:
    """Janus's offer, with a data channel."""

    jsep: Jsep


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
    pin_required: bool = False
    history: int = 0


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody in a room."""

    username: str
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The PeerConnection is gone."""


class TextRoom(Facade[Done]):
    """Facade of `janus.plugin.textroom`; what the rooms themselves say comes over the data channel, not here."""

    package = "janus.plugin.textroom"
    short = "textroom"
    events = Events("result", {"done": Done})

    setup = Verb(Nothing, into(Offered))
    ack = Verb(Ack, nothing)
    #: offer the data channel anew
    restart = Verb(Nothing, into(Offered))

    create = Verb(Create, into(Created))
    edit = Verb(Edit, nothing)
    destroy = Verb(Destroy, nothing)
    exists = Verb(OfRoom, key("exists", bool))
    list = Verb(ListRooms, key("list", tuple[Room, ...]))
    listparticipants = Verb(OfRoom, key("participants", tuple[Participant, ...]))
    #: the tokens; none come back after `disable`
    allowed = Verb(Allowed, key("allowed", tuple[str, ...], ()))
    kick = Verb(Kick, nothing)
    announcement = Verb(Announcement, nothing)
