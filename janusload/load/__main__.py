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
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import gevent
import gevent.event

from janusload import scenario as scenarios
from janusload.errors import JanusloadError, UsageError
from janusload.janus import tls
from janusload.janus.wire_log import WireLog, of_process
from janusload.load.arrivals import Arrivals
from janusload.load.conductor import Conductor
from janusload.load.crowd import Crowd
from janusload.load.echo import EchoPeer
from janusload.load.environment import make_environment, quiet_locust
from janusload.load.health import Health
from janusload.load.limit_watch import LimitWatch
from janusload.load.player import Player
from janusload.load.probes import PEER, Ladder, Notice
from janusload.load.progress import Progress
from janusload.load.recorder import Recorder
from janusload.load.rooms import rooms
from janusload.load.stage import Announce, Stage, Target
from janusload.media.engine import Engine
from janusload.records import MediaRecord, PeerEventRecord, ProbeRecord, Record, Source
from janusload.run_folder import RunFolder
from janusload.scenario import Scenario
from janusload.scenario.model import Stream


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
    meta = folder.read_meta()
    scenario, _ = scenarios.load(folder.path / "scenario.toml", meta.get("scenario", {}).get("changes", ()))
    target = Target(
        meta["target"]["url"],
        os.environ.pop("JANUS_API_SECRET", None) or None,
        allow_public=meta["target"]["allow_public"],
        tls=_tls(meta["target"]),
        wire_log=_wire_log(meta["target"], process="load"),
    )
    recorder = Recorder(
        folder.writer("load"), request=scenario.stream.request if scenario.stream is not None else "janus.create"
    )

    def of_users(record: Record) -> None:
        if not (isinstance(record, MediaRecord | PeerEventRecord) and record.peer == PEER):
            recorder.write(record)  # the ladder's own peer is no participant

    engine = Engine(
        workers=_media_workers(scenario),
        on_record=of_users,
        public_targets=target.allow_public,
        hear_share=_hear_share(scenario),
    )
    stage = Stage(target, recorder, engine, seed=scenario.seed)
    try:
        return _perform(scenario, folder, stage, announce, stop, meta.get("run_time_s"))
    finally:
        engine.stop()
        recorder.close()
        if target.wire_log is not None:
            target.wire_log.close()


def _perform(
    scenario: Scenario,
    folder: RunFolder,
    stage: Stage,
    announce: Announce,
    stop: gevent.event.Event,
    run_time_s: float | None,
) -> str:
    recorder = stage.recorder
    info = stage.check_server([f"janus.plugin.{plugin}" for plugin in sorted(scenario.plugins)])
    announce({"type": "begun"})
    folder.write_meta(server=_facts_of(info), clock={"monotonic_ns": time.monotonic_ns(), "utc": _utc()})
    recorder.start()
    if any(group.has_audio for group in scenario.users):
        stage.engine.start()
        folder.write_meta(media_pids=stage.engine.pids, media_ticks=stage.engine.ticks)
    random.seed(scenario.seed)
    environment = make_environment(stage, scenario.users)
    arrivals: Arrivals | None = None
    conductor: Conductor

    def gauges() -> tuple[int, int]:
        return (arrivals.in_flight if arrivals is not None else 0), stage.participants

    def probed(record: ProbeRecord) -> None:
        recorder.write(record)
        conductor.probed(record)

    health = Health(recorder.write, gauges)
    known = info.get("plugins")
    ladder = make_ladder(
        scenario,
        stage,
        probed,
        plugins=frozenset(known) if isinstance(known, dict) else frozenset(),
        notice=lambda notice: announce({"type": "rung", **notice._asdict()}),
    )
    if scenario.stream is not None:
        arrivals = make_arrivals(scenario.stream, stage, health)
    player = Player(stage, arrivals)
    watch = LimitWatch(
        scenario.limits, recorder.request, Source.ARRIVALS if scenario.stream is not None else Source.USERS
    )
    if not watch.idle:
        recorder.listen(watch.take)
    conductor = Conductor(
        scenario,
        stage,
        Crowd(scenario, environment.runner, player.obey),
        order=player.obey,
        announce=announce,
        progress=Progress(stage, lambda: health.latest, by_users=scenario.by_users),
        stop=stop,
        crossed=watch.crossed,
        run_time_s=run_time_s,
    )
    with ExitStack() as stack:
        stack.callback(health.stop)
        health.start()
        stack.callback(player.close)
        # numbers that no other run on the same server has
        stack.enter_context(rooms(stage, scenario, random.Random(time.time_ns()).randrange(10**6, 10**9)))
        stack.callback(ladder.stop)
        ladder.start()
        # A full collection over all that was imported takes tens of milliseconds; nothing leaves in them.
        gc.collect()
        gc.freeze()
        end = conductor.run()
        gevent.sleep(0.2)  # what was destroyed on the way out is on its way
    return end


def make_ladder(
    scenario: Scenario,
    stage: Stage,
    probed: Callable[[ProbeRecord], None],
    *,
    plugins: frozenset[str] = frozenset(),
    notice: Callable[[Notice], None] = lambda notice: None,
) -> Ladder:
    """The stall ladder beside the load.

    Args:
        plugins: packages of the plugins that the server has.
    """
    deadline_s = scenario.probes.deadline or scenario.timeout_s
    needs_audiobridge = "audiobridge" in scenario.plugins
    # without users there are no media workers
    with_echo = any(group.has_audio for group in scenario.users) and "janus.plugin.echotest" in plugins
    return Ladder(
        lambda: stage.connection("ladder", Source.PROBES, timeout_s=deadline_s),
        probed,
        deadline_s=deadline_s,
        audiobridge=needs_audiobridge or "janus.plugin.audiobridge" in plugins,
        needs_audiobridge=needs_audiobridge,
        echo=EchoPeer(stage.engine) if with_echo else None,
        notice=notice,
    )


def make_arrivals(stream: Stream, stage: Stage, health: Health, worker: int = 0, of: int = 1) -> Arrivals:
    """The stream of one process of the generator."""
    return Arrivals(
        lambda number: stage.connection(f"stream-{number}", Source.ARRIVALS, timeout_s=stream.timeout),
        stream.connections,
        stream.timeout,
        health,
        verb=stream.request.partition(".")[2],
        worker=worker,
        of=of,
    )


def _facts_of(info: dict[str, object]) -> dict[str, object]:
    """What Janus says of itself, without the prose about each plugin: names and versions are enough to do it again."""
    facts = {key: value for key, value in info.items() if key not in ("janus", "transaction")}
    for kind in ("plugins", "transports", "events", "loggers"):
        entries = facts.get(kind)
        if isinstance(entries, dict):
            facts[kind] = {
                name: entry.get("version_string") if isinstance(entry, dict) else None
                for name, entry in entries.items()
            }
    return facts


def _hear_share(scenario: Scenario) -> float:
    """A fifth of the peers listen where there is something to be known by: a tone or a chirp."""
    return 0.2 if any(group.clip.partition(":")[0] in ("tone", "chirp") for group in scenario.users) else 0.0


def _media_workers(scenario: Scenario) -> int:
    """One worker per core left over beside this process; more than one per 50 peers would only cost memory."""
    spare = max(1, (os.cpu_count() or 2) - 1)
    return max(1, min(spare, -(-scenario.user_count // 50)))


def _tls(target: dict[str, object]) -> ssl.SSLContext | None:
    if not str(target["url"]).startswith("wss://"):
        return None
    return tls.context(ca=str(target["ca"]) if target.get("ca") else None, insecure=bool(target.get("insecure")))


def _wire_log(target: dict[str, object], process: str) -> WireLog | None:
    path = target.get("wire_log")
    return WireLog(of_process(Path(str(path)), process)) if path else None


def _utc() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


if __name__ == "__main__":
    sys.exit(main())
