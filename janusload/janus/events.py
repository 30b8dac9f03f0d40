"""What Janus says unasked, as typed records: one per kind, the raw message within reach.

Whatever is missing in a message, or is of the wrong type, becomes None (or the field's default): an event never raises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar


@dataclass(frozen=True, slots=True)
class Notification:
    """Something that Janus says unasked; of this very class if its kind is none of those below.

    Attributes:
        kind: the `janus` field.
        session_id, handle_id: whom it concerns; None where it names nobody.
        message: all of it, as it came.
        arrived_ns: when its frame arrived.
    """

    kind: str
    session_id: int | None
    handle_id: int | None
    message: dict[str, Any] = field(repr=False)
    arrived_ns: int


@dataclass(frozen=True, slots=True)
class WebrtcUp(Notification):
    """`webrtcup`: ICE and DTLS are done."""


@dataclass(frozen=True, slots=True)
class Media(Notification):
    """`media`: RTP began to arrive at Janus, or has not for `seconds`; said once per change.

    Attributes:
        mid, media: the m-line and its type, `audio` or `video`.
        receiving: whether Janus gets packets from us.
        substream: of simulcast; None without.
        seconds: Janus's no_media_timer; only where `receiving` is False.
    """

    mid: str | None = None
    media: str | None = None
    receiving: bool | None = None
    substream: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class SlowLink(Notification):
    """`slowlink`: packets were lost; only if Janus has a `slowlink_threshold`.

    Attributes:
        uplink: True where they were lost on their way from us to Janus.
        lost: packets, in the last second.
    """

    mid: str | None = None
    media: str | None = None
    uplink: bool | None = None
    lost: int | None = None


@dataclass(frozen=True, slots=True)
class Hangup(Notification):
    """`hangup`: the PeerConnection is torn down. `DTLS alert` is what a peer causes that closes its own end."""

    reason: str = "no reason given"


@dataclass(frozen=True, slots=True)
class Detached(Notification):
    """`detached`: the handle is gone: it was detached, kicked, or its session ended."""


@dataclass(frozen=True, slots=True)
class SessionTimeout(Notification):
    """`timeout`: Janus let the session expire. The WebSocket stays open."""


@dataclass(frozen=True, slots=True)
class Trickle(Notification):
    """`trickle`: a candidate of Janus's own; only with `full_trickle`.

    Attributes:
        candidate: with `candidate`, `sdpMid`, `sdpMLineIndex`; None where there are no more.
        completed: whether this is the end of candidates.
    """

    candidate: dict[str, Any] | None = None
    completed: bool = False


@dataclass(frozen=True, slots=True)
class PluginEvent(Notification):
    """`event`: a plugin's notification, also a further one about a request that has ended.

    Attributes:
        plugin: package name of the plugin.
        data: the plugin's own part.
        jsep: the offer or answer that came with it; None without.
    """

    plugin: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    jsep: dict[str, Any] | None = None


N = TypeVar("N", bound=Notification)


class Listeners:
    """Callbacks for kinds of notifications; what sessions and handles have in common.

    Attributes:
        on_event: called with every notification, after those for its kind. Must not block.
    """

    def __init__(self) -> None:
        self.on_event: Callable[[Notification], None] | None = None
        self._by_kind: dict[type[Notification], list[Callable[[Any], None]]] | None = None

    def on(self, kind: type[N], callback: Callable[[N], None]) -> None:
        """Have `callback` called with every notification of this kind, as in `handle.on(Hangup, ...)`.

        It runs where the frame is read: it must not block. What it raises is reported and stops nothing.
        """
        if self._by_kind is None:
            self._by_kind = {}
        self._by_kind.setdefault(kind, []).append(callback)

    def listeners(self, notification: Notification) -> list[Callable[[Any], None]]:
        """Who is to be told of it, in order."""
        found = list(self._by_kind.get(type(notification), ())) if self._by_kind is not None else []
        if self.on_event is not None:
            found.append(self.on_event)
        return found


def notification(message: dict[str, Any], arrived_ns: int) -> Notification:
    """The record of an unsolicited message; `message["janus"]` must be a string."""
    kind: str = message["janus"]
    read = _READERS.get(kind)
    head = (kind, _whole(message.get("session_id")), _whole(message.get("sender")), message, arrived_ns)
    return Notification(*head) if read is None else read(head, message)


_Head = tuple[str, int | None, int | None, dict[str, Any], int]


def _media(head: _Head, message: dict[str, Any]) -> Notification:
    seconds = message.get("seconds")
    return Media(
        *head,
        _text(message.get("mid")),
        _text(message.get("type")),
        _truth(message.get("receiving")),
        _whole(message.get("substream")),
        seconds if isinstance(seconds, int | float) and not isinstance(seconds, bool) else None,
    )


def _slowlink(head: _Head, message: dict[str, Any]) -> Notification:
    return SlowLink(
        *head,
        _text(message.get("mid")),
        _text(message.get("media")),
        _truth(message.get("uplink")),
        _whole(message.get("lost")),
    )


def _hangup(head: _Head, message: dict[str, Any]) -> Notification:
    reason = _text(message.get("reason"))
    return Hangup(*head) if reason is None else Hangup(*head, reason)


def _trickle(head: _Head, message: dict[str, Any]) -> Notification:
    candidate = _object(message.get("candidate"))
    # the end of candidates comes as {"completed": true} inside `candidate`, in place of it, or as null
    if candidate is None or candidate.get("completed") is True:
        return Trickle(*head, None, True)
    return Trickle(*head, candidate, False)


def _event(head: _Head, message: dict[str, Any]) -> Notification:
    wrapper = _object(message.get("plugindata")) or {}
    return PluginEvent(
        *head, _text(wrapper.get("plugin")) or "", _object(wrapper.get("data")) or {}, _object(message.get("jsep"))
    )


_READERS: dict[str, Callable[[_Head, dict[str, Any]], Notification]] = {
    "webrtcup": lambda head, _: WebrtcUp(*head),
    "media": _media,
    "slowlink": _slowlink,
    "hangup": _hangup,
    "detached": lambda head, _: Detached(*head),
    "timeout": lambda head, _: SessionTimeout(*head),
    "trickle": _trickle,
    "event": _event,
}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _object(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None
