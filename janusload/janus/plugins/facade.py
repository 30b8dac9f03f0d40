"""What the facades have in common beyond a handle: what the plugin says unasked, typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import ValidationError

from janusload.janus.events import Notification, PluginEvent
from janusload.janus.handle import Handle
from janusload.janus.plugins.verb import Verb, load

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Other:
    """Something that a plugin said unasked and that has no type of its own: all of it."""

    data: dict[str, Any]


class Events(Generic[E]):
    """How to tell a plugin's events apart.

    Args:
        word: the key whose value names the event; where that is an object, its `event` or `status` does. Where the key
            is missing, the value of `event` does.
        named: word -> type of event.
        keyed: for the word `event`, which many share: the key that only this type of event has -> type. First match
            first.
    """

    def __init__(self, word: str, named: Mapping[str, type[E]], keyed: Mapping[str, type[E]] | None = None) -> None:
        self._word = word
        self._named = named
        self._keyed = keyed or {}

    def read(self, data: dict[str, Any], jsep: object) -> E | Other:
        """The event that `data` is."""
        kind, content = self._kind(data)
        if kind is None:
            return Other(data)
        try:
            return load(kind, content if jsep is None else {**content, "jsep": jsep})
        except ValidationError:
            return Other(data)

    def _kind(self, data: dict[str, Any]) -> tuple[type[E] | None, dict[str, Any]]:
        word = data.get(self._word, data.get("event"))
        content = data
        if isinstance(word, dict):
            content = word
            word = content.get("event", content.get("status"))
        kind = self._named.get(word) if isinstance(word, str) else None
        if kind is None and word == "event":
            kind = next((kind for key, kind in self._keyed.items() if key in content), None)
        return kind, content


class Facade(Handle, Generic[E]):
    """A handle whose plugin is known: its requests are verbs, and what it says unasked is typed.

    Attributes:
        events: how this plugin's events are told apart.
        on_plugin_event: called with every event of the plugin, after `on_event`. Must not block.
    """

    events: ClassVar[Events[Any]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_plugin_event: Callable[[E | Other], None] | None = None

    @classmethod
    def verbs(cls) -> dict[str, Verb[Any, Any]]:
        """Every verb of this plugin, by the name of its method."""
        return {
            name: verb for each in reversed(cls.__mro__) for name, verb in vars(each).items() if isinstance(verb, Verb)
        }

    def listeners(self, notification: Notification) -> list[Callable[[Any], None]]:
        """Who is to be told of it, in order."""
        found = super().listeners(notification)
        return (
            found if self.on_plugin_event is None or not isinstance(notification, PluginEvent) else [*found, self._tell]
        )

    def read_event(self, notification: PluginEvent) -> E | Other:
        """The typed event in a plugin's notification, for who listens to those."""
        event: E | Other = self.events.read(notification.data, notification.jsep)
        return event

    def _tell(self, notification: PluginEvent) -> None:
        if self.on_plugin_event is not None:
            self.on_plugin_event(self.read_event(notification))
