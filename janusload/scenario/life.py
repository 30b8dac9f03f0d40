"""The life of a user: a list of steps, each a verb of Janus's world with what belongs to it.

A step is text (`"join"`, `"join record"`, `"talk 2 s..5 s"`, `"attach echotest"`) or one of two tables:
`{ repeat = 3, steps = [...] }` and `{ choose = [{ weight = 2, steps = [...] }, ...] }`. `faults_of` walks a life before
it is lived: what cannot be done at that place (mute before join) is a fault of the file and not of the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PlainValidator, Tag, WithJsonSchema

from janusload.scenario.quantities import CountRange, Span, span

PLUGINS = ("audiobridge", "echotest", "recordplay", "videoroom")
PluginName = Literal["audiobridge", "echotest", "recordplay", "videoroom"]
MediaKind = Literal["webrtc", "plain_rtp", "none"]


class Verb(StrEnum):
    """What a user can do."""

    CONNECT = "connect"  # open a WebSocket
    CREATE = "create"  # a Janus session
    ATTACH = "attach"  # a handle of a plugin
    JOIN = "join"  # a room, without audio
    PUBLISH = "publish"  # offer audio, and send it as soon as it is up
    JOIN_PUBLISH = "join+publish"  # both in one request
    SUBSCRIBE = "subscribe"  # to somebody who publishes in our video room
    PLAY = "play"  # the newest recording of RecordPlay
    MUTE = "mute"
    UNMUTE = "unmute"
    TALK = "talk"  # for so long
    LISTEN = "listen"  # send nothing for so long
    WAIT = "wait"  # for so long
    STAY = "stay"  # until the load ends
    RECORD = "record"  # to a file of one's own
    STOP_RECORDING = "stop-recording"
    RECORD_ROOM = "record-room"  # the mix of our room, from now on
    STOP_RECORDING_ROOM = "stop-recording-room"
    RECORD_ALL = "record-all"  # everybody in our room from now on, each to a file of his own
    STOP_RECORDING_ALL = "stop-recording-all"
    CHANGEROOM = "changeroom"  # to the next room
    LIST = "list"  # the participants of our room
    LEAVE = "leave"  # the room; audio stays up
    HANGUP = "hangup"  # the PeerConnection
    DETACH = "detach"  # the handle, with audio still flowing
    DESTROY = "destroy"  # the session
    DISCONNECT = "disconnect"  # close the WebSocket in order
    VANISH = "vanish"  # drop the WebSocket and all audio without a word
    PING = "ping"
    INFO = "info"


#: those that take a duration
LASTING = (Verb.TALK, Verb.LISTEN, Verb.WAIT)

#: those that may say `record` behind them: with the recording on before the first packet
RECORDED = (Verb.JOIN, Verb.JOIN_PUBLISH, Verb.PUBLISH)


class Act(NamedTuple):
    """One step: `span` for what lasts, `plugin` for `attach` (empty: that of the group), `record` to be recorded."""

    verb: Verb
    span: Span | None = None
    plugin: str = ""
    record: bool = False

    def __str__(self) -> str:
        return " ".join(str(word) for word in (self.verb, self.span or self.plugin, "record" * self.record) if word)


def act(value: object) -> Act:
    """`"talk 2 s..5 s"` to an `Act`. Raises ValueError."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{value!r} is no step: write a verb, as in 'join' or 'talk 2 s..5 s'")
    word, _, rest = value.strip().partition(" ")
    rest = rest.strip()
    if word not in set(Verb):
        raise ValueError(f"{word!r} is nothing that a user can do; known are {', '.join(Verb)}")
    verb = Verb(word)
    if verb in LASTING:
        if not rest:
            raise ValueError(f"{word!r} needs to know how long, as in '{word} 2 s' or '{word} 2 s..5 s'")
        return Act(verb, span(rest))
    if verb is Verb.ATTACH and rest:
        if rest not in PLUGINS:
            raise ValueError(f"{rest!r} is no plugin that users know; known are {', '.join(PLUGINS)}")
        return Act(verb, plugin=rest)
    if verb in RECORDED and rest == "record":
        return Act(verb, record=True)
    if rest:
        raise ValueError(f"{word!r} takes nothing behind it, not {rest!r}")
    return Act(verb)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _kind(value: object) -> str:
    if isinstance(value, Repeat) or (isinstance(value, dict) and "repeat" in value):
        return "repeat"
    if isinstance(value, Choose) or (isinstance(value, dict) and "choose" in value):
        return "choose"
    return "act"


def _act_schema() -> dict[str, Any]:
    plain = [verb.value for verb in Verb if verb not in LASTING]
    number = r"[0-9]+(\.[0-9]+)?\s*(ms|s|min|h)"
    lasting = "|".join(verb.value for verb in LASTING)
    return {
        "description": "a step, as in 'join' or 'talk 2 s..5 s'",
        "anyOf": [
            {"enum": plain},
            {"type": "string", "pattern": rf"^({lasting}) {number}(\s*\.\.\s*{number})?$"},
            {"type": "string", "pattern": rf"^attach ({'|'.join(PLUGINS)})$"},
            {"enum": [f"{verb} record" for verb in RECORDED]},
        ],
    }


class Repeat(_Table):
    """The same steps several times over."""

    repeat: CountRange
    steps: Annotated[list[Step], Field(min_length=1)]


class Way(_Table):
    """One of several ways; the greater its weight, the more often it is taken."""

    weight: Annotated[float, Field(gt=0, strict=False)] = 1.0
    steps: list[Step] = []


class Choose(_Table):
    """One of several ways, drawn anew each time."""

    choose: Annotated[list[Way], Field(min_length=2)]


Step = Annotated[
    Annotated[Act, PlainValidator(act), WithJsonSchema(_act_schema()), Tag("act")]
    | Annotated[Repeat, Tag("repeat")]
    | Annotated[Choose, Tag("choose")],
    Discriminator(_kind),
]

Repeat.model_rebuild()
Way.model_rebuild()
Choose.model_rebuild()


def acts_of(steps: Sequence[Act | Repeat | Choose]) -> Iterator[Act]:
    """Every act that may come, each place once."""
    for step in steps:
        if isinstance(step, Act):
            yield step
        elif isinstance(step, Repeat):
            yield from acts_of(step.steps)
        else:
            for way in step.choose:
                yield from acts_of(way.steps)


# -- walking a life before it is lived --------------------------------------------------------------------------------


@dataclass(frozen=True)
class State:
    """Where a user stands between two steps."""

    connected: bool = False
    session: bool = False
    plugin: str = ""
    joined: bool = False
    audio: bool = False
    recording: bool = False


@dataclass
class Walk:
    """Goes through a life without living it, for users of this plugin and this media."""

    plugin: str
    media: str
    faults: list[tuple[str, str]] = field(default_factory=list)

    def steps(self, steps: Sequence[Act | Repeat | Choose], state: State, where: str) -> State:
        for number, step in enumerate(steps):
            here = f"{where}.{number}"
            if isinstance(step, Act):
                state = self.act(step, state, here)
            elif isinstance(step, Repeat):
                state = self.repeat(step, state, here)
            else:
                state = self.choose(step, state, here)
        return state

    def repeat(self, step: Repeat, state: State, where: str) -> State:
        state = self.steps(step.steps, state, f"{where}.steps")
        if step.repeat.high > 1 and not self.faults:
            again = Walk(self.plugin, self.media)
            again.steps(step.steps, state, f"{where}.steps")
            self.faults += [(key, f"{reason} (the second time around)") for key, reason in again.faults]
        return state

    def choose(self, step: Choose, state: State, where: str) -> State:
        ends = [
            self.steps(way.steps, state, f"{where}.choose.{number}.steps") for number, way in enumerate(step.choose)
        ]
        if len(set(ends)) > 1:
            self.faults.append((where, "its ways end in different states: what comes next would not fit all of them"))
        return ends[0]

    def act(self, step: Act, state: State, where: str) -> State:
        reason = self.obstacle(step, state)
        if reason:
            self.faults.append((where, f"{str(step)!r}: {reason}"))
        return after(step, state, self.plugin)

    def obstacle(self, step: Act, state: State) -> str:
        """Why it cannot be done here; empty if it can."""
        verb = step.verb
        if verb in (Verb.WAIT, Verb.STAY):
            return ""
        if verb is Verb.CONNECT:
            return "a WebSocket is open already" if state.connected else ""
        if not state.connected:
            return "no WebSocket is open here: 'connect' comes first"
        if verb in (Verb.DISCONNECT, Verb.VANISH, Verb.PING, Verb.INFO):
            return ""
        if verb is Verb.CREATE:
            return "there is a session already" if state.session else ""
        if not state.session:
            return "there is no session here: 'create' comes first"
        if verb is Verb.DESTROY:
            return ""
        if verb is Verb.ATTACH:
            return "a handle is attached already: 'detach' comes first" if state.plugin else ""
        if not state.plugin:
            return "no handle is attached here: 'attach' comes first"
        if step.record and state.recording:
            return "is being recorded already"
        return self._of_plugin(step, state)

    def _of_plugin(self, step: Act, state: State) -> str:
        verb, able = step.verb, _ABLE.get(step.verb)
        if able is not None and state.plugin not in able:
            return f"{state.plugin} cannot do that; {' and '.join(able)} can"
        rooms = state.plugin in ("audiobridge", "videoroom")
        starts = verb in (Verb.PUBLISH, Verb.JOIN_PUBLISH, Verb.PLAY, Verb.SUBSCRIBE)
        if starts and self.media == "none":
            return 'there is no audio to send: the group has media = "none"'
        if starts and self.media == "plain_rtp" and state.plugin != "audiobridge":
            return "plain RTP is something for audiobridge only"
        if step.record and verb is Verb.JOIN and state.plugin == "videoroom":
            return "there is no audio to record yet: write 'publish record'"
        if verb in (Verb.JOIN, Verb.JOIN_PUBLISH):
            return "is in a room already: 'changeroom' or 'leave' comes first" if state.joined else ""
        if verb in (Verb.PUBLISH, Verb.SUBSCRIBE, Verb.PLAY):
            if state.audio:
                return "audio is up already"
            return "is in no room here: 'join' comes first" if rooms and not state.joined else ""
        if verb in (Verb.TALK, Verb.LISTEN):
            return "" if state.audio else "no audio is up here: 'publish' comes first"
        if verb is Verb.RECORD and state.plugin == "recordplay":
            return "audio is up already" if state.audio else ""
        if verb is Verb.STOP_RECORDING:
            return "" if state.recording else "nothing is being recorded here: 'record' comes first"
        if verb is Verb.RECORD and state.plugin in ("echotest", "videoroom"):
            return "" if state.audio else "no audio is up here: 'publish' comes first"
        if verb in _IN_A_ROOM and rooms:
            return "" if state.joined else "is in no room here: 'join' comes first"
        return ""


_IN_A_ROOM = (
    *(Verb.MUTE, Verb.UNMUTE, Verb.RECORD, Verb.RECORD_ROOM, Verb.STOP_RECORDING_ROOM),
    *(Verb.RECORD_ALL, Verb.STOP_RECORDING_ALL, Verb.CHANGEROOM, Verb.LEAVE, Verb.LIST),
)
#: which plugins know a verb; those that are absent are known to all
_ABLE: dict[Verb, tuple[str, ...]] = {
    Verb.JOIN: ("audiobridge", "videoroom"),
    Verb.JOIN_PUBLISH: ("audiobridge", "videoroom"),
    Verb.PUBLISH: ("audiobridge", "echotest", "videoroom"),
    Verb.SUBSCRIBE: ("videoroom",),
    Verb.PLAY: ("recordplay",),
    Verb.MUTE: ("audiobridge",),
    Verb.UNMUTE: ("audiobridge",),
    Verb.RECORD: ("audiobridge", "echotest", "recordplay", "videoroom"),
    Verb.STOP_RECORDING: ("audiobridge", "echotest", "recordplay", "videoroom"),
    Verb.RECORD_ROOM: ("audiobridge",),
    Verb.STOP_RECORDING_ROOM: ("audiobridge",),
    Verb.RECORD_ALL: ("audiobridge", "videoroom"),
    Verb.STOP_RECORDING_ALL: ("audiobridge", "videoroom"),
    Verb.CHANGEROOM: ("audiobridge",),
    Verb.LIST: ("audiobridge", "videoroom"),
    Verb.LEAVE: ("audiobridge", "videoroom"),
}


def after(step: Act, state: State, default_plugin: str) -> State:
    """Where a user stands once a step is done."""
    match step.verb:
        case Verb.CONNECT:
            return State(connected=True)
        case Verb.DISCONNECT | Verb.VANISH:
            return State()
        case Verb.CREATE:
            return replace(state, connected=True, session=True)
        case Verb.DESTROY:
            return State(connected=True)
        case Verb.ATTACH:
            return replace(state, connected=True, session=True, plugin=step.plugin or default_plugin)
        case Verb.DETACH:
            return State(connected=True, session=True)
        case Verb.JOIN:
            return replace(state, joined=True, recording=state.recording or step.record)
        case Verb.LEAVE:
            return replace(state, joined=False, recording=False)
        case Verb.CHANGEROOM:  # Janus ends the recording
            return replace(state, recording=False)
        case Verb.JOIN_PUBLISH:
            return replace(state, joined=True, audio=True, recording=state.recording or step.record)
        case Verb.PUBLISH | Verb.PLAY | Verb.SUBSCRIBE:
            return replace(state, audio=True, recording=state.recording or step.record)
        case Verb.RECORD:
            return replace(state, recording=True, audio=state.audio or state.plugin == "recordplay")
        case Verb.STOP_RECORDING:
            return replace(state, recording=False)
        case Verb.HANGUP:
            return replace(state, joined=False, audio=False, recording=False)
    return state


def faults_of(steps: Sequence[Act | Repeat | Choose], *, plugin: str, media: str) -> list[tuple[str, str]]:
    """What cannot be done at its place, as (key within the life, reason); empty if nothing."""
    walk = Walk(plugin, media)
    walk.steps(steps, State(), "life")
    return walk.faults
