"""A realistic Summary to render: a run that found its onset."""

from __future__ import annotations

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
    RequestSummary,
    RunFacts,
    Server,
    Summary,
    Verdict,
)
from tests.report.sample_load import T, curve, latency_bins, quantiles, steps, sweep, timeline

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
            end="completed",
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
        "onset_by_latency": Onset(
            status=OnsetStatus.FOUND,
            request="janus.create",
            axis="ms of ping before it",
            timeout_s=T,
            p0=0.01,
            quantile=0.95,
            explanation="",
            load_bracket=(54.0, 162.0),
            load=70.0,
        ),
        "latency_bins": latency_bins(),
        "sweep": sweep(),
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
                curve=curve(21.0, 1.4, 0.88),
            ),
            "audiobridge.join": RequestSummary(
                count=8, outcomes={"ok": 8}, latency_ms=Quantiles(p50=Quantile(value=22.0), p95=Quantile(value=41.0))
            ),
            "audiobridge.configure": RequestSummary(
                count=96,
                outcomes={"ok": 93, "api_timeout": 3},
                latency_ms=quantiles(5.0, 812.0, 2000.0),
                curve=curve(5.0, 1.1, 0.96),
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
