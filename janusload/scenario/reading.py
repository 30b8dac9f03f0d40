"""From a file to a `Scenario`, or to all that is wrong with it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from janusload.errors import ScenarioError
from janusload.scenario.model import Scenario


def load(path: Path, changes: Sequence[str] = ()) -> tuple[Scenario, str]:
    """Read a scenario file; returns it with its text.

    Args:
        changes: `KEY=VALUE` with a dotted key and a value as TOML has it, put in the place of what the file says.

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
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(name, [("", f"is no TOML: {error}")]) from None
    faults = [(change.partition("=")[0], reason) for change in changes if (reason := change_value(table, change))]
    if faults:
        raise ScenarioError(name, faults)
    try:
        return parse(table), text
    except ValidationError as error:
        raise ScenarioError(name, faults_of(error)) from None


def change_value(table: dict[str, Any], change: str) -> str:
    """Put one `KEY=VALUE` in its place; returns what is wrong with it, empty if nothing is."""
    key, equals, text = change.partition("=")
    if not equals:
        return "a change is written KEY=VALUE"
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return f"{text!r} is no TOML value (text needs quotes: '\"5 s\"')"
    *path, last = key.strip().split(".")
    place: Any = table
    for part in path:
        if isinstance(place, dict):
            place = place.setdefault(part, {})
        elif isinstance(place, list) and part.isdecimal() and int(part) < len(place):
            place = place[int(part)]
        else:
            return f"there is no {part!r} to change"
    if isinstance(place, list) and last.isdecimal() and int(last) < len(place):
        place[int(last)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        return f"there is no {last!r} to change"
    return ""


def parse(table: dict[str, Any]) -> Scenario:
    """Validate a table that was read from TOML. Raises pydantic's ValidationError."""
    return Scenario.model_validate(table)


def faults_of(error: ValidationError) -> list[tuple[str, str]]:
    """All faults as (key, reason): each says what the value was and what is wrong with it."""
    return [fault for each in error.errors() for fault in _faults(each)]


#: pydantic names the member of a union in the path to a fault; people do not
_STEP_TAGS = {"act", "repeat", "choose"}
_SHAPE_TAGS = {"steps", "ramp", "search", "spike", "soak", "churn"}


#: keys that hold addresses
_ADDRESSES = ("server.url", "server.admin")


def _faults(fault: Any) -> list[tuple[str, str]]:
    key = ".".join(_path(fault["loc"]))
    if fault["type"] == "several":
        return [(".".join(part for part in (key, below) if part), reason) for below, reason in fault["ctx"]["faults"]]
    reason = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        reason = "no such key"  # without its value, which may be a secret that does not belong here
    elif fault["type"] == "missing":
        reason = "is missing"
    elif fault["type"] == "union_tag_invalid":
        known = fault["ctx"]["expected_tags"].replace("'", "")
        key, reason = f"{key}.kind", f"{fault['ctx']['tag']!r} is no shape of load; known are {known}"
    elif key in _ADDRESSES and "@" in str(fault["input"]):
        reason += "; put no user or password into it"  # nor is the value shown
    elif fault["type"] not in ("value_error",):
        reason = f"{reason} (it is {fault['input']!r})"
    return [(key, reason)]


def _path(location: tuple[int | str, ...]) -> list[str]:
    """The keys as they stand in the file: without the names of union members, which follow a number or `shape`."""
    path: list[str] = []
    for place, part in enumerate(location):
        before = location[place - 1] if place else None
        of_shape = part in _SHAPE_TAGS and location[:place] == ("shape",)
        of_step = part in _STEP_TAGS and isinstance(before, int)
        if not of_shape and not of_step:
            path.append(str(part))
    return path
