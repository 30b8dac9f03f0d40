"""A realistic Summary to render, and one variant for every way a run can end."""

from __future__ import annotations

import math
from typing import Any

from janusload.summary import (
    Failure,
    FailureKind,
    Generator,
    Leaks,
    Media,
    Onset,
    OnsetStatus,
    Quantile,
    Quantiles,
    Rate,
    RequestSummary,
    RunFacts,
    Server,
    Step,
    Summary,
    Threshold,
    Timeline,
    Verdict,
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

HOSTILE = "</script><script>alert(1)</script>"
HOSTILE_ATTRIBUTE = '"><img src=x onerror=alert(1)>'
HOSTILE_TERMINAL = "\x1b[31mred\x1b[0m [bold]not bold[/bold] \u202egnp.exe"

SCENARIO = """\
name = "audiobridge-knee"
asks = "At which create latency do requests begin timing out while 8 people talk?"

[users]
kind = "talker"
count = 8

[arrivals]
request = "janus.create"
timeout = "2 s"

[shape]
kind = "steps"
steps = [60, 120, 180, 240, 300, 360, 420, 480]
step = "22 s"
"""


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


def summary(**changes: Any) -> Summary:
    """A run that found its onset between 240 and 300 creates a second; `changes` replace parts of it."""
    parts: dict[str, Any] = {
        "verdict": Verdict.PASSED,
        "headline": (
            "create begins timing out between 239 and 299 requests/s, at a p95 latency between 168 ms and 2 s or more "
            "(T = 2 s, 4,069 samples a step). Overload: back 2.4 s after the load went away."
        ),
        "run": RunFacts(
            name="audiobridge-knee",
            asks="At which create latency do requests begin timing out while 8 people talk?",
            started_utc="2026-11-22T11:40:07+00:00",
            duration_s=230.4,
            end="complete",
            where="lab",
            command="janusload run scenarios/knee.toml --lab --out reports/out/demo",
            scenario=SCENARIO,
            versions={"janusload": "0.1.0", "python": "3.11.2", "aiortc": "1.16.0", "locust": "2.47.0"},
            host={"cpu": "Intel Xeon", "cores": 2, "memory_mb": 3920, "kernel": "6.1.0-40-amd64"},
            server_info={
                "name": "Janus WebRTC Server",
                "version_string": "1.1.2",
                "author": "Meetecho s.r.l.",
                "session-timeout": 60,
                "plugins": {"janus.plugin.audiobridge": {"version_string": "0.0.12"}},
            },
            lab={"cpu_percent": 40, "address": "10.77.0.2", "memory_mb": None, "config_sha256": "8a3f0c" * 10},
            seed=20261122,
        ),
        "onset": Onset(
            status=OnsetStatus.FOUND,
            request="janus.create",
            axis="janus.create per second",
            timeout_s=T,
            p0=0.01,
            quantile=0.95,
            explanation=(
                "At 239 requests/s the timeout rate is credibly under 1 %; at 299 it is credibly above, and stays so."
            ),
            load_bracket=(239.28, 299.1),
            load=251.7,
            latency_ms=Quantiles(
                p50=Quantile(value=37.0),
                p95=Quantile(value=276.0, at_least=True),
                p99=Quantile(value=780.0, at_least=True),
            ),
            bracket_ms=(Quantile(value=168.0), Quantile(value=2000.0, at_least=True)),
            samples_per_step=4069,
        ),
        "failure": Failure(
            kind=FailureKind.OVERLOAD,
            rule="timeouts under load, and every rung answered again after the load went away",
            first_seen_s=107.3,
            recovered_after_s=2.4,
        ),
        "steps": steps(),
        "requests": {
            "janus.create": RequestSummary(
                count=47520,
                outcomes={"ok": 41870, "api_timeout": 5648, "api_error": 2},
                latency_ms=quantiles(21.0, 2000.0, 2000.0),
                late=5102,
                errors={"janus 490": 2},
            ),
            "audiobridge.join": RequestSummary(
                count=8, outcomes={"ok": 8}, latency_ms=Quantiles(p50=Quantile(value=22.0), p95=Quantile(value=41.0))
            ),
            "audiobridge.configure": RequestSummary(
                count=96, outcomes={"ok": 93, "api_timeout": 3}, latency_ms=quantiles(5.0, 812.0, 2000.0)
            ),
        },
        "media": Media(
            participants=8,
            peers=8,
            failed=0,
            silent=0,
            loss=0.00021,
            jitter_ms=Quantiles(p50=Quantile(value=1.9), p95=Quantile(value=6.4), p99=Quantile(value=11.0)),
            rtt_ms=Quantiles(p50=Quantile(value=0.7), p95=Quantile(value=8.0), p99=Quantile(value=19.0)),
            setup_ms=Quantiles(p50=Quantile(value=61.0), p95=Quantile(value=102.0)),
        ),
        "server": Server(
            version="1.1.2",
            cpu_percent_max=40.1,
            cpu_limit_percent=40.0,
            throttled_share_max=0.97,
            rss_mb_first=38.0,
            rss_mb_max=83.4,
            threads_max=31,
            fds_max=148,
        ),
        "log": {"srtp": 14, "ice": 3},
        "generator": Generator(
            valid=True,
            reasons=[],
            cpu_percent_max={"load": 31.2, "media-0": 6.8},
            lag_p99_ms_max=3.1,
            schedule_lag_p99_ms_max=2.2,
            pacing_p99_ms_max=1.4,
            dropped=1,
        ),
        "leaks": Leaks(sessions=0, processes=0),
        "timeline": timeline(),
    }
    return Summary(**(parts | changes))


def with_limits() -> Summary:
    return summary(
        verdict=Verdict.FAILED,
        thresholds=[
            Threshold(name="onset load", limit="> 250/s", value="239–299/s", passed=False),
            Threshold(name="media loss", limit="< 1 %", value="0.02 %", passed=True),
            Threshold(name="leaked sessions", limit="0", value="0", passed=True),
        ],
    )


def without_extras() -> Summary:
    """As from a run against a remote server that broke off before its first step was over."""
    return summary(
        verdict=Verdict.INCONCLUSIVE,
        headline="The run was stopped after 9 s: too early to say where create begins timing out.",
        run=RunFacts(
            name="r", started_utc="not a time", duration_s=9.0, end="interrupted", where="ws://10.0.0.7:8188/"
        ),
        onset=_onset(OnsetStatus.ABORTED, "The run was stopped in its first step.", None, load=None),
        failure=Failure(kind=FailureKind.NONE, rule="nothing had to recover"),
        steps=[],
        requests={},
        media=None,
        server=None,
        log=None,
        leaks=Leaks(),
        timeline=None,
        generator=Generator(valid=True, reasons=[]),
    )


def for_status(status: OnsetStatus) -> Summary:
    """A run whose search for the onset ended so."""
    good = [0, 0, 1, 3, 4, 6, 8, 9]
    unit = "requests/s"
    match status:
        case OnsetStatus.FOUND:
            return summary()
        case OnsetStatus.UNCONFIRMED:
            onset = _onset(status, "The last step is over 1 %, and no step after it confirms that.", (239.3, 299.1))
            return summary(onset=onset, steps=steps(5), headline="create seems to begin timing out near 270/s.")
        case OnsetStatus.NO_ONSET:
            onset = _onset(
                status,
                f"Up to 479 {unit} the timeout rate is credibly under 1 % (at most 0.19 %).",
                (478.6, None),
                load=None,
                rate_upper=0.0019,
            )
            return summary(
                onset=onset,
                steps=steps(timeouts=good),
                headline=f"create does not begin timing out up to 479 {unit} (T = 2 s).",
                failure=Failure(kind=FailureKind.NONE, rule="nothing had to recover"),
            )
        case OnsetStatus.FROM_START:
            onset = _onset(status, "Already the first step is over 1 %.", (None, 59.8), load=None)
            return summary(onset=onset, steps=steps(timeouts=[90, 300, 700, 1500, 2400, 3000, 4000, 5000]))
        case OnsetStatus.LOWER_UNPROVEN:
            onset = _onset(status, "No step is credibly under 1 %; 268 samples a step would do.", (None, 179.5))
            return summary(onset=onset, verdict=Verdict.INCONCLUSIVE)
        case OnsetStatus.GENERATOR_LIMITED:
            cut = [s.model_copy(update={"counted": s.index < 3, "left_out": _why(s.index)}) for s in steps()]
            onset = _onset(status, "The load process used 97 % of its core from step 4 on.", (179.5, None), load=None)
            return summary(
                onset=onset,
                steps=cut,
                verdict=Verdict.INCONCLUSIVE,
                failure=Failure(kind=FailureKind.GENERATOR_LIMITED, rule="process load over 90 % CPU"),
                generator=Generator(
                    valid=False, reasons=["process load over 90 % CPU"], cpu_percent_max={"load": 97.0}
                ),
            )
        case OnsetStatus.TRANSPORT_LIMITED:
            onset = _onset(status, "Connections were refused before requests timed out.", None, load=None)
            return summary(onset=onset, verdict=Verdict.INCONCLUSIVE)
        case OnsetStatus.ABORTED:
            onset = _onset(status, "Ctrl-C in step 3 of 8.", (119.6, None), load=None)
            return summary(onset=onset, steps=steps(3), verdict=Verdict.INCONCLUSIVE)
        case OnsetStatus.INSUFFICIENT_DATA:
            onset = _onset(status, "25 samples a step; 268 are needed at 1 %.", None, load=None)
            return summary(onset=onset, steps=steps(1), verdict=Verdict.INCONCLUSIVE)


def hostile() -> Summary:
    """Every text that comes from outside tries to be markup, script or a terminal command."""
    plain = summary()
    texts = f"{HOSTILE} {HOSTILE_ATTRIBUTE} {HOSTILE_TERMINAL}"
    line = plain.timeline
    assert line is not None
    return summary(
        verdict=Verdict.FAILED,
        headline=f"headline {texts}",
        run=plain.run.model_copy(
            update={
                "name": texts,
                "asks": texts,
                "where": texts,
                "end": texts,
                "command": texts,
                "scenario": f"{SCENARIO}\n# {texts} {{{{ 7 * 7 }}}}\x00",
                "versions": {texts: texts},
                "host": {texts: texts},
                "server_info": {texts: {texts: [texts]}},
                "lab": {texts: texts},
            }
        ),
        onset=plain.onset.model_copy(update={"request": texts, "axis": texts, "explanation": texts}),
        failure=Failure(kind=FailureKind.PLUGIN_STUCK, rule=texts, plugin=texts, evidence=f"javascript:{texts}"),
        requests={texts: RequestSummary(count=1, outcomes={texts: 1}, latency_ms=Quantiles(), errors={texts: 1})},
        server=Server(version=texts),
        log={texts: 3},
        recordings={texts: texts},
        generator=Generator(valid=False, reasons=[texts], cpu_percent_max={texts: 3.0}),
        thresholds=[Threshold(name=texts, limit=texts, value=texts, passed=False)],
        steps=[s.model_copy(update={"left_out": texts, "outcomes": {texts: 1}}) for s in steps()],
        timeline=line.model_copy(
            update={
                "markers": [(5.0, texts)],
                "outcomes": {texts: line.outcomes["ok"]},
                "rungs": {texts: line.rungs["tcp"]},
            }
        ),
    )


def _onset(
    status: OnsetStatus,
    explanation: str,
    bracket: tuple[float | None, float | None] | None,
    load: float | None = 268.0,
    rate_upper: float | None = None,
) -> Onset:
    return summary_onset().model_copy(
        update={
            "status": status,
            "explanation": explanation,
            "load_bracket": bracket,
            "load": load,
            "latency_ms": None,
            "bracket_ms": None,
            "rate_upper": rate_upper,
        }
    )


def summary_onset() -> Onset:
    return summary().onset


def _why(index: int) -> str | None:
    return "the generator was the limit: process load over 90 % CPU" if index >= 3 else None
