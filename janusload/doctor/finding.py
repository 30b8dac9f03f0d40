"""One line of the doctor, and what a run plans to need."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from janusload.scenario import Scenario
from janusload.scenario.shapes import Churn


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    """What was looked at, what it is, and (unless it is well) what to do."""

    level: Level
    what: str
    words: str
    todo: str = ""


class Plans(NamedTuple):
    """What a run needs of the machine and the server.

    Attributes:
        users: the most at one time; `peers` of them have audio.
        rate_per_s: the most requests per second of the stream.
        plugins: short names.
    """

    users: int = 0
    peers: int = 0
    connections: int = 0
    rate_per_s: float = 0.0
    plugins: frozenset[str] = frozenset()

    @property
    def any(self) -> bool:
        """Whether anything is planned at all."""
        return self != Plans()

    def needs(self, what: str) -> str:
        """What a finding says of the plan, behind what there is; nothing where there is no plan."""
        return f"; the plan needs about {what}" if self.any else ""

    @property
    def files(self) -> int:
        """Open files: a socket per user and per connection of the stream, the ladder's, ours.

        UDP sockets are those of the media workers, which have a limit of their own.
        """
        return self.users + self.connections + 512

    @property
    def cores(self) -> float:
        """Cores of this machine, from measured cost (0.3 % of a core per participant, 0.2 ms per request of the
        stream, 0.05 % per user that only signals)."""
        return 0.003 * self.peers + 0.0002 * self.rate_per_s + 0.0005 * self.users


def plans_of(scenario: Scenario) -> Plans:
    """What a scenario needs."""
    peers = sum(scenario.most_of(group) for group in scenario.users if group.has_audio)
    stream = scenario.stream
    by_rate = not scenario.by_users and not isinstance(scenario.shape, Churn)
    most = max(max(leg.begin, leg.end) for leg in scenario.legs()) if by_rate and scenario.shape is not None else 0.0
    return Plans(
        users=scenario.user_count,
        peers=peers,
        connections=stream.connections if stream is not None else 0,
        rate_per_s=max(most, scenario.stream_rate),
        plugins=frozenset(scenario.plugins),
    )
