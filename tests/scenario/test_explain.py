from __future__ import annotations

from pathlib import Path

import pytest

from janusload import cli
from janusload.scenario import load
from janusload.scenario.explain import explain, picture

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def test_words_and_picture_of_every_scenario() -> None:
    for path in sorted(SCENARIOS.glob("*.toml")):
        plan, _ = load(path)
        words = "\n".join(explain(plan))
        assert plan.asks in words
        assert all(group.name in words for group in plan.users)
        rows = picture(plan, width=40, height=6)
        assert len(rows) == 8 and all(len(row) <= 52 for row in rows)


def test_words_for_who_does_not_know_the_language() -> None:
    def words(name: str) -> str:
        return "\n".join(explain(load(SCENARIOS / f"{name}.toml")[0]))

    assert "attach to videoroom, join a room with audio" in words("mixed").replace("room of 'stage'", "room")
    assert "join a room of 'hall' with audio" in words("rooms") and "join a room of 'booths' with audio" in words(
        "rooms"
    )
    assert "every other packet lost" in words("churn") and "10 % of packets lost at random" in words("churn-webrtc")
    assert "janus.create, 60/s, evenly spaced" in words("capacity"), "the rate that is under no shape"
    assert "in 8 steps: 4, 8, 12" in words("capacity") and "3 spikes of 1500/s for 8 s" in words("spike-and-recover")


def test_the_picture_is_as_high_as_the_load(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        'name = "x"\nasks = "?"\n[stream]\n[shape]\nkind = "ramp"\nfrom = "1/s"\nto = "100/s"\nover = "10 s"\n'
    )
    rows = picture(load(path)[0], width=50, height=5)[:5]
    heights = [sum(row[10 + column : 11 + column] == "█" for row in rows) for column in range(50)]
    assert heights == sorted(heights) and heights[0] == 0 and heights[-1] >= 4


def test_check_lists_every_fault_and_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('name = "x"\nwish = 1\n[[users]]\nname = "u"\ncount = 0\nlife = ["join"]\n')
    assert cli.main(["scenario", "check", str(path)]) == 2
    said = capsys.readouterr().err
    for key in ("asks: is missing", "wish: no such key", "users.0.count"):
        assert key in said


def test_set_changes_a_value_and_says_what_it_cannot_change(capsys: pytest.CaptureFixture[str]) -> None:
    knee = str(SCENARIOS / "knee.toml")
    assert cli.main(["scenario", "explain", knee, "--set", 'shape.rates=["5/s"]', "--set", "users.0.count=9"]) == 0
    said = capsys.readouterr().out
    assert "9 x 'talker'" in said and "Load:  5/s for" in said
    assert cli.main(["scenario", "check", knee, "--set", "users.7.count=9", "--set", "seed"]) == 2
    said = capsys.readouterr().err
    assert "users.7.count: there is no '7' to change" in said and "seed: a change is written KEY=VALUE" in said
