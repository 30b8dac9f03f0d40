"""A plugin's request as data: its parameters are a frozen dataclass, and a facade is a table of verbs.

::

    @dataclass(frozen=True)
    class OfRoom(Parameters):
        room: RoomId

    class AudioBridge(Facade[...]):
        exists = Verb(OfRoom, key("exists", bool))

    bridge.exists(1234, timeout_s=2)         # -> bool; sends {"request": "exists", "room": 1234}
    AudioBridge.exists.body(1234)            # only the body, for who sends it by other means

Signatures and results are typed: the method takes what the dataclass takes and returns what its reader reads. Only what
is not None is sent.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar, overload

from pydantic import TypeAdapter, ValidationError

from janusload.errors import ProtocolViolation, UsageError
from janusload.janus.handle import Handle, Reply

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

#: an SDP with its type, as Janus and the media engine exchange it: {"type": "offer", "sdp": "v=0..."}
Jsep: TypeAlias = dict[str, Any]
#: rooms, participants, feeds: integers unless the plugin's configuration says `string_ids`
Id: TypeAlias = int | str
#: as Janus tells it: (1, 1, 2)
Version: TypeAlias = tuple[int, int, int]

#: fields of parameters that are no part of the body
_BESIDE_THE_BODY = ("timeout_s", "jsep")


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What a request takes; a field is a parameter on the wire, under its own name or as `named` says.

    A field `jsep` takes an SDP, which is sent beside the body.

    Attributes:
        timeout_s: T for this request; None for that of the connection. Not sent.
    """

    timeout_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class WithJsep(Parameters):
    """What a request takes that may carry an SDP; one that must have it says so itself."""

    jsep: Jsep | None = None


def named(wire: str) -> Any:
    """A parameter, None by default, that the wire calls otherwise."""
    return dataclasses.field(default=None, metadata={"wire": wire})


def hidden() -> Any:
    """A parameter, None by default, that is a secret: it is sent, and never shown."""
    return dataclasses.field(default=None, repr=False)


def since(version: Version) -> Any:
    """A parameter, None by default, that older versions ignore in silence: refused where the server is older."""
    return dataclasses.field(default=None, metadata={"since": version})


def before(version: Version) -> Any:
    """A parameter, None by default, that this version and later ones ignore in silence: refused there."""
    return dataclasses.field(default=None, metadata={"before": version})


class Verb(Generic[P, R]):
    """A request of a plugin: a method of its facade.

    Args:
        parameters: the dataclass with what it takes.
        read: makes the result from the plugin's reply.
        request: the `request` on the wire, where it is not the name of the attribute; "" sends none.

    Attributes:
        name: for records, behind the plugin's short name.
        package, short: of the plugin.

    Calling it raises PluginError, CoreError and what else `Handle.message` raises, ProtocolViolation if the answer is
    not what it has to be, and UsageError for a parameter that this version of Janus would ignore in silence.
    """

    def __init__(
        self, parameters: Callable[P, Parameters], read: Callable[[Reply], R], *, request: str | None = None
    ) -> None:
        self.parameters = parameters
        self.read = read
        self.name = request or ""
        self.package = ""
        self.short = ""
        self._request = request
        self.__doc__ = parameters.__doc__

    def __set_name__(self, owner: type[Handle], name: str) -> None:
        self.name = self.name or name
        self.package = owner.package
        self.short = owner.short
        if self._request is None:
            self._request = name

    @overload
    def __get__(self, handle: None, owner: type) -> Verb[P, R]: ...
    @overload
    def __get__(self, handle: Handle, owner: type) -> Callable[P, R]: ...
    def __get__(self, handle: Handle | None, owner: type) -> Any:
        return self if handle is None else functools.partial(self._call, handle)

    def body(self, *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        """The body of the request."""
        return self.body_of(self.parameters(*args, **kwargs))

    def body_of(self, parameters: Parameters) -> dict[str, Any]:
        """The body of the request with these parameters."""
        body = _on_the_wire(parameters)
        return {"request": self._request, **body} if self._request else body

    def answer(self, reply: Reply) -> R:
        """What a reply means.

        Raises:
            ProtocolViolation: it lacks what it must carry.
        """
        try:
            return self.read(reply)
        except ValidationError as error:
            raise ProtocolViolation(f"{self.short}.{self.name}: no such answer was due: {_fault(error)}") from None

    def read_data(self, data: dict[str, Any]) -> R:
        """What data mean that came by another way than a message, and so without a jsep; raises as `answer`."""
        return self.answer(Reply(data, None))

    def _call(self, handle: Handle, *args: P.args, **kwargs: P.kwargs) -> R:
        parameters = self.parameters(*args, **kwargs)
        kind: Any = type(parameters)
        for name, fits in _bounded(kind):
            if getattr(parameters, name) is not None and not fits(server := handle.session.connection.version()):
                raise UsageError(
                    f"{self.short}.{self.name}: Janus {'.'.join(map(str, server))} ignores {name!r} without a word"
                )
        reply = handle.message(
            self.body_of(parameters),
            name=self.name,
            jsep=getattr(parameters, "jsep", None),
            timeout_s=parameters.timeout_s,
        )
        return self.answer(reply)


def nothing(reply: Reply) -> None:
    """Reads no result: that there was no error is all that it says."""


def jsep_of(reply: Reply) -> Jsep | None:
    """Reads the jsep that came with the reply, if one did."""
    return reply.jsep


def into(kind: type[T], within: str = "") -> Callable[[Reply], T]:
    """Reads the plugin's data, or the object `within` it, into a dataclass; its field `jsep`, if any, takes that."""

    def read(reply: Reply) -> T:
        data = reply.data.get(within) if within else reply.data
        return load(kind, {**data, "jsep": reply.jsep} if isinstance(data, dict) and reply.jsep is not None else data)

    return read


def key(name: str, kind: type[T], missing: T | None = None) -> Callable[[Reply], T]:
    """Reads one value out of the plugin's data; `missing` where Janus leaves it out."""
    return lambda reply: load(kind, reply.data.get(name, missing))


def load(kind: type[T], data: object) -> T:
    """`data`, as JSON gives it, as an instance of `kind`; what it does not know is left out.

    Raises:
        ValidationError: it does not fit.
    """
    any_kind: Any = kind
    loaded: T = _adapter(any_kind).validate_python(data)
    return loaded


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _fault(error: ValidationError) -> str:
    """The first thing that is wrong, without the value: it may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg']}"


def _on_the_wire(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        kind: Any = type(value)
        given = ((wire, getattr(value, name)) for name, wire in _sent(kind))
        return {wire: _on_the_wire(each) for wire, each in given if each is not None}
    if isinstance(value, list | tuple):
        return [_on_the_wire(each) for each in value]
    return value


@functools.cache
def _sent(kind: Any) -> tuple[tuple[str, str], ...]:
    return tuple(
        (field.name, field.metadata.get("wire", field.name))
        for field in dataclasses.fields(kind)
        if field.name not in _BESIDE_THE_BODY
    )


@functools.cache
def _bounded(kind: Any) -> tuple[tuple[str, Callable[[Version], bool]], ...]:
    return tuple(
        (field.name, functools.partial(_fits, field.metadata.get("since"), field.metadata.get("before")))
        for field in dataclasses.fields(kind)
        if "since" in field.metadata or "before" in field.metadata
    )


def _fits(first: Version | None, beyond: Version | None, version: Version) -> bool:
    return (first is None or version >= first) and (beyond is None or version < beyond)
