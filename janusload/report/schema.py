"""The JSON Schema of `summary.json`, generated from the model and kept beside this file for other tools."""

from __future__ import annotations

import json
from pathlib import Path

from janusload.summary import Summary

PATH = Path(__file__).with_name("summary.schema.json")


def text() -> str:
    """The schema as it ought to be; a test compares it with the file."""
    schema = Summary.model_json_schema(by_alias=True)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema | {"title": "janusload summary.json"}
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


def refresh() -> None:
    """Write the file anew after the model has changed."""
    PATH.write_text(text(), encoding="utf-8")
