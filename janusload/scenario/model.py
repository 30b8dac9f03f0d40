"""What a scenario file says, as frozen objects."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from janusload.pacing import Plateau, Schedule
from janusload.scenario.quantities import Bytes, Duration, Rate, Share


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LabTable(_Table):
    """The private Janus that the scenario is meant for.

    Attributes:
        cpu: CPU time that Janus may use, as a share of one core (`"20 %"`); absent for no limit.
        memory: memory limit; absent for no limit.
    """

    cpu: Share | None = None
    memory: Bytes | None = None


class Rooms(_Table):
    """AudioBridge rooms; users are dealt out to them in turn."""

    count: Annotated[int, Field(ge=1)] = 1
    sampling_rate: Literal[8000, 12000, 16000, 24000, 48000] = 16000
    record: bool = False


class Users(_Table):
    """Closed-loop users who join a room, talk and leave.

    Attributes:
        name: begins the name of each of them, as in `talker-3`.
        spawn_rate: how many begin per second.
        clip: what they say: `speech`, `tone` or `silence`.
        stay: how long each stays before leaving and coming again; absent: until the load ends.
        mute_every: talk for so long, then be muted as long, and so on; absent: never muted.
        record: whether each of them is recorded to a file of its own.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]
    count: Annotated[int, Field(ge=1)]
    plugin: Literal["audiobridge"] = "audiobridge"
    spawn_rate: Rate = 4.0
    clip: Literal["speech", "tone", "silence"] = "speech"
    stay: Duration | None = None
    mute_every: Duration | None = None
    record: bool = False


class Stream(_Table):
    """The open-loop stream of requests under test.

    Attributes:
        timeout: T: an attempt without an answer within T of its write has timed out.
        connections: WebSockets that the arrivals are dealt out to in turn.
    """

    request: Literal["janus.create"] = "janus.create"
    timeout: Duration = 5.0
    connections: Annotated[int, Field(ge=1, le=10_000)] = 20


class Shape(_Table):
    """Load that climbs in steps.

    Attributes:
        rates: the steps, each `"N/s"`.
        samples_per_step: attempts that count in each step; the step lasts long enough for them.
        shortest: how long a step counts at least.
        settle: left out at the beginning of each step; absent: max(timeout, 5 s) (measurement.md section 3).
    """

    kind: Literal["steps"] = "steps"
    rates: Annotated[list[Rate], Field(min_length=1)]
    samples_per_step: Annotated[int, Field(ge=1)] = 600
    shortest: Duration = 8.0
    settle: Duration | None = None


class Recovery(_Table):
    """After the load: how long the server gets to come back."""

    at_most: Duration = 30.0


class OnsetTable(_Table):
    """What counts as `begins timing out` (measurement.md section 3)."""

    timeout_share: Share = 0.01
    quantile: Share = 0.95


class Scenario(_Table):
    """One scenario file."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,60}$")]
    asks: str
    seed: int = 1
    lab: LabTable | None = None
    rooms: Rooms = Rooms()
    users: list[Users] = []
    stream: Stream | None = None
    shape: Shape | None = None
    run_time: Duration | None = None
    recovery: Recovery = Recovery()
    onset: OnsetTable = OnsetTable()

    @model_validator(mode="after")
    def _stream_with_shape(self) -> Scenario:
        if (self.stream is None) != (self.shape is None):
            raise ValueError("[stream] and [shape] belong together: one says what is sent, the other how fast")
        if self.stream is None and not self.users:
            raise ValueError("nothing to do: it has neither [[users]] nor a [stream]")
        if self.stream is None and self.run_time is None:
            raise ValueError('without a [stream] it needs run_time, as in run_time = "20 s"')
        names = [group.name for group in self.users]
        if len(set(names)) < len(names):
            raise ValueError("two groups of [[users]] have the same name")
        return self

    @property
    def settle_s(self) -> float:
        """What is left out at the beginning of each step."""
        if self.stream is None or self.shape is None:
            return 0.0
        return max(self.stream.timeout, 5.0) if self.shape.settle is None else self.shape.settle

    @property
    def user_count(self) -> int:
        return sum(group.count for group in self.users)

    def schedule(self) -> Schedule | None:
        """The arrivals of the stream; None without one."""
        if self.shape is None:
            return None
        plateaus = []
        for rate in self.shape.rates:
            counted_s = max(self.shape.samples_per_step / rate, self.shape.shortest)
            plateaus.append(Plateau(rate, math.ceil((self.settle_s + counted_s) * 1000) / 1000))
        return Schedule(plateaus)
