"""Locust as a library: an environment with our users in it, and no word on the terminal."""

from __future__ import annotations

import logging
from collections.abc import Callable

from locust.env import Environment

from janusload.load.stage import Stage
from janusload.load.users import JanusUser
from janusload.records import Outcome, RequestRecord, Source
from janusload.scenario import Users

#: how long users may take to leave before Locust kills them
LEAVE_WITHIN_S = 10.0

#: Locust keys its error table by the exception's text: constant texts keep it small
_WORDS = {
    Outcome.API_TIMEOUT: "no answer within the timeout",
    Outcome.LOST_CONNECTION: "the WebSocket closed while it was pending",
    Outcome.CONNECT_FAILED: "no WebSocket came up",
    Outcome.DROPPED: "never written: no connection took it",
}


def user_class(group: Users) -> type[JanusUser]:
    """A Locust user class for one group of a scenario."""
    return type(
        f"JanusUser_{group.name.replace('-', '_')}",
        (JanusUser,),
        {"plan": group, "fixed_count": group.count or 0, "weight": group.weight or 1.0, "abstract": False},
    )


def make_environment(stage: Stage, groups: list[Users]) -> Environment:
    """An environment whose users act on this stage; it has no runner yet."""
    environment = Environment(user_classes=[user_class(group) for group in groups], stop_timeout=LEAVE_WITHIN_S)
    equip(environment, stage)
    end_lives_on_stop(environment)
    return environment


def equip(environment: Environment, stage: Stage) -> None:
    """Give an environment what our users need, and Locust's own statistics what they show."""
    environment.janusload = stage
    environment.stop_timeout = environment.stop_timeout or LEAVE_WITHIN_S
    stage.recorder.listen(_to_locust(environment))


def end_lives_on_stop(environment: Environment) -> None:
    """When a test is stopped, users come to the end of their lives instead of being cut off in the middle."""

    def leave(**_: object) -> None:
        stage: Stage | None = getattr(environment, "janusload", None)
        if stage is not None:
            stage.leaving.set()

    environment.events.test_stopping.add_listener(leave)


def _to_locust(environment: Environment) -> Callable[[RequestRecord], None]:
    def fire(record: RequestRecord) -> None:
        if record.source != Source.USERS or record.outcome == Outcome.CUT:
            return  # the stream is not Locust's, and thousands of events a second are not free
        ok = record.outcome == Outcome.OK
        words = _WORDS.get(Outcome(record.outcome)) or f"{record.plugin or record.layer} error {record.code}"
        environment.events.request.fire(
            request_type=record.source,
            name=record.name,
            # None for what was never answered: a timeout is no sample of a latency
            response_time=None if record.answered_ns is None else (record.answered_ns - record.due_ns) / 1e6,
            response_length=0,
            exception=None if ok else RuntimeError(words),
            context={"outcome": str(record.outcome)},
        )

    return fire


def quiet_locust() -> None:
    """Locust's own log lines are for its own command line; ours shows progress in its own words."""
    logging.getLogger("locust").setLevel(logging.ERROR)
