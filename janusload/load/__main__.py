"""The load process of `janusload run`: `python -m janusload.load RUN_DIR --tell-fd N`, started by `janusload/run.py`.

It reads what to do from the run folder (`meta.json`: url; `scenario.toml`) and the API secret from the environment, and
says how it goes as JSON lines on a file descriptor. Locust comes first: its import patches the standard library.
"""

from __future__ import annotations

# isort: off
import locust  # noqa: F401 - patches the standard library, so it must come before everything below

# isort: on
import argparse
import gc
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import gevent
import gevent.event
from locust.env import Environment

from janusload import descriptors
from janusload import scenario as scenarios
from janusload.errors import JanusloadError, UsageError
from janusload.load.arrivals import Arrivals
from janusload.load.assembly import (
    facts_of,
    hear_share,
    make_arrivals,
    make_ladder,
    make_recorder,
    media_workers,
    tls_of,
    wire_log,
)
from janusload.load.conductor import FLEET_LEAD_S, LEAD_S, Conductor
from janusload.load.crowd import Crowd
from janusload.load.environment import make_environment, quiet_locust
from janusload.load.fleet import Fleet
from janusload.load.health import Gauges, Health
from janusload.load.limit_watch import watch_of
from janusload.load.player import Order, Player
from janusload.load.probes import PEER
from janusload.load.progress import Progress
from janusload.load.rooms import rooms
from janusload.load.stage import Announce, Stage, Target
from janusload.media.engine import Engine
from janusload.records import HealthRecord, MediaRecord, PeerEventRecord, ProbeRecord, Record
from janusload.run_folder import RunFolder
from janusload.scenario import Scenario


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m janusload.load")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--tell-fd", type=int, required=True)
    options = parser.parse_args(argv)
    pipe = os.fdopen(options.tell_fd, "w", buffering=1, encoding="utf-8")

    def announce(facts: dict[str, object]) -> None:
        try:
            pipe.write(json.dumps(facts) + "\n")
        except OSError:
            os._exit(1)  # whoever started us is gone, and with it everybody who could read the answer

    stop = gevent.event.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(signum, stop.set)
    try:
        end = perform(RunFolder.open(options.run_dir), announce, stop)
    except JanusloadError as error:
        announce({"type": "error", "message": str(error), "usage": isinstance(error, UsageError)})
        return 1
    announce({"type": "end", "end": end})
    return 0


def perform(folder: RunFolder, announce: Announce, stop: gevent.event.Event) -> str:
    """Carry a run through, or until `stop` is set; returns how it ended. Raises JanusloadError if it could not be."""
    quiet_locust()
    descriptors.raise_limit()
    meta = folder.read_meta()
    scenario, _ = scenarios.load(folder.path / "scenario.toml", meta.get("scenario", {}).get("changes", ()))
    target = Target(
        meta["target"]["url"],
        os.environ.pop("JANUS_API_SECRET", None) or None,
        allow_public=meta["target"]["allow_public"],
        tls=tls_of(meta["target"]),
        wire_log=wire_log(meta["target"], process="load"),
    )
    recorder = make_recorder(scenario, folder.writer("load"))

    def of_users(record: Record) -> None:
        if not (isinstance(record, MediaRecord | PeerEventRecord) and record.peer == PEER):
            recorder.write(record)  # the ladder's own peer is no participant

    crew = Crew.of(meta.get("fleet"))
    engine = Engine(
        workers=1 if crew.distributed else media_workers(scenario),
        on_record=of_users,
        public_targets=target.allow_public,
        hear_share=hear_share(scenario),
    )
    stage = Stage(target, recorder, engine, seed=scenario.seed)
    try:
        return _Run(scenario, folder, stage, announce, stop, crew, meta).carry_through()
    finally:
        with ExitStack() as stack:
            # the last first, each whatever becomes of those before it: the disk may be full
            if target.wire_log is not None:
                stack.callback(target.wire_log.close)
            stack.callback(recorder.close)
            stack.callback(lambda: folder.write_meta(sessions=recorder.sessions.facts()))
            stack.callback(engine.stop)


class Crew(NamedTuple):
    """Who makes the load: this process alone, or so many workers, some of which this machine starts itself.

    Attributes:
        bind: where the master listens for workers of other machines, as `host:port`; empty for loopback only.
    """

    workers: int = 0
    local: int = 0
    bind: str = ""

    @property
    def distributed(self) -> bool:
        return self.workers > 0

    @classmethod
    def of(cls, facts: dict[str, Any] | None) -> Crew:
        return cls(**facts) if facts else cls()


class _Run:
    """One run, from the preflight to the last record."""

    def __init__(
        self,
        scenario: Scenario,
        folder: RunFolder,
        stage: Stage,
        announce: Announce,
        stop: gevent.event.Event,
        crew: Crew,
        meta: dict[str, Any],
    ) -> None:
        self._scenario = scenario
        self._folder = folder
        self._stage = stage
        self._announce = announce
        self._stop = stop
        self._crew = crew
        self._meta = meta
        self._health = Health(stage.recorder.write, self._gauges)
        stage.recorder.on_failure = self._health.failed
        self._arrivals: Arrivals | None = None
        self._fleet: Fleet | None = None

    def carry_through(self) -> str:
        """Raises JanusloadError if it could not be carried through."""
        scenario, stage = self._scenario, self._stage
        info = stage.check_server([f"janus.plugin.{plugin}" for plugin in sorted(scenario.plugins)])
        environment = make_environment(stage, scenario.users)
        if self._crew.distributed:
            self._fleet = self._gather(environment)
        self._announce({"type": "begun"})
        clock = {"monotonic_ns": time.monotonic_ns(), "unix_ns": time.time_ns(), "utc": _utc()}
        self._folder.write_meta(server=facts_of(info), clock=clock)
        stage.recorder.start()
        if any(group.has_audio for group in scenario.users):
            stage.engine.start()
            engine = stage.engine
            self._folder.write_meta(media_pids=engine.pids, media_ticks=engine.ticks, media_real_time=engine.real_time)
        random.seed(scenario.seed)
        with ExitStack() as stack:
            stack.callback(self._health.stop)
            self._health.start()
            # numbers that no other run on the same server has
            first = random.Random(time.time_ns()).randrange(10**6, 10**9)
            numbers = stack.enter_context(rooms(stage, scenario, first))
            order, give_up = self._hands(environment, numbers, stack)
            return self._conduct(environment, info, order, give_up, stack)

    def _gauges(self) -> Gauges:
        users = self._stage.participants
        return self._arrivals.gauges(users) if self._arrivals is not None else Gauges(0, users)

    def _healths(self) -> list[HealthRecord]:
        """The latest of each process that sends load or asks the server, those that are missing left out."""
        own = [self._health.latest] if self._health.latest is not None else []
        return own + (self._fleet.healths() if self._fleet is not None else [])

    def _gather(self, environment: Environment) -> Fleet:
        """The master of a fleet, with every worker there and its clock measured."""
        host, _, port = (self._crew.bind or "127.0.0.1:0").rpartition(":")
        runner = environment.create_master_runner(host, int(port))
        fleet = Fleet(runner, self._crew.workers, self._folder.records, watch_of(self._scenario))
        fleet.start_local(self._crew.local, host, self._stage.target.api_secret)
        try:
            fleet.wait_for_workers(self._stop)
        except JanusloadError:
            fleet.finish()
            raise
        return fleet

    def _hands(
        self, environment: Environment, numbers: dict[str, list[int]], stack: ExitStack
    ) -> tuple[Callable[[Order], None], Callable[[], str]]:
        """What carries out the conductor's orders, and what says why the load cannot go on."""
        scenario, stage = self._scenario, self._stage
        if self._fleet is not None:
            fleet = self._fleet
            stack.callback(self._write_fleet, fleet)
            stack.callback(fleet.finish)
            task = {
                "scenario": (self._folder.path / "scenario.toml").read_text(encoding="utf-8"),
                "changes": list(self._meta["scenario"].get("changes", ())),
                "target": self._meta["target"],
                "keepalive_s": stage.keepalive_s,
                "rooms": numbers,
                "records": str(self._folder.records),
            }
            fleet.assign(task, stage, self._stop)
            # now, and once more at the end: should this process be killed, the records still find their clock
            self._write_fleet(fleet)
            self._folder.write_meta(media_pids=[*stage.engine.pids, *fleet.pids])
            return fleet.order, fleet.given_up
        environment.create_local_runner()
        if scenario.stream is not None:
            self._arrivals = make_arrivals(scenario.stream, stage, self._health)
        player = Player(stage, self._arrivals, on_dropped=self._health.count_dropped)
        stack.callback(player.close)
        watch = watch_of(scenario)
        if not watch.idle:
            stage.recorder.listen(watch.take)
        return player.obey, watch.crossed

    def _conduct(
        self,
        environment: Environment,
        info: dict[str, object],
        order: Callable[[Order], None],
        give_up: Callable[[], str],
        stack: ExitStack,
    ) -> str:
        scenario, stage = self._scenario, self._stage
        conductor = Conductor(
            scenario,
            stage,
            Crowd(scenario, environment.runner, order, apart=self._fleet is not None),
            order=order,
            announce=self._announce,
            progress=Progress(
                stage,
                self._healths,
                lambda: self._fleet.missing if self._fleet is not None else (),
                unit=scenario.unit,
                with_audio=any(group.has_audio for group in scenario.users),
                timeout_s=scenario.timeout_s,
            ),
            stop=self._stop,
            give_up=give_up,
            lead_s=LEAD_S if self._fleet is None else FLEET_LEAD_S,
            run_time_s=self._meta.get("run_time_s"),
        )

        def probed(record: ProbeRecord) -> None:
            stage.recorder.write(record)
            conductor.probed(record)

        known = info.get("plugins")
        ladder = make_ladder(
            scenario,
            stage,
            probed,
            plugins=frozenset(known) if isinstance(known, dict) else frozenset(),
            notice=lambda notice: self._announce({"type": "rung", **notice._asdict()}),
        )
        stack.callback(ladder.stop)
        ladder.start()
        # A full collection over all that was imported takes tens of milliseconds; nothing leaves in them.
        gc.collect()
        gc.freeze()
        return conductor.run()

    def _write_fleet(self, fleet: Fleet) -> None:
        self._folder.write_meta(fleet={**self._crew._asdict(), "took_part": fleet.facts()})


def _utc() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


if __name__ == "__main__":
    sys.exit(main())
