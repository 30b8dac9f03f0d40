"""Better, worse, the same or not comparable: on runs whose servers are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from janusload.analysis import Despite, Taken, compare, counted_steps, summarize
from janusload.comparison import Change, Comparison
from janusload.records import Rung
from janusload.summary import Generator, Leaks, Media, Onset, OnsetStatus, Server, Threshold
from tests.analysis.simulated import Law, Simulated, knee

HEALTHY = dict.fromkeys((Rung.TCP, Rung.WS_UPGRADE, Rung.WS_PING, Rung.PING, Rung.CREATE), lambda _t_s: True)
LOADS = (60, 75, 90, 105, 120)
HOST = {"cores": 2, "memory_gb": 8.0, "kernel": "6.1"}


def slow(_load: float, _t_s: float, random: np.random.Generator) -> float:
    return float(random.lognormal(np.log(0.16), 0.5))


def stuck(_load: float, t_s: float, _random: np.random.Generator) -> float:
    """Nothing is answered from 50 s on, nor after the load went away."""
    return float("inf") if t_s > 50 else 0.02


LAWS: dict[str, Law] = {
    "knee at 75": knee(75),
    "knee at 90": knee(90),
    "knee at 105": knee(105),
    "knee at 120": knee(120),
    "no knee": knee(9999),
    "slow": slow,
    "stuck": stuck,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Taken]:
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for name, law in LAWS.items():
        rungs = HEALTHY
        if name == "stuck":
            rungs = HEALTHY | dict.fromkeys((Rung.PING, Rung.CREATE), lambda t_s: t_s < 50)
        run = Simulated(loads=LOADS, law=law, rungs=rungs).write(folder / name)
        run.write_meta(host=HOST)
        found[name] = Taken(name, summarize(run), counted_steps(run))
    return found


def told(run: Taken, **facts: object) -> Taken:
    """The same run with other facts about what it ran on."""
    summary = run.summary
    return replace(run, summary=summary.model_copy(update={"run": summary.run.model_copy(update=facts)}))


def of_version(run: Taken, version: str) -> Taken:
    return replace(run, summary=run.summary.model_copy(update={"server": Server(version=version)}))


def of_two(base: Taken, new: Taken, *despite: Despite) -> Comparison:
    found = compare([base], [[new]], frozenset(despite))
    assert Comparison.model_validate_json(found.to_json()) == found
    return found


def test_a_stuck_run_against_a_healthy_one_reads_as_such(runs: dict[str, Taken]) -> None:
    """The proof of a fix: the version under test differs, and that is what the comparison is about."""
    before, after = of_version(runs["stuck"], "1.1.2"), of_version(runs["knee at 105"], "1.4.1")
    found = of_two(before, after)
    assert found.verdict is Change.BETTER
    assert found.sentence.startswith("Janus 1.4.1 is better than Janus 1.1.2. Failure: overload, back ")
    assert "against core stuck, not seen to come back" in found.sentence
    assert found.new[0].notes == ["Janus 1.1.2 and 1.4.1"]
    assert of_two(after, before).verdict is Change.WORSE


def test_the_same_server_twice(runs: dict[str, Taken]) -> None:
    found = of_two(runs["knee at 105"], runs["knee at 105"])
    assert found.verdict is Change.SAME
    assert "touch or overlap" in found.sentence


def test_neighbouring_brackets_show_nothing(runs: dict[str, Taken]) -> None:
    """Two runs of one server on a busy machine came out in neighbouring brackets."""
    assert of_two(runs["knee at 90"], runs["knee at 105"]).verdict is Change.SAME


def test_a_lower_onset_is_worse_and_a_higher_one_better(runs: dict[str, Taken]) -> None:
    low, high = runs["knee at 75"], runs["knee at 120"]
    found = of_two(high, low)
    assert found.verdict is Change.WORSE and ". Onset: between 60 and 75 requests/s, against " in found.sentence
    assert of_two(low, high).verdict is Change.BETTER


def test_an_onset_that_went_away_is_better(runs: dict[str, Taken]) -> None:
    low, never = runs["knee at 75"], runs["no knee"]
    assert of_two(low, never).verdict is Change.BETTER
    assert of_two(never, low).verdict is Change.WORSE
    assert "above 120" in of_two(low, never).sentence


def test_a_slower_server_without_onset_is_worse(runs: dict[str, Taken]) -> None:
    found = of_two(runs["no knee"], runs["slow"])
    assert found.verdict is Change.WORSE and "P50 at 120 requests/s" in found.sentence
    aspect = next(each for each in found.new[0].aspects if each.name.startswith("p95"))
    assert aspect.change is Change.WORSE and not aspect.decides


def test_a_different_timeout_is_refused_whatever_one_says(runs: dict[str, Taken]) -> None:
    other = runs["slow"].summary
    onset = other.onset.model_copy(update={"timeout_s": 1.0})
    new = replace(runs["slow"], summary=other.model_copy(update={"onset": onset}))
    found = of_two(runs["no knee"], new, *Despite)
    assert found.verdict is Change.NOT_COMPARABLE
    assert "T: 2 s and 1 s" in found.sentence and found.new[0].aspects == []


@pytest.mark.parametrize(
    ("facts", "words", "about"),
    [
        ({"scenario": "[shape]\nrates = [1]"}, "scenario: shape.rates is not set and [1]", Despite.SCENARIO),
        ({"scenario": "[shape"}, "scenario: the texts differ", Despite.SCENARIO),
        ({"scenario": None}, "scenario: only one of the runs says what it was", Despite.SCENARIO),
        ({"host": HOST | {"cores": 8}}, "machine of the generator: cores is 2 and 8", Despite.HOST),
        ({"lab": {"cpu_percent": 8.0}}, "lab: cpu percent is not set and 8.0", Despite.CONFIG),
        ({"server_info": {"session-timeout": 30}}, "Janus: session-timeout is 60 and 30", Despite.CONFIG),
    ],
)
def test_what_must_agree(runs: dict[str, Taken], facts: dict[str, object], words: str, about: Despite) -> None:
    base = told(runs["no knee"], server_info={"session-timeout": 60, "version": 1, "only-here": 1})
    new = told(runs["no knee"], **({"server_info": {"session-timeout": 60, "version": 2}} | facts))
    found = of_two(base, new)
    assert found.verdict is Change.NOT_COMPARABLE and found.new[0].differs == [words]
    allowed = of_two(base, new, about)
    assert allowed.verdict is Change.SAME and words in allowed.new[0].notes


def test_what_need_not_agree(runs: dict[str, Taken]) -> None:
    text = '[shape]\nrates = [1]\n[lab]\njanus = "{}"'
    base, new = (
        told(runs["no knee"], scenario=text.format(v), host=HOST | {"memory_gb": gb})
        for v, gb in (("a", 8), ("b", 8.1))
    )
    assert of_two(base, new).new[0].differs == []


def test_a_run_that_says_nothing_is_not_comparable(runs: dict[str, Taken]) -> None:
    summary = runs["no knee"].summary
    nothing = summary.onset.model_copy(update={"load_bracket": None, "explanation": "No step shows anything."})
    new = replace(runs["no knee"], summary=summary.model_copy(update={"onset": nothing}), steps=())
    found = of_two(runs["no knee"], new)
    assert found.verdict is Change.NOT_COMPARABLE
    assert "a run says nothing about the onset (No step shows anything)" in found.sentence


def test_the_worst_of_several_gives_the_verdict(runs: dict[str, Taken]) -> None:
    found = compare([runs["knee at 105"]], [[runs["no knee"]], [runs["knee at 75"]]])
    assert found.verdict is Change.WORSE
    assert [each.verdict for each in found.new] == [Change.BETTER, Change.WORSE]


def test_a_crossed_limit_and_sessions_left_behind_are_worse(runs: dict[str, Taken]) -> None:
    base = runs["no knee"]

    def with_(leaked: int, kept: bool) -> Taken:
        limit = Threshold(name="loss", limit="< 1 %", value="2 %", passed=kept)
        update = {"leaks": Leaks(sessions=leaked), "thresholds": [limit]}
        return replace(base, summary=base.summary.model_copy(update=update))

    assert of_two(with_(0, True), with_(0, True)).verdict is Change.SAME
    assert of_two(with_(0, True), with_(3, True)).sentence.endswith("Sessions left behind: 3, against 0.")
    assert of_two(with_(0, False), with_(0, True)).verdict is Change.BETTER


def test_who_heard_nothing(runs: dict[str, Taken]) -> None:
    base = runs["no knee"]

    def heard(silent: int, loss: float, mos: float) -> Taken:
        media = Media(participants=4, silent=silent, loss=loss, mos=mos)
        return replace(base, summary=base.summary.model_copy(update={"media": media}))

    assert of_two(heard(0, 0.001, 4.3), heard(0, 0.002, 4.2)).verdict is Change.SAME
    assert of_two(heard(0, 0.001, 4.3), heard(1, 0.001, 4.3)).verdict is Change.WORSE
    assert of_two(heard(0, 0.05, 4.3), heard(0, 0.001, 4.3)).verdict is Change.BETTER
    assert of_two(heard(0, 0.0, 4.3), heard(0, 0.0, 3.1)).verdict is Change.WORSE


def test_what_a_generator_did_that_was_itself_the_limit_decides_nothing(runs: dict[str, Taken]) -> None:
    def heard(loss: float, *, valid: bool) -> Taken:
        base = runs["no knee"]
        reasons = [] if valid else ["audio packets of media-0 left 100 ms late"]
        update = {"media": Media(participants=4, loss=loss), "generator": Generator(valid=valid, reasons=reasons)}
        return replace(base, summary=base.summary.model_copy(update=update))

    assert of_two(heard(0.001, valid=True), heard(0.1, valid=True)).verdict is Change.WORSE
    doubted = of_two(heard(0.001, valid=True), heard(0.1, valid=False))
    assert doubted.verdict is Change.SAME
    (loss,) = [aspect for aspect in doubted.new[0].aspects if aspect.name == "packet loss"]
    assert loss.change is Change.WORSE and not loss.decides and "did not keep up" in loss.why


def test_many_differences_are_counted_and_not_all_in_the_sentence(runs: dict[str, Taken]) -> None:
    run = runs["knee at 90"]
    texts = ["a = 1\nb = 1\nc = 1\nd = 1\ne = 1", f"a = 2\nb = 2\nc = 2\nd = 2\ne = {[1] * 99}"]
    one, other = (
        replace(run, summary=run.summary.model_copy(update={"run": run.summary.run.model_copy(update={"scenario": t})}))
        for t in texts
    )
    found = of_two(one, other)
    assert found.verdict is Change.NOT_COMPARABLE
    assert found.sentence.endswith("scenario: c is 1 and 2; and 2 more differences.")
    assert len(found.new[0].differs) == 5 and max(map(len, found.new[0].differs)) < 90


def onset(load: float, *, above: bool = False) -> Onset:
    bracket = (load, None) if above else (load * 0.95, load * 1.05)
    status = OnsetStatus.NO_ONSET if above else OnsetStatus.FOUND
    return Onset(
        status=status,
        request="janus.create",
        axis="janus.create per second",
        timeout_s=2.0,
        p0=0.01,
        quantile=0.95,
        explanation="",
        load_bracket=bracket,
        load=None if above else load,
    )


def nights(like: Taken, loads: list[float], above: tuple[int, ...] = ()) -> list[Taken]:
    found = [onset(load, above=at in above) for at, load in enumerate(loads)]
    return [
        Taken(f"night-{at}", like.summary.model_copy(update={"onset": each}), like.steps)
        for at, each in enumerate(found)
    ]


def test_many_runs_a_side(runs: dict[str, Taken]) -> None:
    like = runs["no knee"]
    base = nights(like, [100, 104, 97, 102, 99])
    assert compare(base, [nights(like, [101, 98, 103, 100, 105])]).verdict is Change.SAME
    assert compare(base, [nights(like, [130, 128, 134, 131, 129])]).verdict is Change.BETTER
    assert compare(base, [nights(like, [80, 78, 81, 79, 82])]).verdict is Change.WORSE
    # three nights without an onset are up-arrows, not gaps
    assert compare(base, [nights(like, [140, 140, 140, 120, 122], above=(0, 1, 2))]).verdict is Change.BETTER


def test_noisy_bases_need_a_larger_difference(runs: dict[str, Taken]) -> None:
    like = runs["no knee"]
    base = nights(like, [60, 140, 100, 80, 120])
    found = compare(base, [nights(like, [125, 130, 120, 128, 126])])
    assert found.verdict is Change.SAME and "60 counts" in found.sentence
