"""A scenario: TOML in, a validated frozen `Scenario` out.

Quantities are written with their unit (`"2 s"`, `"60/s"`, `"20 %"`, `"256 MB"`), so that a wrong unit is an error and
not a wrong run. All faults of a file are reported at once, each with its key and the reason.
"""

from janusload.scenario.life import Act, Choose, Repeat, Verb
from janusload.scenario.limits import Limit
from janusload.scenario.model import LabTable, RoomsTable, Scenario, Users
from janusload.scenario.reading import load, parse

__all__ = [
    "Act",
    "Choose",
    "LabTable",
    "Limit",
    "Repeat",
    "RoomsTable",
    "Scenario",
    "Users",
    "Verb",
    "load",
    "parse",
]
