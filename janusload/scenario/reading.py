"""From a file to a `Scenario`, or to all that is wrong with it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from janusload.errors import ScenarioError
from janusload.scenario.model import Scenario


def load(path: Path) -> tuple[Scenario, str]:
    """Read a scenario file; returns it with its text.

    Raises:
        ScenarioError: it cannot be read, is no TOML, or has faults; all of them are listed.
    """
    name = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ScenarioError(name, [("", f"cannot be read: {reason}")]) from None
    try:
        return parse(tomllib.loads(text)), text
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(name, [("", f"is no TOML: {error}")]) from None
    except ValidationError as error:
        raise ScenarioError(name, [_fault(fault) for fault in error.errors()]) from None


def parse(table: dict[str, Any]) -> Scenario:
    """Validate a table that was read from TOML. Raises pydantic's ValidationError."""
    return Scenario.model_validate(table)


def _fault(fault: Any) -> tuple[str, str]:
    key = ".".join(str(part) for part in fault["loc"])
    reason = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        reason = "no such key"
    elif fault["type"] == "missing":
        reason = "is missing"
    elif fault["type"] not in ("value_error",):
        reason = f"{reason} (it is {fault['input']!r})"
    return key, reason
