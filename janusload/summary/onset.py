"""The part of a summary that answers: at which load and latency does the request begin timing out?"""

from __future__ import annotations

from enum import StrEnum

from janusload.summary.values import Milliseconds, Part, Quantile, Quantiles, Rate, Share


def load_unit(axis: str, request: str) -> str:
    """An axis as it follows a number: `requests/s`, `janus.create/s` where another request is asked about, `users`."""
    return "requests/s" if axis == f"{request} per second" else axis.replace(" per second", "/s")


class OnsetStatus(StrEnum):
    """measurement.md section 3: how the search for the onset ended."""

    FOUND = "found"
    UNCONFIRMED = "unconfirmed"
    NO_ONSET = "no_onset"
    FROM_START = "from_start"
    LOWER_UNPROVEN = "lower_unproven"
    GENERATOR_LIMITED = "generator_limited"
    TRANSPORT_LIMITED = "transport_limited"
    ABORTED = "aborted"
    INSUFFICIENT_DATA = "insufficient_data"


class Step(Part):
    """One plateau of load.

    Attributes:
        offered, achieved: load on the axis (for arrivals: requests due, and written, per second).
        begin_s, end_s: since the start of the run; `settled_s` is where counting began.
        counted: whether the step takes part in the onset; if not, `left_out` says why.
        curve: (latency in ms, share answered within it), ascending: the Kaplan-Meier curve of the step, up to T.
    """

    index: int
    offered: float
    achieved: float
    begin_s: float
    settled_s: float
    end_s: float
    rate: Rate
    latency_ms: Quantiles
    outcomes: dict[str, int]
    participants: int | None = None
    server_cpu_percent: float | None = None
    counted: bool = True
    left_out: str | None = None
    curve: list[tuple[Milliseconds, Share]] = []


class Onset(Part):
    """Where the request begins timing out.

    Attributes:
        request: what was measured, as in `janus.create`.
        axis: what `load` counts, as in `janus.create per second`.
        load_bracket: (highest load credibly below p0, lowest credibly above); an open end is None.
        latency_ms: latency at the onset (point 5 of measurement.md section 3).
        bracket_ms: the deciding quantile (p95 unless said otherwise) at both ends of the bracket.
        load_ci95: 95 % interval of `load`; that of the latency stands with each quantile. Both assume only that
            timeouts and latency do not fall with load, nothing about what lies between two steps.
        share_without_onset: share of the bootstrap's replicates of this run that have no such bracket.
        explanation: one sentence about what the status means here and what would help.
    """

    status: OnsetStatus
    request: str
    axis: str
    timeout_s: float
    p0: Share
    quantile: Share
    explanation: str
    load_bracket: tuple[float | None, float | None] | None = None
    load: float | None = None
    latency_ms: Quantiles | None = None
    bracket_ms: tuple[Quantile | None, Quantile | None] | None = None
    samples_per_step: int | None = None
    rate_upper: Share | None = None
    load_ci95: tuple[float, float] | None = None
    share_without_onset: Share | None = None

    @property
    def unit(self) -> str:
        """The axis as it follows a number in a sentence."""
        return load_unit(self.axis, self.request)


class VirtualTimeout(Part):
    """What the same run would have shown with a shorter timeout (measurement.md section 3, point 7).

    Attributes:
        latency_ms: the deciding quantile at the onset under this timeout, as `Onset.latency_ms` has it.
        rates: timeout rate of each step that took part in the onset, in the order of load.
    """

    timeout_s: float
    status: OnsetStatus
    load_bracket: tuple[float | None, float | None] | None = None
    load: float | None = None
    latency_ms: Quantile | None = None
    rates: list[Share] = []


class LatencyBin(Part):
    """Attempts that were made while the ladder's `ping` was about so slow."""

    ping_ms: float
    rate: Rate
