"""The part of a summary that tells stuck from slow."""

from __future__ import annotations

from enum import StrEnum

from janusload.summary.values import Part


class FailureKind(StrEnum):
    NONE = "none"
    OVERLOAD = "overload"
    PLUGIN_STUCK = "plugin_stuck"
    CORE_STUCK = "core_stuck"
    PROCESS_FROZEN = "process_frozen"
    DISK_STUCK = "disk_stuck"
    MEMORY_WRITEBACK = "memory_writeback"
    CPU_STARVED = "cpu_starved"
    FDS = "fds"
    THREADS = "threads"
    CRASHED = "crashed"
    UNREACHABLE = "unreachable"
    GENERATOR_LIMITED = "generator_limited"

    @property
    def is_stall(self) -> bool:
        """Whether the server stopped working, and was not merely given more than it could do."""
        kinds = FailureKind
        return self not in (kinds.NONE, kinds.OVERLOAD, kinds.CPU_STARVED, kinds.GENERATOR_LIMITED)


class Failure(Part):
    """What kind of failure was seen, and by which rule it was told.

    Attributes:
        first_seen_s: since the start of the run.
        detected_after_s: from its first sign until it was named while the run went on; absent if it was not.
        recovered_after_s: from the moment the load went away until the server answered again; absent if it never did
            or if nothing had to recover (`rule` says which).
        recovery_leg: whether the load went away while the run went on, so that the server could be seen to come back.
        lasted_s: from the first sign until everything answered again, where that was while the run went on.
    """

    kind: FailureKind
    rule: str
    plugin: str | None = None
    first_seen_s: float | None = None
    detected_after_s: float | None = None
    recovered_after_s: float | None = None
    lasted_s: float | None = None
    evidence: str | None = None
    recovery_leg: bool = True

    @property
    def came_back(self) -> bool:
        return self.recovered_after_s is not None or self.lasted_s is not None
