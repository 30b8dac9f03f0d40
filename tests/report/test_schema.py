from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from janusload.report import schema
from janusload.summary import FailureKind, OnsetStatus, Summary, Verdict
from tests.report import sample


@pytest.mark.parametrize("summary", sample.every())
def test_summary_json_follows_its_schema(summary: Summary) -> None:
    checker = Draft202012Validator(json.loads(schema.PATH.read_text()))
    checker.check_schema(checker.schema)
    made = json.loads(summary.to_json())
    assert made["schema"] == 1
    assert list(checker.iter_errors(made)) == []
    assert list(checker.iter_errors(made | {"surprise": 1}))


def test_schema_is_current() -> None:
    assert schema.PATH.read_text(encoding="utf-8") == schema.text(), (
        "the Summary model has changed: run `.venv/bin/python -c "
        "'from janusload.report import schema; schema.refresh()'` and commit summary.schema.json"
    )


def test_schema_knows_every_failure_and_status() -> None:
    text = schema.PATH.read_text()
    assert all(f'"{kind.value}"' in text for kind in [*FailureKind, *OnsetStatus, *Verdict])
