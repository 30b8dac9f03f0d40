"""Locust users that live as their scenario says: no clock, no metric, no try; `Stage` and `Life` see to those."""

from __future__ import annotations

import random
import time
from typing import ClassVar

import gevent.event
from locust import User, task
from locust.exception import StopUser

from janusload.load.lives import Life
from janusload.load.stage import Stage
from janusload.scenario import Users


class JanusUser(User):  # type: ignore[misc]  # locust ships no types
    """A user of Janus, who lives one life of its group after the other."""

    abstract = True
    plan: ClassVar[Users]

    def __init__(self, environment: object) -> None:
        super().__init__(environment)
        # None where the test could not begin: Locust spawns users all the same before it quits
        self._stage: Stage | None = getattr(environment, "janusload", None)
        self.leaving = gevent.event.Event()
        number, self._begin_ns = 0, 0
        if self._stage is not None:
            number, self._begin_ns = self._stage.turns.take(self.plan.name)
            self._stage.leaving.rawlink(self._all_leave)
        self.name = f"{self.plan.name}-{number + 1}"
        self._lived = 0

    @property
    def stage(self) -> Stage:
        if self._stage is None:
            raise StopUser
        return self._stage

    def on_start(self) -> None:
        """Wait for our turn: Locust spawns in lumps."""
        self._wait_until(self._begin_ns)

    def on_stop(self) -> None:
        if self._stage is not None:
            self._stage.leaving.unlink(self._all_leave)

    def stop(self, force: bool = False) -> bool:
        """Come to the end of this life, because Locust wants fewer users."""
        self.leaving.set()
        stopped: bool = super().stop(force)
        return stopped

    @task  # type: ignore[untyped-decorator]  # locust ships no types
    def live(self) -> None:
        stage = self.stage
        if self.plan.lives is not None and self._lived >= self.plan.lives:
            self.leaving.wait()
        if self._lived and self.plan.pause is not None:
            self.leaving.wait(self.plan.pause.draw(self._choices("pause")))
        if (clock := stage.lives) is not None and not self.leaving.is_set():
            self._wait_until(clock.take())
            if clock.over:
                self.leaving.wait()
        if self.leaving.is_set():
            raise StopUser
        self._lived += 1
        with stage.life(self.name, self.leaving):
            Life(stage, self.plan, self.name, self._choices("life"), self.leaving).live()

    def _choices(self, what: str) -> random.Random:
        """The same choices for the same seed, user and life, whatever the others do meanwhile."""
        return random.Random(f"{self.stage.seed}/{self.name}/{self._lived}/{what}")

    def _wait_until(self, moment_ns: int) -> None:
        left_s = (moment_ns - time.monotonic_ns()) / 1e9
        if left_s > 0:
            self.leaving.wait(left_s)

    def _all_leave(self, _: object) -> None:
        self.leaving.set()
