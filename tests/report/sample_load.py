"""The load of the sample run: its steps and its timeline."""

from __future__ import annotations

import math

from janusload.summary import (
    Quantile,
    Quantiles,
    Rate,
    Step,
    Timeline,
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
            )
        )
    return made


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
    )
