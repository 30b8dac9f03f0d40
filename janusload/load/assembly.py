"""The parts of which a process of the generator is put together, each from what the scenario says."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from pathlib import Path

from janusload.janus import tls
from janusload.janus.wire_log import WireLog, of_process
from janusload.load.arrivals import Arrivals
from janusload.load.echo import EchoPeer
from janusload.load.health import Health
from janusload.load.probes import Ladder, Notice
from janusload.load.recorder import Recorder
from janusload.load.stage import Stage
from janusload.records import ProbeRecord, Source
from janusload.run_folder import RecordWriter
from janusload.scenario import Scenario
from janusload.scenario.model import Stream

#: peers that one media worker carries without trouble; more processes for fewer would only cost memory
_PEERS_PER_MEDIA_WORKER = 50


def make_recorder(scenario: Scenario, writer: RecordWriter) -> Recorder:
    """The recorder of one process, which knows which request is under test."""
    if scenario.stream is None:
        return Recorder(writer, source=Source.USERS)
    return Recorder(writer, request=scenario.stream.request)


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
        every_s=scenario.probes.every,
        on_failure=stage.recorder.on_failure,
    )


def make_arrivals(stream: Stream, stage: Stage, health: Health, worker: int = 0, of: int = 1) -> Arrivals:
    """The stream of one process of the generator."""
    return Arrivals(
        lambda number: stage.connection(f"stream-{number}", Source.ARRIVALS, timeout_s=stream.timeout),
        # all workers together have as many as the scenario says, and each has one
        max(1, stream.connections // of + (worker < stream.connections % of)),
        stream.timeout,
        health,
        verb=stream.request.partition(".")[2],
        worker=worker,
        of=of,
    )


def facts_of(info: dict[str, object]) -> dict[str, object]:
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


def hear_share(scenario: Scenario) -> float:
    """A fifth of the peers listen where there is something to be known by: a tone or a chirp."""
    return 0.2 if any(group.clip.partition(":")[0] in ("tone", "chirp") for group in scenario.users) else 0.0


def media_workers(scenario: Scenario, processes: int = 1) -> int:
    """How many media workers one of `processes` signalling processes of this machine has.

    The cores that signalling leaves of those that we may use are shared among them, at least one each.
    """
    spare = max(1, (len(os.sched_getaffinity(0)) - processes) // processes)
    return max(1, min(spare, -(-scenario.user_count // processes // _PEERS_PER_MEDIA_WORKER)))


def tls_of(target: dict[str, object]) -> ssl.SSLContext | None:
    if not str(target["url"]).startswith("wss://"):
        return None
    return tls.context(ca=str(target["ca"]) if target.get("ca") else None, insecure=bool(target.get("insecure")))


def wire_log(target: dict[str, object], process: str) -> WireLog | None:
    path = target.get("wire_log")
    return WireLog(of_process(Path(str(path)), process)) if path else None
