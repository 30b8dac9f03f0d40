"""The report in a real browser: silent, offline, drawn, and inside its width."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from janusload.report import comparison, html
from janusload.summary import Summary
from tests.report import sample

LOOKS = [
    ("found", 360, "light"),
    ("found", 360, "dark"),
    ("found", 1400, "light"),
    ("found", 1400, "dark"),
    ("hostile", 360, "light"),
    ("hostile", 1400, "dark"),
    ("bare", 360, "light"),
]
COMPARED = [("comparison", 360, "light"), ("comparison", 1400, "dark")]
SUMMARIES = {"found": sample.with_limits, "hostile": sample.hostile, "bare": sample.without_extras}


@pytest.fixture(scope="session")
def seen(chromium: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int, str], dict[str, Any]]:
    """What the browser saw of every page in `LOOKS`."""
    folder = tmp_path_factory.mktemp("pages")
    for name, made in SUMMARIES.items():
        summary: Summary = made()
        (folder / f"{name}.html").write_text(html.render(summary), encoding="utf-8")
    (folder / "comparison.html").write_text(comparison.page(sample.comparison()), encoding="utf-8")
    looks = [*LOOKS, *COMPARED]
    wanted = json.dumps([[str(folder / f"{name}.html"), width, scheme] for name, width, scheme in looks])
    done = subprocess.run(
        [sys.executable, "-m", "tests.report.browse", str(chromium), wanted],
        capture_output=True,
        text=True,
        timeout=180,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(looks, json.loads(done.stdout), strict=True))


@pytest.fixture(params=COMPARED, ids=lambda look: "-".join(map(str, look)))
def compared(request: pytest.FixtureRequest, seen: dict[tuple[str, int, str], dict[str, Any]]) -> dict[str, Any]:
    look: dict[str, Any] = seen[request.param]
    return look


@pytest.fixture(params=LOOKS, ids=lambda look: "-".join(map(str, look)))
def page(request: pytest.FixtureRequest, seen: dict[tuple[str, int, str], dict[str, Any]]) -> dict[str, Any]:
    look: dict[str, Any] = seen[request.param]
    return look


def test_says_nothing_on_the_console_and_opens_no_dialog(page: dict[str, Any]) -> None:
    assert page["said"] == []


def test_requests_nothing(page: dict[str, Any]) -> None:
    assert page["requests"] == []


def test_fits_its_width(page: dict[str, Any]) -> None:
    assert page["overflow"] <= 0
    for name, chart in page["charts"].items():
        assert chart["size"][0] <= chart["room"] + 1, name


def test_every_chart_is_drawn(page: dict[str, Any]) -> None:
    for name, chart in page["charts"].items():
        assert chart["marks"] > 0, name
        assert chart["size"][0] > 250 and chart["size"][1] > 15, name


def test_strips_of_the_timeline_lie_over_each_other(page: dict[str, Any]) -> None:
    assert not page["lefts"] or max(page["lefts"]) - min(page["lefts"]) <= 1


def test_hostile_texts_make_no_element(page: dict[str, Any]) -> None:
    assert page["images"] == 0
    assert page["scripts"] == 2


def test_all_charts_of_a_whole_run(seen: dict[tuple[str, int, str], dict[str, Any]]) -> None:
    by_load = ["rate", "prevailing", "latency", "curves", "sweep", "requests"]
    strips = ["events", "load", "participants", "latencies", "outcomes", "cpu", "memory", "log", "rungs"]
    audio = ["loss", "jitter_ms", "mos", "mouth_to_ear_ms"]
    generator = ["generator_cpu_percent", "generator_lag_ms", "schedule_lag_ms", "pacing_ms"]
    drawn = [*by_load, *strips, *audio, "recordings_mb", *generator]
    assert list(seen["found", 1400, "light"]["charts"]) == [f"chart-{name}" for name in drawn]
    assert seen["bare", 360, "light"]["charts"] == {}


def test_dark_is_dark_and_its_charts_are_readable(seen: dict[tuple[str, int, str], dict[str, Any]]) -> None:
    light, dark = seen["found", 1400, "light"], seen["found", 1400, "dark"]
    assert _luminance(light["background"]) > 0.9
    assert _luminance(dark["background"]) < 0.05
    for name, chart in light["charts"].items():
        assert _contrast(chart["label"], light["background"]) > 4.5, name
        assert _contrast(dark["charts"][name]["label"], dark["background"]) > 4.5, name


def test_the_answer_is_on_the_first_screen(seen: dict[tuple[str, int, str], dict[str, Any]]) -> None:
    for width in (360, 1400):
        page = seen["found", width, "light"]
        assert page["headline"] == sample.with_limits().headline
        assert page["headline_bottom"] < 500


def test_axes_say_units_and_log_scale(seen: dict[tuple[str, int, str], dict[str, Any]]) -> None:
    charts = seen["found", 1400, "light"]["charts"]
    assert "latency (log scale)" in charts["chart-latency"]["texts"]
    assert "load achieved, requests/s" in charts["chart-rate"]["texts"]
    assert "timeout T = 2 s" in charts["chart-latency"]["texts"]
    assert {"p50", "p95", "p99"} <= set(charts["chart-latency"]["texts"])
    assert "onset" in charts["chart-rate"]["texts"]


def test_pointer_reads_the_timeline_and_zooms_it(seen: dict[tuple[str, int, str], dict[str, Any]]) -> None:
    page = seen["found", 1400, "light"]
    assert page["readout"].startswith("time, s 1")
    assert "p95" in page["readout"] and "Janus CPU" in page["readout"]
    before, within, after = page["zoomed"]
    assert before.startswith("0 20 40")
    assert within.split()[0] == "100"
    assert sorted(after.split()) == sorted(before.split())


def test_a_request_can_be_picked(seen: dict[tuple[str, int, str], dict[str, Any]]) -> None:
    """All curves are strong until one is picked, then only that one is."""
    before, after = seen["found", 1400, "light"]["picked"]
    assert set(before) == {1.0}
    assert sorted(after) == [0.12] * (len(after) - 1) + [1.0]


def test_a_comparison(compared: dict[str, Any]) -> None:
    assert compared["said"] == [] and compared["requests"] == []
    assert list(compared["charts"]) == ["chart-onsets", "chart-rate", "chart-latency"]
    assert compared["overflow"] <= 0 and compared["images"] == 0
    assert compared["headline"].startswith("worse")


def test_the_page_opens_within_a_second(seen: dict[tuple[str, int, str], dict[str, Any]]) -> None:
    """Until the answer can be read, that is; charts follow. Twice that is allowed: other tests run beside."""
    assert min(page["readable_ms"] for page in seen.values()) < 1000
    assert seen["found", 1400, "light"]["bytes"] < 2_000_000


def test_marks_tell_their_numbers(seen: dict[tuple[str, int, str], dict[str, Any]]) -> None:
    assert "of 8,136 timed out" in seen["found", 1400, "light"]["tooltip"]


def _luminance(colour: str) -> float:
    """WCAG 2.2 relative luminance of `rgb(r, g, b)`."""
    channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
