"""The JSON Schema of scenario files, for editors that complete and check TOML."""

from __future__ import annotations

import json
from pathlib import Path

from janusload.scenario.model import Scenario

#: in the repository; a test keeps it current
FILE = Path(__file__).with_name("scenario.schema.json")


def text() -> str:
    """The schema as it is now."""
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "janusload scenario"
    rooms = schema["properties"]["rooms"]
    # one table may stand where there is only one kind of rooms
    schema["properties"]["rooms"] = {"anyOf": [rooms["items"], rooms]}
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def refresh() -> None:
    """Write it anew, after the language changed."""
    FILE.write_text(text(), encoding="utf-8")
