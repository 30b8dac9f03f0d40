"""Scenario texts for the tests: what they come to, or what is wrong with them."""

from __future__ import annotations

import tomllib

from pydantic import ValidationError

from janusload.scenario import Scenario, parse
from janusload.scenario.reading import faults_of

HEAD = 'schema = 1\nname = "x"\nasks = "?"\n'


def plan(text: str) -> Scenario:
    return parse(tomllib.loads(HEAD + text))


def faults(text: str) -> dict[str, str]:
    try:
        plan(text)
    except ValidationError as error:
        return dict(faults_of(error))
    raise AssertionError("nothing was wrong with it")
