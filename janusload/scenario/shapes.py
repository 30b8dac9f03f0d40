"""The shapes of load: how much is asked, and how that changes over time."""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PlainValidator, Tag, WithJsonSchema, model_validator

from janusload.pacing import Leg
from janusload.scenario.quantities import PER_SECOND, Duration, Rate, Share, quantity


class Load(NamedTuple):
    """A load on one of two axes: requests per second, or users."""

    value: float
    users: bool

    def __str__(self) -> str:
        return f"{self.value:g} users" if self.users else f"{self.value:g}/s"


def load(value: object) -> Load:
    """`"60/s"` (requests) or `60` (users). Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"{value} users are no load: at least 1")
        return Load(float(value), users=True)
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no load: write '60/s' for requests or 60 for users")
    rate = quantity(value, PER_SECOND, "60/s")
    if rate <= 0:
        raise ValueError(f"{value!r} is no load: it must be above 0")
    return Load(rate, users=False)


AnyLoad = Annotated[
    Load,
    PlainValidator(load),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "description": "users"},
                {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*/(s|min)\s*$", "description": "requests"},
            ]
        }
    ),
]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    #: left out at the beginning of each step; None: max(T, 5 s) (measurement.md section 3)
    settle: Duration | None = None


class _Counted(_Shape):
    """A shape whose steps last until enough attempts count."""

    samples_per_step: Annotated[int, Field(ge=1)] = 600
    shortest: Duration = 8.0

    def lasts(self, rate_per_s: float, settle_s: float) -> float:
        """Seconds that a step takes while so many attempts a second are made."""
        counted_s = max(self.samples_per_step / rate_per_s if rate_per_s else 0.0, self.shortest)
        return math.ceil((settle_s + counted_s) * 1000) / 1000


class Steps(_Counted):
    """Load that climbs in steps; a confirmed bad step ends the climb.

    Attributes:
        rates: requests per second of each step; or
        users: users of each step.
        samples_per_step: attempts that count in each step; the step lasts long enough for them.
        shortest: how long a step counts at least.
    """

    kind: Literal["steps"] = "steps"
    rates: Annotated[list[Rate], Field(min_length=1)] | None = None
    users: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_axis(self) -> Steps:
        if (self.rates is None) == (self.users is None):
            raise ValueError('it needs either rates = ["10/s", ...] or users = [5, ...]')
        return self

    @property
    def by_users(self) -> bool:
        return self.users is not None

    def legs(self, stream_rate: float, settle_s: float) -> list[Leg]:
        loads = [float(count) for count in self.users] if self.users else self.rates or []
        return [Leg(load, load, self.lasts(stream_rate if self.users else load, settle_s)) for load in loads]


class Ramp(_Shape):
    """Load that climbs evenly; the analysis cuts it into bins of equal count."""

    kind: Literal["ramp"]
    begin: AnyLoad = Field(alias="from")
    end: AnyLoad = Field(alias="to")
    over: Duration

    @model_validator(mode="after")
    def _one_axis(self) -> Ramp:
        if self.begin.users != self.end.users:
            raise ValueError("'from' and 'to' must both be requests (\"10/s\") or both be users (10)")
        return self

    @property
    def by_users(self) -> bool:
        return self.begin.users

    def legs(self, stream_rate: float, settle_s: float) -> list[Leg]:
        return [Leg(self.begin.value, self.end.value, self.over)]


class Search(_Counted):
    """Grow until a step is bad, then halve the bracket until it is narrow; the server comes back between the steps.

    Attributes:
        begin: the first load.
        grow: each step is so many times the one before, until one is bad.
        within: the search ends when the bracket is so narrow.
        at_most: the highest load that is tried.
    """

    kind: Literal["search"]
    begin: AnyLoad = Field(alias="from")
    at_most: AnyLoad
    grow: Annotated[float, Field(gt=1.0, le=10.0, strict=False)] = 2.0
    within: Share = 0.1

    @model_validator(mode="after")
    def _one_axis(self) -> Search:
        if self.begin.users != self.at_most.users:
            raise ValueError("'from' and 'at_most' must both be requests (\"10/s\") or both be users (10)")
        if self.at_most.value <= self.begin.value:
            raise ValueError(f"at_most ({self.at_most}) must be above 'from' ({self.begin})")
        if self.within <= 0:
            raise ValueError("within must be above 0 %")
        return self

    @property
    def by_users(self) -> bool:
        return self.begin.users

    def legs(self, stream_rate: float, settle_s: float) -> list[Leg]:
        """The growing part: what is known before the first answer."""
        loads, load = [], self.begin.value
        while load < self.at_most.value:
            loads.append(load)
            load = math.ceil(load * self.grow) if self.by_users else load * self.grow
        loads.append(self.at_most.value)
        return [Leg(load, load, self.lasts(stream_rate if self.by_users else load, settle_s)) for load in loads]


class Spike(_Shape):
    """Low load with spikes in it: does it come back to what it was?"""

    kind: Literal["spike"]
    low: AnyLoad
    high: AnyLoad
    low_for: Duration
    high_for: Duration
    times: Annotated[int, Field(ge=1, le=1000)] = 1

    @model_validator(mode="after")
    def _one_axis(self) -> Spike:
        if self.low.users != self.high.users:
            raise ValueError("'low' and 'high' must both be requests (\"10/s\") or both be users (10)")
        if self.high.value <= self.low.value:
            raise ValueError(f"high ({self.high}) must be above low ({self.low})")
        return self

    @property
    def by_users(self) -> bool:
        return self.low.users

    def legs(self, stream_rate: float, settle_s: float) -> list[Leg]:
        low = Leg(self.low.value, self.low.value, self.low_for)
        high = Leg(self.high.value, self.high.value, self.high_for)
        return [low, high] * self.times + [low]


class Soak(_Shape):
    """The same load for a long time."""

    kind: Literal["soak"]
    load: AnyLoad
    lasts: Duration

    @property
    def by_users(self) -> bool:
        return self.load.users

    def legs(self, stream_rate: float, settle_s: float) -> list[Leg]:
        return [Leg(self.load.value, self.load.value, self.lasts)]


class Churn(_Shape):
    """Lives of the users begin at a rate of their own, whatever became of those before (open loop).

    A life that no free user can begin in time is counted as dropped, never begun later.
    """

    kind: Literal["churn"]
    lives: Rate
    lasts: Duration

    @property
    def by_users(self) -> bool:
        return True

    def legs(self, stream_rate: float, settle_s: float) -> list[Leg]:
        return [Leg(self.lives, self.lives, self.lasts)]


def _kind(value: object) -> str:
    return str(value.get("kind", "steps")) if isinstance(value, dict) else str(getattr(value, "kind", "steps"))


Shape = Annotated[
    Annotated[Steps, Tag("steps")]
    | Annotated[Ramp, Tag("ramp")]
    | Annotated[Search, Tag("search")]
    | Annotated[Spike, Tag("spike")]
    | Annotated[Soak, Tag("soak")]
    | Annotated[Churn, Tag("churn")],
    Discriminator(_kind),
]
