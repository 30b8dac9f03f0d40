from __future__ import annotations

from pathlib import Path

import pytest

from janusload.errors import ScenarioError
from janusload.scenario import load

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.toml"))

GOOD = """
schema = 1
name = "x"
asks = "?"
[stream]
timeout = "2 s"
[shape]
rates = ["100/s", "200/s"]
"""


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda p: p.stem)
def test_every_scenario_of_the_repository_is_sound(path: Path) -> None:
    plan, text = load(path)
    assert text.startswith("# Asks:") and "# Finds:" in text
    assert plan.asks


def faults(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    return dict(caught.value.faults)


def test_quantities_and_durations(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(GOOD.replace('"2 s"', '"1500 ms"'))
    plan, _ = load(path)
    assert plan.stream is not None and plan.stream.timeout == 1.5
    assert plan.settle_s == 5.0
    # 600 samples at 100/s are 6 s, but 8 s is the shortest; 5 s settle before
    assert sum(leg.duration_s for leg in plan.legs()) == pytest.approx(26.0)


@pytest.mark.parametrize("value", ['"2 furlongs"', "2", '"2"', '"-1 s"', '"fast"', "true"])
def test_wrong_units_name_the_key_and_an_example(tmp_path: Path, value: str) -> None:
    found = faults(tmp_path, GOOD.replace('"2 s"', value))
    assert "'2 s'" in found["stream.timeout"] and "ms, s, min, h" in found["stream.timeout"]


def test_all_faults_are_listed_at_once(tmp_path: Path) -> None:
    found = faults(tmp_path, GOOD.replace('asks = "?"', "wish = 1") + '\n[[users]]\nname = "Bad Name"\ncount = 0\n')
    assert found["wish"] == "no such key"
    assert found["asks"] == "is missing"
    assert "users.0.name" in found and "users.0.count" in found


def test_a_zero_rate_is_refused(tmp_path: Path) -> None:
    assert "shape.rates.0" in faults(tmp_path, GOOD.replace('"100/s"', '"0/s"'))


def test_no_toml_and_no_file(tmp_path: Path) -> None:
    assert "is no TOML" in faults(tmp_path, "a = = 1")[""]
    with pytest.raises(ScenarioError, match="cannot be read"):
        load(tmp_path / "absent.toml")


def test_parts_that_belong_together(tmp_path: Path) -> None:
    assert "belong together" in faults(tmp_path, 'name = "x"\nasks = "?"\n[stream]\n')[""]
    assert "nothing to do" in faults(tmp_path, 'name = "x"\nasks = "?"\n')[""]


@pytest.mark.parametrize("key", ["url", "admin"])
def test_a_password_in_an_address_is_refused_and_not_shown(tmp_path: Path, key: str) -> None:
    scheme = {"url": "ws", "admin": "http"}[key]
    found = faults(
        tmp_path,
        f'run_time = "5 s"\n[server]\n{key} = "{scheme}://admin:hunter2@janus.example:8188"\n[stream]\nrate = "1/s"\n',
    )
    assert "no user or password" in found[f"server.{key}"] and "hunter2" not in str(found)
