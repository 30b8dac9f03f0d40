"""Rooms that are there while a run lasts: made before it, destroyed after it."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from janusload.errors import JanusError, TransactionTimeout
from janusload.janus.handle import Handle
from janusload.load.stage import Stage
from janusload.records import Source
from janusload.scenario import RoomsTable, Scenario

log = logging.getLogger(__name__)

#: what a video room lets in (Janus's own default is 3)
_MOST_PUBLISHERS = 10_000


@contextmanager
def rooms(stage: Stage, scenario: Scenario, first: int) -> Iterator[dict[str, list[int]]]:
    """The rooms of a scenario while the block runs, numbered from `first`; yields their numbers by name."""
    with made(stage, scenario.every_room, first, plain_rtp=takes_plain_rtp(scenario)) as numbers:
        stage.deal_rooms(numbers, rooms_of(scenario))
        yield numbers


def rooms_of(scenario: Scenario) -> dict[str, str]:
    """Which rooms each group of users joins."""
    found = {group.name: scenario.rooms_of(group) for group in scenario.users if group.needs_rooms}
    return {name: rooms.name for name, rooms in found.items() if rooms is not None}


def takes_plain_rtp(scenario: Scenario) -> bool:
    """Whether somebody joins with plain RTP, which a room must allow."""
    return any(group.media == "plain_rtp" for group in scenario.users)


@contextmanager
def made(stage: Stage, tables: list[RoomsTable], first: int, *, plain_rtp: bool) -> Iterator[dict[str, list[int]]]:
    """Make rooms and destroy them after the block; yields their numbers by what their table calls them."""
    if not tables:
        yield {}
        return
    numbers = itertools.count(first)
    with ExitStack() as stack:
        connection = stack.enter_context(stage.connection("rooms", Source.HOUSEKEEPING))
        session = connection.create(keepalive_s=stage.keepalive_s)
        stack.callback(connection.part)
        handles: dict[str, Handle] = {}
        patience = Patience()
        found: dict[str, list[int]] = {}
        for table in tables:
            if table.plugin not in handles:
                handles[table.plugin] = session.attach(f"janus.plugin.{table.plugin}")
            handle = handles[table.plugin]
            for _ in range(table.count):
                number = next(numbers)
                handle.message(_creating(table, number, plain_rtp=plain_rtp))
                stack.callback(_destroy, handle, number, patience)
                if table.plugin == "audiobridge":
                    stage.room_takes.made(number, recorded=table.record)
                    stack.callback(stage.room_takes.end, number)
                found.setdefault(table.name, []).append(number)
        yield found


def _creating(table: RoomsTable, number: int, *, plain_rtp: bool) -> dict[str, object]:
    body: dict[str, object] = {"request": "create", "room": number, "description": "janusload"}
    if table.plugin == "videoroom":
        return {**body, "publishers": _MOST_PUBLISHERS, "record": table.mjrs}
    body["sampling_rate"] = table.sampling_rate
    if table.record:
        body["record"] = True
    if table.mjrs:
        body["mjrs"] = True
    if table.talk_events:
        body["audiolevel_event"] = True
    if plain_rtp:
        body["allow_rtp_participants"] = True
    return body


class Patience:
    """How long an answer to `destroy` is waited for: a server that did not answer one is not waited for at each."""

    timeout_s = 5.0


def _destroy(handle: Handle, number: int, patience: Patience) -> None:
    try:
        handle.message({"request": "destroy", "room": number}, timeout_s=patience.timeout_s)
    except TransactionTimeout as error:
        patience.timeout_s = 0.2
        log.warning("room %s could not be destroyed: %s", number, error)
    except JanusError as error:
        log.warning("room %s could not be destroyed: %s", number, error)
