"""What the parts of a scenario ask of each other: whether they fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from janusload.scenario.life import Verb, acts_of
from janusload.scenario.shapes import Churn

if TYPE_CHECKING:
    from janusload.scenario.model import Scenario, Users

Faults = list[tuple[str, str]]


def faults_of(scenario: Scenario) -> Faults:
    """Everything that does not fit, as (key, reason); empty if all does."""
    return _of_load(scenario) + _of_people(scenario) + _of_rooms(scenario) + _of_limits(scenario)


def _of_load(scenario: Scenario) -> Faults:
    stream, shape = scenario.stream, scenario.shape
    faults: Faults = []
    if stream is None and not scenario.users:
        faults.append(("", "nothing to do: it has neither [[users]] nor a [stream]"))
    if shape is None:
        if stream is not None and scenario.run_time is None:
            faults.append(("", "[stream] and [shape] belong together: one says what is sent, the other how fast"))
        if stream is not None and scenario.run_time is not None and stream.rate is None:
            faults.append(("stream.rate", 'is missing: without a [shape] it says how fast, as in rate = "20/s"'))
        if stream is None and scenario.run_time is None:
            faults.append(("run_time", 'is missing: without a [shape] it says how long, as in run_time = "20 s"'))
        return faults
    if (every := scenario.probes.every) > 1 and scenario.recovery.at_most <= 3 * every:
        faults.append(("recovery.at_most", f"three probes in a row must fit into it, and there is one in {every:g} s"))
    if scenario.run_time is not None:
        faults.append(("run_time", "the [shape] says already how long the load lasts"))
    if shape.by_users:
        if not scenario.users:
            faults.append(("shape", "it is about users, and there are no [[users]]"))
        if stream is not None and stream.rate is None:
            faults.append(("stream.rate", 'is missing: the [shape] is about users, as in rate = "20/s"'))
    else:
        if stream is None:
            faults.append(("shape", "[stream] and [shape] belong together: one says what is sent, the other how fast"))
        elif stream.rate is not None:
            faults.append(("stream.rate", "the [shape] says already how fast"))
    return faults


def _of_people(scenario: Scenario) -> Faults:
    faults: Faults = []
    names = [group.name for group in scenario.users]
    for number, name in enumerate(names):
        if name in names[:number]:
            faults.append((f"users.{number}.name", f"two groups of [[users]] have the same name ({name!r})"))
    weighted = any(group.weight is not None for group in scenario.users)
    shaped = scenario.shape is not None and scenario.shape.by_users and not isinstance(scenario.shape, Churn)
    if shaped and scenario.users and not weighted:
        faults.append(("users", "the [shape] says how many users there are: give at least one group a weight"))
    if shaped and scenario.people is not None:
        faults.append(("people", "the [shape] says already how many users there are"))
    if not shaped and weighted and scenario.people is None:
        faults.append(("people", "is missing: it says how many users the groups with a weight share"))
    if not shaped and not weighted and scenario.people is not None:
        faults.append(("people", "no group has a weight: every count is said already"))
    return faults


def _of_rooms(scenario: Scenario) -> Faults:
    faults: Faults = []
    names = [rooms.name for rooms in scenario.rooms]
    for number, name in enumerate(names):
        if name in names[:number]:
            faults.append((f"rooms.{number}.name", f"two kinds of rooms have the same name ({name!r})"))
    for number, rooms in enumerate(scenario.rooms):
        if rooms.plugin == "videoroom" and (rooms.record or rooms.talk_events):
            faults.append((f"rooms.{number}.plugin", "record (the mix) and talk_events are for audiobridge rooms"))
        taken = sum(scenario.most_of(group) for group in scenario.users if _goes_to(scenario, group) == rooms.name)
        if rooms.users_each is not None and taken > rooms.count * rooms.users_each:
            faults.append(
                (
                    f"rooms.{number}.users_each",
                    f"{rooms.count} x {rooms.users_each} users find room, and {taken} are to come",
                )
            )
    for number, group in enumerate(scenario.users):
        faults += [(f"users.{number}.{key}", reason) for key, reason in _of_group(scenario, group, names)]
    return faults


def _goes_to(scenario: Scenario, group: Users) -> str:
    if not group.needs_rooms:
        return ""
    rooms = scenario.rooms_of(group)
    return "" if rooms is None else rooms.name


def _of_group(scenario: Scenario, group: Users, names: list[str]) -> Faults:
    if group.rooms is not None and group.rooms not in names:
        return [("rooms", f"there are no rooms called {group.rooms!r}; there are: {', '.join(names) or 'none'}")]
    if not group.needs_rooms:
        return [] if group.rooms is None else [("rooms", "nobody in this group joins a room")]
    rooms = scenario.rooms_of(group)
    if rooms is None:
        return [("rooms", f"there are no rooms of {group.plugin} for them to join that are not idle")]
    if rooms.idle:
        return [("rooms", f"the rooms called {rooms.name!r} are idle: nobody joins them")]
    if rooms.count < 2 and any(act.verb is Verb.CHANGEROOM for act in acts_of(group.steps)):
        return [("rooms", f"they change rooms, and there is only one called {rooms.name!r}")]
    if rooms.plugin not in group.plugins:
        return [("rooms", f"the rooms called {rooms.name!r} are of {rooms.plugin}, which they do not attach to")]
    return []


def _of_limits(scenario: Scenario) -> Faults:
    climbs = scenario.shape is not None and scenario.shape.kind in ("steps", "ramp", "search")
    return [
        (f"limits.{number}", f"{limit.text!r}: there is no onset without a shape that climbs (steps, ramp, search)")
        for number, limit in enumerate(scenario.limits)
        if limit.kind.startswith("onset") and not climbs
    ]
