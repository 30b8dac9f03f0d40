"""Locust users that live as people do: join, talk, leave. No clock, no metric, no try: `Stage` sees to those."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from locust import User, task
from locust.exception import StopUser

from janusload.janus.plugins.audiobridge import AudioBridge
from janusload.load.stage import Stage

_numbers: dict[str, Iterator[int]] = {}


class JanusUser(User):  # type: ignore[misc]  # locust ships no types
    """A user of Janus; classes below tell its life."""

    abstract = True
    group = "user"

    def __init__(self, environment: object) -> None:
        super().__init__(environment)
        # None where the test could not begin: Locust spawns users all the same before it quits
        self._stage: Stage | None = getattr(environment, "janusload", None)
        number = next(_numbers.setdefault(self.group, itertools.count(1)))
        self.name = f"{self.group}-{number}"

    @property
    def stage(self) -> Stage:
        if self._stage is None:
            raise StopUser
        return self._stage

    @task  # type: ignore[untyped-decorator]  # locust ships no types
    def live(self) -> None:
        with self.stage.life(self.name):
            self.life()
        if self.stage.leaving.is_set():
            raise StopUser

    def life(self) -> None:
        """One life, from connecting to the end."""
        raise NotImplementedError

    def stay(self, seconds: float | None) -> bool:
        """Wait; False as soon as it is time to leave."""
        return not self.stage.leaving.wait(seconds)


class AudioBridgeUser(JanusUser):
    """Joins a room, publishes audio, is muted now and then, is recorded if wanted, leaves."""

    abstract = True
    group = "talker"
    clip = "speech"
    stay_s: float | None = None
    mute_every_s: float | None = None
    record = False

    def life(self) -> None:
        room = self.stage.next_room()
        with self.stage.session(self.name) as session:
            bridge = session.attach(AudioBridge, opaque_id=self.name)
            with self.stage.engine.peer(self.name, clip=self.clip) as peer:
                joined = bridge.join(room, jsep=peer.offer(), display=self.name)
                peer.accept(joined.jsep or {})
                with self.stage.audio():
                    if self.record:
                        bridge.configure(record=True, filename=f"janusload-{self.name}")
                    self.talk(bridge)
                    if self.record:
                        bridge.configure(record=False)
                    bridge.leave()
                bridge.hangup()
            bridge.detach()

    def talk(self, bridge: AudioBridge) -> None:
        """Talk until it is time to leave; muted and unmuted in turn if so wished."""
        if self.mute_every_s is None:
            self.stay(self.stay_s)
            return
        left_s = float("inf") if self.stay_s is None else self.stay_s
        muted = False
        while left_s > 0 and self.stay(min(self.mute_every_s, left_s)):
            left_s -= self.mute_every_s
            muted = not muted
            bridge.configure(muted=muted)
        if muted:
            bridge.configure(muted=False)
