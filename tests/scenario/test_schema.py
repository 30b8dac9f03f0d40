from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from janusload.scenario import schema

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.toml"))


def test_the_schema_in_the_repository_is_current() -> None:
    assert schema.FILE.read_text() == schema.text(), (
        "run: python -c 'from janusload.scenario import schema; schema.refresh()'"
    )


@pytest.fixture(scope="module")
def validator() -> Any:
    found = json.loads(schema.FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda p: p.stem)
def test_an_editor_finds_nothing_wrong_with_our_scenarios(path: Path, validator: Any) -> None:
    assert [error.message for error in validator.iter_errors(tomllib.loads(path.read_text()))] == []


@pytest.mark.parametrize(
    "wrong", ['seed = "x"', "colour = 1", '[stream]\ntimeout = "2 furlongs"', "[shape]\nrates = [5]"]
)
def test_an_editor_sees_what_is_wrong(wrong: str, validator: Any) -> None:
    table = {"schema": 1, "name": "x", "asks": "?", **tomllib.loads(wrong)}
    assert list(validator.iter_errors(table))
