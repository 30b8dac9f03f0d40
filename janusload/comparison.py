"""What a comparison of runs came to: `analysis.compare` makes it, `report` renders it, `--json` prints it.

A key that is there keeps its meaning until `schema` changes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from janusload.summary import FailureKind, Onset, Step


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Change(StrEnum):
    """How the new state stands to the base."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    NOT_COMPARABLE = "not_comparable"


class Side(_Part):
    """One state that was compared: a run, or several runs of the same thing.

    Attributes:
        label: as it is called in the sentence; unique within the comparison.
        folders: where its runs lie.
        janus: version of the server.
        onsets, failures: of each run, in the order of `folders`.
        steps: of its first run, for the charts.
    """

    label: str
    folders: list[str]
    headline: str
    janus: str | None = None
    started_utc: str = ""
    onsets: list[Onset]
    failures: list[FailureKind]
    steps: list[Step] = []


class Aspect(_Part):
    """One thing that was held against the other.

    Attributes:
        base, new: in words.
        decides: whether it takes part in the verdict; what a single run cannot tell from chance does not.
        why: the rule by which it was told, with its figures.
    """

    name: str
    base: str
    new: str
    change: Change
    decides: bool = True
    why: str = ""


class Compared(_Part):
    """One new state against the base.

    Attributes:
        differs: what must agree and does not, in words; with any, the verdict is `not_comparable`.
        notes: what differs and need not agree: the version under test first of all.
    """

    side: Side
    verdict: Change
    sentence: str
    aspects: list[Aspect] = []
    differs: list[str] = []
    notes: list[str] = []


class Comparison(_Part):
    """The whole comparison.

    Attributes:
        verdict: the worst of the new states': worse, not comparable, same, better.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    verdict: Change
    sentence: str
    base: Side
    new: list[Compared]

    def to_json(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=1) + "\n"
