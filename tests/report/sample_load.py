"""The load of the sample run: its steps and its timeline."""

from __future__ import annotations

import math
from statistics import NormalDist

from janusload.summary import (
    LatencyBin,
    OnsetStatus,
    Quantile,
    Quantiles,
    Rate,
    Step,
    Timeline,
    VirtualTimeout,
)

T = 2.0
LOADS = [60, 120, 180, 240, 300, 360, 420, 480]
#: of the attempts of each step
TIMEOUTS = [0, 0, 1, 3, 124, 731, 1480, 2210]
P50 = [4.1, 4.6, 6.8, 19.5, 412.0, 1390.0, 2000.0, 2000.0]
P95 = [9.2, 11.8, 31.0, 168.0, 2000.0, 2000.0, 2000.0, 2000.0]
P99 = [21.0, 29.0, 88.0, 610.0, 2000.0, 2000.0, 2000.0, 2000.0]
CPU = [9.1, 15.8, 24.2, 33.9, 39.7, 40.0, 40.1, 39.9]
STEP_S = 22.0
FIRST_STEP_S = 18.0


def bounds(x: int, n: int, z: float = 1.645) -> Rate:
    """x of n with Wilson bounds (measurement.md section 3, point 2)."""
    p = x / n
    middle = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return Rate(
        timeouts=x,
        attempts=n,
        value=p,
        lower=min(max((middle - half) / scale, 0.0), p),
        upper=min((middle + half) / scale, 1.0),
    )


def at_most_t(milliseconds: float) -> Quantile:
    return Quantile(value=milliseconds, at_least=milliseconds >= T * 1000)


def quantiles(p50: float, p95: float, p99: float) -> Quantiles:
    return Quantiles(p50=at_most_t(p50), p95=at_most_t(p95), p99=at_most_t(p99))


def steps(count: int = len(LOADS), timeouts: list[int] | None = None) -> list[Step]:
    made = []
    for k in range(count):
        begin = FIRST_STEP_S + k * STEP_S
        attempts = round(LOADS[k] * (STEP_S - 5) * 0.997)
        x = (timeouts or TIMEOUTS)[k]
        errors = 2 if k == 4 else 0
        made.append(
            Step(
                index=k,
                offered=LOADS[k],
                achieved=LOADS[k] * 0.997,
                begin_s=begin,
                settled_s=begin + 5,
                end_s=begin + STEP_S,
                rate=bounds(x, attempts),
                latency_ms=quantiles(P50[k], P95[k], P99[k]),
                outcomes={"ok": attempts - x - errors, "api_timeout": x, "api_error": errors, "dropped": k // 7},
                participants=8,
                server_cpu_percent=CPU[k],
                curve=curve(P50[k] / 2.2, 0.9, 1 - x / attempts),
            )
        )
    return made


def curve(middle_ms: float, spread: float, at_most: float = 1.0) -> list[tuple[float, float]]:
    """A lognormal's curve up to T, of which no more than a share is ever answered."""
    shares = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999]
    points = [(middle_ms * math.exp(spread * NormalDist().inv_cdf(q)), q) for q in shares if q < at_most]
    return [(ms, q) for ms, q in points if ms < 1000 * T]


def sweep() -> list[VirtualTimeout]:
    """Shorter timeouts see the onset at lower loads, from half a second on it stays where it is."""
    made = []
    for k in range(8):
        timeout_s = T * 50 ** (k / 7 - 1)
        at = max(0, min(3, k - 2))
        bracket = (None, LOADS[0]) if k == 0 else (LOADS[at] * 0.997, LOADS[at + 1] * 0.997)
        load = None if k == 0 else LOADS[at] * 1.05
        status = OnsetStatus.FROM_START if k == 0 else OnsetStatus.FOUND
        made.append(VirtualTimeout(timeout_s=timeout_s, status=status, load_bracket=bracket, load=load))
    return made


def latency_bins() -> list[LatencyBin]:
    return [LatencyBin(ping_ms=2.0 * 3**k, rate=bounds(x, 600)) for k, x in enumerate((0, 0, 1, 2, 60, 240))]


def timeline(bins: int = 230) -> Timeline:
    """One bin a second: setup, joining, eight steps, recovery, leaving."""
    end_of_steps = FIRST_STEP_S + len(LOADS) * STEP_S
    t = [float(i) for i in range(bins)]
    offered: list[float | None] = []
    p50: list[float | None] = []
    p95: list[float | None] = []
    cpu: list[float | None] = []
    rss: list[float | None] = []
    people: list[int | None] = []
    outcomes: dict[str, list[int]] = {"ok": [], "api_timeout": [], "api_error": [], "lost_connection": []}
    rungs: dict[str, list[bool | None]] = {
        r: [] for r in ("tcp", "ws_upgrade", "ws_ping", "ping", "create", "audiobridge_sync", "audiobridge_async")
    }
    for second in t:
        wobble = 1 + 0.12 * math.sin(second * 1.7) + 0.05 * math.sin(second * 4.1)
        k = int((second - FIRST_STEP_S) // STEP_S) if second >= FIRST_STEP_S else -1
        in_steps = 0 <= k < len(LOADS)
        people.append(0 if second < 4 or second > 224 else min(8, int(second - 4)) if second < 12 else 8)
        share = TIMEOUTS[k] / (LOADS[k] * (STEP_S - 5)) if in_steps else 0.0
        offered.append(float(LOADS[k]) if in_steps else 0.0 if second > FIRST_STEP_S else None)
        p50.append(min(P50[k] * wobble, 2000.0) if in_steps else None)
        p95.append(min(P95[k] * wobble, 2000.0) if in_steps else None)
        due = LOADS[k] if in_steps else 0
        late = round(due * share * min(wobble, 1.1))
        outcomes["ok"].append(due - late)
        outcomes["api_timeout"].append(late)
        outcomes["api_error"].append(1 if second in (121.0, 124.0) else 0)
        outcomes["lost_connection"].append(0)
        cpu.append(min(CPU[k] * wobble, 40.4) if in_steps else 3.0 * wobble)
        rss.append(38 + second * 0.05 + (0.4 * (second - 106) if 106 < second < end_of_steps else 0))
        for rung, answers in rungs.items():
            inner = rung in ("create", "audiobridge_sync", "audiobridge_async")
            answers.append(None if second < 3 else not (inner and k >= 5 and int(second) % 3 and second < 197))
    return Timeline(
        bin_s=1.0,
        t_s=t,
        offered_per_s=offered,
        participants=people,
        p50_ms=p50,
        p95_ms=p95,
        outcomes=outcomes,
        server_cpu_percent=cpu,
        server_rss_mb=rss,
        rungs=rungs,
        markers=[
            (0.0, "setup"),
            (4.0, "joining"),
            (FIRST_STEP_S, "steps"),
            (end_of_steps, "recovery"),
            (end_of_steps + 2.4, "recovered 2.4 s after the load went away"),
            (224.0, "leaving"),
        ],
        log={
            "srtp": [3 if 120 < second < 190 and int(second) % 4 == 0 else 0 for second in t],
            "ice": [1 if int(second) % 60 == 59 else 0 for second in t],
        },
        strips={
            "loss": [None if second < 12 else 0.0002 + (0.02 if 130 < second < 150 else 0) for second in t],
            "jitter_ms": [None if second < 12 else 2.0 + math.sin(second) for second in t],
            "mos": [None if second < 12 else 4.3 - (0.6 if 130 < second < 150 else 0) for second in t],
            "mouth_to_ear_ms": [None if second < 12 or int(second) % 5 else 92.0 for second in t],
            "generator_cpu_percent": [20 + 10 * math.sin(second / 9) for second in t],
            "generator_lag_ms": [1 + math.sin(second) ** 2 for second in t],
            "schedule_lag_ms": [0.8 if second > 18 else None for second in t],
            "pacing_ms": [1.4 for _ in t],
            "recordings_mb": [0.1 * second for second in t],
        },
    )
