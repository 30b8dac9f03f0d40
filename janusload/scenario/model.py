"""What a scenario file says, as frozen objects."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from janusload.pacing import Leg, deal, plateau
from janusload.scenario import together
from janusload.scenario.life import (
    Act,
    Choose,
    MediaKind,
    PluginName,
    Repeat,
    Step,
    Verb,
    acts_of,
    faults_of,
)
from janusload.scenario.limits import LimitText
from janusload.scenario.quantities import Bytes, BytesRate, Duration, DurationRange, Rate, Share, Span, Times
from janusload.scenario.shapes import Churn, Shape

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]


_SHARE = r"0?\.[0-9]*[1-9][0-9]*"
_Packets = Annotated[
    str,
    Field(pattern=rf"^(every:([2-9]|[1-9][0-9]+)|random:{_SHARE}|bursts:{_SHARE}:[0-9]+(\.[0-9]+)?)$"),
]
_Clip = Annotated[str, Field(pattern=r"^(speech|silence|silence:dtx|chirp|tone|tone:[0-9]{2,5}|file:.+)$")]


def several(faults: list[tuple[str, str]]) -> PydanticCustomError:
    """Several faults at once, each with its key below the table that is being read; `reading` takes them apart."""
    return PydanticCustomError("several", "{words}", {"words": "; ".join(r for _, r in faults), "faults": faults})


def _listed(value: object) -> object:
    """One table where a list of tables may stand."""
    return [value] if isinstance(value, dict) else value


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LabTable(_Table):
    """The private Janus that the scenario is meant for.

    Attributes:
        cpu: CPU time that Janus may use, as a share of one core (`"20 %"`); absent for no limit.
        memory: memory limit; absent for no limit.
        memory_optional: whether the run goes on without, and says so, where no memory limit can be set.
        recordings_disk: size of a disk of its own for the recordings, as `--recordings-disk` says it; absent for none.
        recordings_disk_speed: how much that disk takes (`"600 kB/s"`); absent for as much as it can.
        janus: which Janus, as `--janus` takes it: a version (`"1.4.1"`) or a path; absent for the installed one.
    """

    cpu: Share | None = None
    memory: Bytes | None = None
    memory_optional: bool = False
    recordings_disk: Bytes | None = None
    recordings_disk_speed: BytesRate | None = None
    janus: str | None = None

    @model_validator(mode="after")
    def _has_a_disk(self) -> LabTable:
        if self.recordings_disk_speed is not None and self.recordings_disk is None:
            raise several([("recordings_disk_speed", "it is the speed of a recordings_disk, and there is none")])
        return self


class RoomsTable(_Table):
    """AudioBridge (or VideoRoom) rooms of one kind.

    Attributes:
        name: what groups of users call them by.
        count: how many there are.
        users_each: how many users find room in each; absent: as many as come.
        record: whether the mix of each is recorded (AudioBridge).
        mjrs: whether each participant (VideoRoom: publisher) is, because the room says so: to a file of his own.
        talk_events: whether Janus tells who talks (AudioBridge).
        idle: nobody joins them: what does it cost that they are there?
    """

    name: Name = "rooms"
    plugin: Literal["audiobridge", "videoroom"] = "audiobridge"
    count: Annotated[int, Field(ge=1, le=10_000)] = 1
    users_each: Annotated[int, Field(ge=1)] | None = None
    sampling_rate: Literal[8000, 12000, 16000, 24000, 48000] = 16000
    record: bool = False
    mjrs: bool = False
    talk_events: bool = False
    idle: bool = False


class Impair(_Table):
    """A bad network between these users and the server, played by the sender (`media/impairment.py`).

    Attributes:
        loss: packets that do not leave: `every:2` (every other one), `random:0.1`, or `bursts:0.05:3` (that share of
            all, in runs of that mean length).
        duplicate: packets that leave twice.
        reorder: packets that are overtaken by the next one.
        delay: how long every packet is held back.
        jitter: for how much longer at most, at random.
    """

    loss: _Packets | None = None
    duplicate: _Packets | None = None
    reorder: _Packets | None = None
    delay: Duration | None = None
    jitter: Duration | None = None

    @property
    def wanted(self) -> dict[str, str | float]:
        """As the media engine takes it, moments in ms."""
        table: dict[str, str | float] = {}
        for key in ("loss", "duplicate", "reorder"):
            if (which := getattr(self, key)) is not None:
                table[key] = which
        for key in ("delay", "jitter"):
            if (seconds := getattr(self, key)) is not None:
                table[key] = seconds * 1000
        return table


class Users(_Table):
    """Closed-loop users who live the same life, over and over.

    Attributes:
        name: begins the name of each of them, as in `talker-3`.
        count: so many of them from the beginning; or
        weight: their part of those that the shape, or `people`, asks for.
        plugin: what `attach` attaches to.
        media: real WebRTC, plain RTP (AudioBridge), or none.
        rooms: which rooms they join; absent: the first that are not idle.
        spawn_rate: how many begin per second.
        clip: what they say: `speech`, `silence`, `silence:dtx`, `chirp`, `tone`, `tone:HERTZ` or `file:PATH`.
        codec, ptime: how it is encoded, and how long a packet lasts: `"20 ms"`, `"40 ms"` or `"60 ms"`.
        life: what they do, step by step; absent: what follows from `plugin`, `stay`, `mute_every` and `record`.
        pause: between two lives.
        lives: after so many a user has had enough; absent: they go on until the load ends.
        stay: how long each stays before leaving and coming again; absent: until the load ends.
        mute_every: talk for so long, then be muted as long, and so on; absent: never muted.
        record: whether each of them is recorded to a file of its own.
    """

    name: Name
    count: Annotated[int, Field(ge=1)] | None = None
    weight: Annotated[float, Field(gt=0, strict=False)] | None = None
    plugin: PluginName = "audiobridge"
    media: MediaKind = "webrtc"
    rooms: Name | None = None
    spawn_rate: Rate = 4.0
    clip: _Clip = "speech"
    codec: Literal["opus", "pcma", "pcmu"] = "opus"
    ptime: Literal["20 ms", "40 ms", "60 ms"] = "20 ms"
    impair: Impair = Impair()
    life: Annotated[list[Step], Field(min_length=1)] | None = None
    pause: DurationRange | None = None
    lives: Annotated[int, Field(ge=1)] | None = None
    stay: Duration | None = None
    mute_every: Duration | None = None
    record: bool = False

    @model_validator(mode="after")
    def _sound(self) -> Users:
        faults = []
        if self.count is not None and self.weight is not None:
            faults.append(("weight", "there is a count already: users have the one or the other"))
        if self.count is None and self.weight is None:
            faults.append(("count", "is missing (or weight, where the shape or people says how many there are)"))
        if self.life is not None:
            for key in ("stay", "mute_every", "record"):
                if getattr(self, key):
                    faults.append((key, "there is a life already, which says all that they do"))
        elif self.plugin != "audiobridge" and (self.mute_every or self.record):
            faults.append(("mute_every" if self.mute_every else "record", "write a life: this is for audiobridge only"))
        faults += faults_of(self.steps, plugin=self.plugin, media=self.media) if not faults else []
        if faults:
            raise several(faults)
        return self

    @property
    def steps(self) -> list[Act | Repeat | Choose]:
        """Their life, spelled out."""
        return self.life if self.life is not None else usual_life(self)

    @property
    def needs_rooms(self) -> bool:
        return any(act.verb in (Verb.JOIN, Verb.JOIN_PUBLISH, Verb.CHANGEROOM) for act in acts_of(self.steps))

    @property
    def plugins(self) -> set[str]:
        """Every plugin that they attach to."""
        return {act.plugin or self.plugin for act in acts_of(self.steps) if act.verb is Verb.ATTACH}

    @property
    def has_audio(self) -> bool:
        starts = (Verb.PUBLISH, Verb.JOIN_PUBLISH, Verb.PLAY, Verb.SUBSCRIBE)
        acts = list(acts_of(self.steps))
        recordplay = "recordplay" in self.plugins and any(act.verb is Verb.RECORD for act in acts)
        return recordplay or any(act.verb in starts for act in acts)


def usual_life(group: Users) -> list[Act | Repeat | Choose]:
    """What users do who were given no life: come, talk, leave."""
    stay = Act(Verb.STAY) if group.stay is None else Act(Verb.WAIT, Span(group.stay, group.stay))
    begin = [Act(Verb.CONNECT), Act(Verb.CREATE), Act(Verb.ATTACH)]
    end = [Act(Verb.DETACH), Act(Verb.DESTROY), Act(Verb.DISCONNECT)]
    if group.plugin == "audiobridge":
        middle = [Act(Verb.JOIN_PUBLISH if group.media != "none" else Verb.JOIN)]
        record = [Act(Verb.RECORD)] if group.record else []
        stop = [Act(Verb.STOP_RECORDING)] if group.record else []
        turns = _mute_turns(group.mute_every, group.stay) if group.mute_every else [stay]
        return [*begin, *middle, *record, *turns, *stop, Act(Verb.LEAVE), Act(Verb.HANGUP), *end]
    audio = group.media != "none"
    match group.plugin:
        case "videoroom":
            middle = [Act(Verb.JOIN_PUBLISH if audio else Verb.JOIN), stay, Act(Verb.LEAVE)]
        case "recordplay":
            middle = [Act(Verb.RECORD), stay, Act(Verb.STOP_RECORDING)] if audio else [stay]
        case _:
            middle = [Act(Verb.PUBLISH), stay] if audio else [stay]
    return [*begin, *middle, *([Act(Verb.HANGUP)] if audio else []), *end]


def _mute_turns(every: float, stay: float | None) -> list[Act | Repeat | Choose]:
    turn: list[Act | Repeat | Choose] = [
        Act(Verb.WAIT, Span(every, every)),
        Act(Verb.MUTE),
        Act(Verb.WAIT, Span(every, every)),
        Act(Verb.UNMUTE),
    ]
    if stay is None:
        return [Repeat.model_construct(repeat=Times(1_000_000, 1_000_000), steps=turn)]
    turns: list[Act | Repeat | Choose] = []
    left, muted = stay, False
    while left > 0:
        turns.append(Act(Verb.WAIT, Span(min(every, left), min(every, left))))
        left -= every
        if left > 0:
            turns.append(Act(Verb.UNMUTE if muted else Verb.MUTE))
            muted = not muted
    return [*turns, Act(Verb.UNMUTE)] if muted else turns


class Stream(_Table):
    """The open-loop stream of requests under test.

    Attributes:
        rate: requests per second where the shape says something else (users, lives).
        arrivals: evenly spaced, or a Poisson process with that rate.
        timeout: T: an attempt without an answer within T of its write has timed out.
        connections: WebSockets that the arrivals are dealt out to in turn.
    """

    request: Literal["janus.create", "janus.info", "janus.ping"] = "janus.create"
    rate: Rate | None = None
    arrivals: Literal["even", "poisson"] = "even"
    timeout: Duration = 5.0
    connections: Annotated[int, Field(ge=1, le=10_000)] = 20


class Probes(_Table):
    """The stall ladder beside the load.

    Attributes:
        every: how often each rung is asked.
        deadline: what each rung is given; absent: T, or 5 s without a stream.
    """

    every: Annotated[Duration, Field(ge=0.1)] = 1.0
    deadline: Duration | None = None


class Recovery(_Table):
    """After the load.

    Attributes:
        at_most: how long the server gets to come back.
        silent_for: a server that answers neither `ping` nor `create` for so long is loaded no further.
    """

    at_most: Duration = 30.0
    silent_for: Duration = 30.0


class OnsetTable(_Table):
    """What counts as `begins timing out` (measurement.md section 3)."""

    timeout_share: Share = 0.01
    quantile: Share = 0.95


class ServerTable(_Table):
    """The Janus that is loaded where no other is named on the command line.

    Attributes:
        url: `ws://HOST:PORT` or `wss://HOST:PORT`; secrets come from the environment, never from a file.
        admin: its Admin API, as `http://HOST:7088/admin`, as `--admin` takes it; absent: not to be asked.
    """

    url: Annotated[str, Field(pattern=r"^wss?://[^@\s]+$")]
    admin: Annotated[str, Field(pattern=r"^https?://[^@\s]+$")] | None = None


class Scenario(_Table):
    """One scenario file.

    Attributes:
        people: how many users the groups with a weight share, where the shape does not say it.
        limits: what must hold, as in `janus.create p95 < 500 ms`; else the run fails.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,60}$")]
    asks: str
    seed: int = 1
    lab: LabTable | None = None
    server: ServerTable | None = None
    rooms: Annotated[list[RoomsTable], BeforeValidator(_listed)] = []
    people: Annotated[int, Field(ge=1)] | None = None
    users: list[Users] = []
    stream: Stream | None = None
    shape: Shape | None = None
    run_time: Duration | None = None
    probes: Probes = Probes()
    recovery: Recovery = Recovery()
    onset: OnsetTable = OnsetTable()
    limits: list[LimitText] = []

    @model_validator(mode="after")
    def _fits_together(self) -> Scenario:
        faults = together.faults_of(self)
        if faults:
            raise several(faults)
        return self

    # -- what follows from it -------------------------------------------------------------------------------------

    @property
    def timeout_s(self) -> float:
        """T of the request under test; without a stream what the ladder is given."""
        return self.stream.timeout if self.stream is not None else 5.0

    @property
    def settle_s(self) -> float:
        """What is left out at the beginning of each step."""
        if self.shape is None or self.stream is None:
            return 0.0
        return max(self.stream.timeout, 5.0) if self.shape.settle is None else self.shape.settle

    @property
    def by_users(self) -> bool:
        """Whether users are the axis of load (else requests per second)."""
        return self.shape is not None and self.shape.by_users

    @property
    def axis(self) -> str:
        """What load counts."""
        if isinstance(self.shape, Churn):
            return "lives per second"
        if self.by_users:
            return "participants" if any(group.has_audio for group in self.users) else "users"
        return f"{self.stream.request if self.stream else 'janus.create'} per second"

    @property
    def unit(self) -> str:
        """The same, as it stands behind a number."""
        if isinstance(self.shape, Churn):
            return "lives/s"
        if self.by_users:
            return self.axis
        verb = self.stream.request.partition(".")[2] if self.stream else "create"
        return f"{verb}s/s"

    @property
    def stream_rate(self) -> float:
        """Requests per second of a stream that the shape does not drive; 0 without one."""
        return self.stream.rate or 0.0 if self.stream is not None else 0.0

    def legs(self) -> list[Leg]:
        """The load over time, as far as it is known before the first answer; loads on the axis."""
        if self.shape is not None:
            return self.shape.legs(self.stream_rate, self.settle_s)
        load = self.stream_rate or float(self.users_at(0))
        return [plateau(load, self.run_time or 0.0)]

    def users_at(self, load: float) -> int:
        """How many users there are when the shape asks for so much."""
        shaped = self.by_users and not isinstance(self.shape, Churn)
        return sum(group.count or 0 for group in self.users) + (round(load) if shaped else self.people or 0)

    @property
    def user_count(self) -> int:
        """The most users that there are at one time."""
        return max(self.users_at(max(leg.begin, leg.end)) for leg in self.legs())

    def most_of(self, group: Users) -> int:
        """The most users of a group that there are at one time."""
        if group.count is not None:
            return group.count
        weighted = [each for each in self.users if each.weight is not None]
        shares = deal(self.user_count - sum(each.count or 0 for each in self.users), [e.weight or 0 for e in weighted])
        return shares[weighted.index(group)]

    def rooms_of(self, group: Users) -> RoomsTable | None:
        """The rooms that a group joins; None if there are none for it."""
        for rooms in self.every_room:
            wanted = rooms.name == group.rooms if group.rooms else not rooms.idle and rooms.plugin in group.plugins
            if wanted:
                return rooms
        return None

    @property
    def every_room(self) -> list[RoomsTable]:
        """The rooms, with one of each kind that is needed where the file names none of it."""
        needed = [group for group in self.users if group.needs_rooms and group.rooms is None]
        plugins = sorted({plugin for group in needed for plugin in group.plugins} & {"audiobridge", "videoroom"})
        there = {rooms.plugin for rooms in self.rooms if not rooms.idle}
        usual = [RoomsTable.model_construct(name=f"usual-{p}", plugin=p) for p in plugins if p not in there]
        return [*self.rooms, *usual]

    @property
    def plugins(self) -> set[str]:
        """Short names of all plugins that the server must have."""
        found = {plugin for group in self.users for plugin in group.plugins}
        return found | {rooms.plugin for rooms in self.rooms}
