"""The one summary object: what a run came to. `analysis` makes it, `report` renders it, other tools read its JSON.

What is not known is absent from the JSON; nothing is filled in. `summary.json` carries `schema` = 1; a key that is
there keeps its meaning until that number changes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from janusload.summary.failure import Failure, FailureKind
from janusload.summary.onset import LatencyBin, Onset, OnsetStatus, Step, VirtualTimeout, load_unit
from janusload.summary.seen import (
    Gap,
    Generator,
    Leaks,
    Media,
    Memory,
    MemoryGrowth,
    MemoryState,
    RecordingFault,
    Recordings,
    RequestSummary,
    Server,
    Timeline,
)
from janusload.summary.values import Milliseconds, Part, Quantile, Quantiles, Rate, Share

__all__ = [
    "SCHEMA",
    "Failure",
    "FailureKind",
    "Gap",
    "Generator",
    "LatencyBin",
    "Leaks",
    "Media",
    "Memory",
    "MemoryGrowth",
    "MemoryState",
    "Milliseconds",
    "Onset",
    "OnsetStatus",
    "Quantile",
    "Quantiles",
    "Rate",
    "RecordingFault",
    "Recordings",
    "RequestSummary",
    "RunFacts",
    "Server",
    "Share",
    "Step",
    "Summary",
    "Threshold",
    "Timeline",
    "Verdict",
    "VirtualTimeout",
    "load_unit",
]

SCHEMA = 1


class Verdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class Threshold(Part):
    """One limit, as in `janus.create p95` `< 500 ms`.

    Attributes:
        judged: False where it cannot be told whether it was kept: the run can neither pass nor fail by it.
    """

    name: str
    limit: str
    value: str
    passed: bool
    judged: bool = True


class RunFacts(Part):
    """Enough to do it again.

    Attributes:
        climbs: whether the run was to find an onset.
        unread_bytes: record file -> bytes of it that could not be read: the half batch of a crash, or damage.
    """

    name: str
    asks: str | None = None
    started_utc: str
    duration_s: float
    end: str
    where: str
    command: str | None = None
    scenario: str | None = None
    versions: dict[str, str] = {}
    host: dict[str, Any] = {}
    server_info: dict[str, Any] = {}
    lab: dict[str, Any] | None = None
    seed: int | None = None
    climbs: bool = True
    unread_bytes: dict[str, int] = {}


class Summary(Part):
    """What `summary.json` holds.

    Attributes:
        onset_by_latency: the same rule with attempts ordered by how slow the ladder's `ping` was just before them, in
            bins of equal count; its load is that latency in ms. Where both agree, load is the cause.
        latency_bins: those bins, in the order of latency.
        sweep: virtual timeouts, ascending; the last is T.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    verdict: Verdict
    headline: str
    run: RunFacts
    onset: Onset
    onset_by_latency: Onset | None = None
    latency_bins: list[LatencyBin] = []
    sweep: list[VirtualTimeout] = []
    failure: Failure
    steps: list[Step]
    requests: dict[str, RequestSummary]
    media: Media | None = None
    server: Server | None = None
    log: dict[str, int] | None = None
    memory: Memory | None = None
    recordings: Recordings | None = None
    generator: Generator
    leaks: Leaks
    thresholds: list[Threshold] = []
    timeline: Timeline | None = None

    def to_json(self) -> str:
        """`summary.json`: unknown values are left out, except inside lists, where they hold a place."""
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Summary:
        return cls.model_validate_json(text)
