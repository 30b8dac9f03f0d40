from __future__ import annotations

import json
from typing import Any

import pytest
import vl_convert

from janusload.report.charts import figures
from janusload.report.charts.figure import OUTCOME_COLOURS, Figure, load_domain, round_steps
from janusload.report.charts.load_axis import bracket_ends
from janusload.summary import OnsetStatus, Quantiles, Rate
from janusload.wording import OUTCOMES
from tests.report import sample


def chart(key: str, **changes: Any) -> Figure:
    return next(figure for figure in figures(sample.summary(**changes)) if figure.key == key)


def test_charts_in_the_order_in_which_one_asks() -> None:
    made = figures(sample.summary())
    keys = [
        "rate",
        "prevailing",
        "latency",
        "curves",
        "sweep",
        "requests",
        "timeline",
        "heard",
        "recordings",
        "generator",
    ]
    assert [figure.key for figure in made] == keys
    titles = {figure.key: figure.title for figure in made}
    assert titles["rate"] == "create begins timing out between 239 and 299 requests/s"
    assert titles["prevailing"] == "create begins timing out when ping takes 54 ms to 162 ms"
    assert (
        titles["latency"]
        == "p95 of create goes from 9.2 ms at 59.8 to 168 ms at 239 requests/s, and to at least 2 s at 299"
    )
    assert titles["sweep"].startswith("Waiting longer than ") and "gains next to nothing" in titles["sweep"]
    assert titles["timeline"].startswith("Overload, first seen 107 s into the run")
    assert titles["generator"] == "The generator kept up: these numbers are the server's"


def test_a_load_that_was_only_held_has_no_charts_over_load() -> None:
    run = sample.summary()
    soak = run.run.model_copy(update={"climbs": False})
    made = figures(run.model_copy(update={"run": soak, "steps": run.steps[:1]}))
    assert [figure.key for figure in made] == ["requests", "timeline", "heard", "recordings", "generator"]
    assert figures(run.model_copy(update={"run": soak}))[0].key == "rate"  # a spike has two loads


def test_one_load_of_a_climb_has_its_rate_but_no_line() -> None:
    keys = [figure.key for figure in figures(sample.summary(steps=sample.summary().steps[:1]))]
    assert "rate" in keys and "latency" not in keys and "sweep" not in keys


def test_both_axes_are_held_against_each_other() -> None:
    run = sample.summary()
    assert "Along both axes" in chart("prevailing").notes[0]
    calm = run.onset_by_latency.model_copy(update={"load_bracket": (162.0, None)})  # type: ignore[union-attr]
    assert "ping stayed quick" in chart("prevailing", onset_by_latency=calm).notes[0]
    quick = run.onset_by_latency.model_copy(  # type: ignore[union-attr]
        update={"load_bracket": (None, 5.0), "status": OnsetStatus.FROM_START}
    )
    figure = chart("prevailing", onset_by_latency=quick)
    assert "however quick" in figure.title and "did not make ping slow" in figure.notes[0]
    none = run.onset.model_copy(update={"load_bracket": (479.0, None), "status": OnsetStatus.NO_ONSET})
    assert "did not come from this load" in chart("prevailing", onset=none).notes[0]


def test_names_from_outside_are_literals_in_expressions() -> None:
    request = sample.summary().requests["janus.create"]
    hostile = {f"janus.a' + alert(1) + '{end}": request for end in "xy"}
    figure = chart("requests", requests=hostile)
    for panel in figure.panels:
        assert """ == \\"janus.a' + alert(1) + 'x\\" ?""" in json.dumps(panel.spec)


def test_the_same_axis_for_every_strip() -> None:
    for figure in figures(sample.summary()):
        if figure.bin_s is not None:
            assert all({"t0", "t1"} <= {each["name"] for each in panel.spec["params"]} for panel in figure.panels)


@pytest.mark.parametrize("status", list(OnsetStatus))
def test_every_chart_of_every_status_compiles(status: OnsetStatus) -> None:
    for figure in figures(sample.for_status(status)):
        assert figure.title and figure.reading.endswith(".") and figure.table.rows
        for panel in figure.panels:
            assert vl_convert.vegalite_to_vega(panel.spec)["marks"]


def test_no_chart_without_data() -> None:
    assert figures(sample.without_extras()) == []
    no_attempts = [
        s.model_copy(update={"rate": _nothing(), "latency_ms": Quantiles(), "curve": []}) for s in sample.steps(2)
    ]
    bare = {
        "onset_by_latency": None,
        "latency_bins": [],
        "sweep": [],
        "requests": {},
        "timeline": sample.without_extras().timeline,
    }
    assert figures(sample.summary(steps=no_attempts, **bare)) == []


def test_no_strip_without_data() -> None:
    line = sample.timeline()
    bins = len(line.t_s)
    bare = line.model_copy(
        update={
            "server_cpu_percent": None,
            "server_rss_mb": [None] * bins,
            "rungs": {"tcp": [None] * bins},
            "participants": [None] * bins,
            "markers": [],
            "log": {},
            "strips": {},
        }
    )
    timeline = chart("timeline", timeline=bare)
    assert [panel.name for panel in timeline.panels] == ["load", "latencies", "outcomes"]
    assert "Janus CPU, %" not in timeline.table.heads
    unknown: list[None] = [None] * bins
    empty = bare.model_copy(update={"offered_per_s": unknown, "p50_ms": unknown, "p95_ms": unknown, "outcomes": {}})
    assert all(figure.bin_s is None for figure in figures(sample.summary(timeline=empty)))


def test_specifications_name_no_address() -> None:
    for figure in figures(sample.summary()):
        for panel in figure.panels:
            assert "http" not in json.dumps(panel.spec)


def test_bracket_is_shaded_only_where_a_step_is_known_to_be_bad() -> None:
    onset = sample.summary().onset
    assert bracket_ends(onset, (0, 500)) == (239.28, 299.1)
    assert bracket_ends(onset.model_copy(update={"load_bracket": (None, 299.1)}), (40, 500)) == (40, 299.1)
    assert bracket_ends(onset.model_copy(update={"load_bracket": (478.6, None)}), (40, 500)) is None
    assert bracket_ends(onset.model_copy(update={"load_bracket": None}), (40, 500)) is None


def test_latency_at_the_onset_is_told_with_its_interval() -> None:
    onset = sample.summary().onset
    value = onset.latency_ms
    assert value is not None and value.p95 is not None
    sure = value.model_copy(update={"p95": value.p95.model_copy(update={"ci95": (190.0, 2000.0)})})
    figure = chart("latency", onset=onset.model_copy(update={"latency_ms": sure}))
    assert figure.notes == (
        "At the onset, near 252 requests/s: p50 37 ms, p95 not known exactly "
        "(95 % interval 190 ms to at least 2 s), p99 ≥ 780 ms.",
    )


def test_events_close_together_stand_on_rows_of_their_own() -> None:
    line = sample.timeline().model_copy(update={"markers": [(float(t), str(t)) for t in range(60)]})
    figure = chart("timeline", timeline=line)
    assert len(figure.events) == 40
    rows = figure.panels[0].spec["datasets"].values()
    assert max(row["row"] for values in rows for row in values if "row" in row) == 3


def test_a_long_run_is_told_by_the_clock() -> None:
    line = sample.timeline().model_copy(update={"bin_s": 60.0, "t_s": [60.0 * i for i in range(230)]})
    figure = chart("timeline", timeline=line)
    assert "h:min:s" in json.dumps(figure.panels[-1].spec)
    assert figure.events[-1][0] == "3 min 44 s"


def test_too_many_bins_for_a_table() -> None:
    assert chart("timeline", timeline=sample.timeline(1600)).table.rows == []


def test_outcomes_have_a_colour_each() -> None:
    assert set(OUTCOME_COLOURS) == set(OUTCOMES)
    assert len(set(OUTCOME_COLOURS.values())) == len(OUTCOMES)


def test_loads_far_apart_get_a_log_axis_that_says_so() -> None:
    assert load_domain([1, 100])[1]
    assert load_domain([60, 480]) == (pytest.approx((34.8, 505.2)), False)
    assert load_domain([60]) == (pytest.approx((54, 66)), False)
    assert load_domain([0]) == (pytest.approx((0, 1)), False)
    spread = [s.model_copy(update={"achieved": 10.0**s.index}) for s in sample.steps(4)]
    made = figures(sample.summary(steps=spread))
    assert all(
        "requests/s (log scale)" in json.dumps(figure.panels[0].spec)
        for figure in made
        if figure.key in ("rate", "latency")
    )


def test_log_axes_have_round_steps() -> None:
    assert round_steps(8, 300) == pytest.approx([10, 20, 50, 100, 200])
    assert round_steps(1, 5000) == pytest.approx([1, 10, 100, 1000])


def _nothing() -> Rate:
    return Rate(timeouts=0, attempts=0, value=0, lower=0, upper=1)
