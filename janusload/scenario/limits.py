"""Limits that a run must keep, written as one writes them down: `janus.create p95 < 500 ms`.

::

    METRIC  < | <= | > | >=  VALUE  [over DURATION]  [abort]

`over 10 s`: it must hold in every window of 10 s, not only over the whole run. `abort`: the run ends as soon as it does
not (such a limit is judged while the run goes, so it must be about a request). `analysis/thresholds.py` judges them.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Annotated, NamedTuple

from pydantic import PlainValidator, WithJsonSchema

from janusload.scenario.quantities import BYTES, PER_SECOND, SECONDS, SHARE, quantity

_LIMIT = re.compile(
    r"^\s*(?P<metric>[a-z][a-z0-9_.+ -]*?)\s*(?P<op><=|>=|<|>)\s*(?P<value>\S.*?)"
    r"(?:\s+over\s+(?P<over>[0-9.]+\s*[a-z]+))?(?P<abort>,?\s+abort)?\s*$"
)
_QUANTILE = r"(?P<quantile>p50|p75|p90|p95|p99)"
_REQUEST = r"(?P<request>[a-z]+\.[a-z_]+)"

_NUMBER: dict[str, float] = {"": 1.0}
_MB_PER_HOUR = {"MB/h": 1.0, "kB/h": 1e-3, "GB/h": 1e3}

#: how long the window of a limit with `abort` is where it does not say
ABORT_WINDOW_S = 10.0


class _Form(NamedTuple):
    """One kind of metric: how it is written, the units of its value, and whether it can be judged in windows."""

    kind: str
    pattern: re.Pattern[str]
    units: dict[str, float]
    example: str
    windows: bool = False


#: in milliseconds, as the summary has them
_MS = {unit: size * 1000 for unit, size in SECONDS.items()}

FORMS = (
    _Form("latency", re.compile(rf"{_REQUEST} {_QUANTILE}"), _MS, "janus.create p95 < 500 ms", windows=True),
    _Form(
        "rate",
        re.compile(rf"(?:{_REQUEST} )?(?P<outcome>timeout|error|failure) rate"),
        SHARE,
        "timeout rate < 1 %",
        windows=True,
    ),
    _Form("count", re.compile(rf"{_REQUEST} count"), _NUMBER, "audiobridge.join count > 1000"),
    _Form("onset_load", re.compile(r"onset load"), {**PER_SECOND, **_NUMBER}, "onset load > 40/s"),
    _Form("onset_latency", re.compile(rf"onset latency(?: {_QUANTILE})?"), _MS, "onset latency p95 < 2 s"),
    _Form("media_loss", re.compile(r"media loss"), SHARE, "media loss < 1 %"),
    _Form(
        "media_ms",
        re.compile(rf"media (?P<what>jitter|rtt|setup|mouth_to_ear) {_QUANTILE}"),
        _MS,
        "media jitter p95 < 20 ms",
    ),
    _Form("media_mos", re.compile(r"media mos"), _NUMBER, "media mos > 3.8"),
    _Form("media_failed", re.compile(r"media (?P<what>failed|silent)"), _NUMBER, "media failed < 1"),
    _Form("participants", re.compile(r"participants"), _NUMBER, "participants >= 20"),
    _Form("recovery", re.compile(r"recovery"), SECONDS, "recovery < 10 s"),
    _Form("leaks", re.compile(r"leaked (?P<what>sessions|processes)"), _NUMBER, "leaked sessions < 1"),
    _Form("server_cpu", re.compile(r"server cpu"), SHARE, "server cpu < 80 %"),
    _Form("server_memory", re.compile(r"server memory"), BYTES, "server memory < 300 MB"),
    _Form("memory_growth", re.compile(r"memory growth"), _MB_PER_HOUR, "memory growth < 20 MB/h"),
    _Form("recordings_damaged", re.compile(r"recordings damaged"), _NUMBER, "recordings damaged < 1"),
    _Form("recordings_missing", re.compile(r"recordings missing"), SHARE, "recordings missing < 0.1 %"),
)

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Limit(NamedTuple):
    """One limit.

    Attributes:
        text: as it was written.
        kind: one of `FORMS`.
        request, outcome, quantile, what: the parts of the metric, empty where it has none.
        op, value: what must hold; the value in ms, shares, per second, bytes, seconds or plain, as its form says.
        over_s: length of the windows in each of which it must hold; None for the whole run.
        abort: whether the run ends as soon as it does not hold.
    """

    text: str
    kind: str
    request: str
    outcome: str
    quantile: str
    what: str
    op: str
    value: float
    over_s: float | None
    abort: bool

    def holds(self, value: float) -> bool:
        """Whether it holds for this value."""
        return _COMPARE[self.op](value, self.value)

    @property
    def upper(self) -> bool:
        """Whether it is a limit from above."""
        return self.op.startswith("<")


def limit(text: object) -> Limit:
    """`"janus.create p95 < 500 ms"` to a `Limit`. Raises ValueError."""
    match = _LIMIT.match(text) if isinstance(text, str) else None
    if not isinstance(text, str) or match is None:
        raise ValueError(f"{text!r} is no limit: write METRIC < VALUE, as in 'janus.create p95 < 500 ms'")
    metric = " ".join(match["metric"].split())
    for form in FORMS:
        found = form.pattern.fullmatch(metric)
        if found is not None:
            break
    else:
        known = "; ".join(form.example for form in FORMS)
        raise ValueError(f"{metric!r} is nothing that is measured; known are: {known}")
    parts = found.groupdict()
    over_s = None if match["over"] is None else quantity(match["over"], SECONDS, "10 s")
    abort = match["abort"] is not None
    if (abort or over_s is not None) and not form.windows:
        raise ValueError(f"{metric!r} is only known after the run: no 'over' and no 'abort' for it")
    if over_s is not None and over_s < 1:
        raise ValueError("windows shorter than 1 s hold too little to judge")
    return Limit(
        " ".join(text.split()),
        form.kind,
        parts.get("request") or "",
        parts.get("outcome") or "",
        parts.get("quantile") or "",
        parts.get("what") or "",
        match["op"],
        _value(match["value"], form),
        ABORT_WINDOW_S if abort and over_s is None else over_s,
        abort,
    )


def _value(text: str, form: _Form) -> float:
    if "" in form.units and re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text)
    return quantity(text, {unit: size for unit, size in form.units.items() if unit}, form.example.split(maxsplit=2)[-1])


LimitText = Annotated[
    Limit,
    PlainValidator(limit),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\s*[a-z][a-z0-9_.+ -]*?\s*(<=|>=|<|>)\s*\S.*$",
            "examples": [form.example for form in FORMS],
        }
    ),
]
