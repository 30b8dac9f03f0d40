"""The master's side of a run on several processes or machines: who they are, what they are told, what they report.

Locust's own engine carries the messages and deals out the users. Moments in orders are translated to each worker's
clock. Workers on this machine write their records into the run folder themselves; others send what they have written,
and the master keeps it as it comes.
"""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import gevent.event

from janusload import __version__
from janusload.errors import SurroundingsError
from janusload.load.clocks import ClockTrack
from janusload.load.limit_watch import LimitWatch
from janusload.load.player import Order
from janusload.load.stage import Stage
from janusload.records import HealthRecord, MarkerKind

log = logging.getLogger(__name__)

#: a worker that has said nothing for so long is gone, or its event loop is stuck
SILENT_S = 3.0
#: how long all workers together may take to come, to be ready, and to hand over their last records
COME_WITHIN_S = 60.0
READY_WITHIN_S = 120.0
DONE_WITHIN_S = 20.0
#: questions about a worker's clock before the run, and as many again every so many rounds of the watch
_CLOCK_SAMPLES = 9
_CLOCK_EVERY = 120
_WATCH_EVERY_S = 0.25

_ANYWHERE = ("0.0.0.0", "*", "::", "[::]")


@dataclass
class Worker:
    """One process of the generator, as the master knows it.

    Attributes:
        node: its id at Locust.
        index: its place among all, from 0.
        beside: whether the master started it: it writes into the run folder, and its pids mean something here.
        clock: its monotonic clock against the master's.
        heard_ns: when it last said something.
        silent_ns: since when it has not; None while it speaks.
    """

    node: str
    index: int
    host: str
    pid: int
    boot: str
    beside: bool
    clock: ClockTrack
    heard_ns: int = 0
    silent_ns: int | None = None
    gone: bool = False
    ready: bool = False
    done: bool = False
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"load-{self.index + 1}"


class Fleet:
    """The workers of a run.

    Args:
        runner: Locust's MasterRunner.
        wanted: how many workers there are to be.
        records: the run folder's `records`.
        watch: over the limits that end the run; told of what the workers report.
    """

    def __init__(self, runner: Any, wanted: int, records: Path, watch: LimitWatch) -> None:
        self._runner = runner
        self._wanted = wanted
        self._records = records
        self._watch_limits = watch
        self._processes: list[subprocess.Popen[bytes]] = []
        self._by_node: dict[str, Worker] = {}
        self._stage: Stage | None = None
        self._watcher: gevent.Greenlet | None = None
        self._changed = gevent.event.Event()
        self.failure: str = ""
        self.media_pids: list[int] = []
        for kind, hears in (
            ("janusload.hello", self._hello),
            ("janusload.clock", self._clock),
            ("janusload.ready", self._ready),
            ("janusload.state", self._state),
            ("janusload.chunk", self._chunk),
            ("janusload.failed", self._failed),
            ("janusload.done", self._done),
        ):
            runner.register_message(kind, hears)

    @property
    def workers(self) -> list[Worker]:
        """All that ever came, in order."""
        return sorted(self._by_node.values(), key=lambda worker: worker.index)

    @property
    def alive(self) -> list[Worker]:
        return [worker for worker in self.workers if not worker.gone]

    @property
    def pids(self) -> list[int]:
        """Processes of this machine that belong to the run."""
        return [process.pid for process in self._processes] + self.media_pids

    @property
    def missing(self) -> list[str]:
        """Names of the workers that are lost, or say nothing."""
        return [worker.name for worker in self.workers if worker.gone or worker.silent_ns is not None]

    def healths(self) -> list[HealthRecord]:
        """What those that are there last said of themselves."""
        there = [worker for worker in self.alive if worker.silent_ns is None]
        return [HealthRecord(**worker.state["health"]) for worker in there if worker.state.get("health")]

    # -- coming -----------------------------------------------------------------------------------------------------

    def start_local(self, count: int, bind: str, api_secret: str | None) -> None:
        """Start workers on this machine; the API secret goes through their environment.

        Args:
            bind: the address at which the master listens: they find it nowhere else.
        """
        master = f"{'127.0.0.1' if bind in _ANYWHERE else bind}:{self._runner.server.port}"
        environment = {key: value for key, value in os.environ.items() if key != "JANUS_API_SECRET"}
        if api_secret is not None:
            environment["JANUS_API_SECRET"] = api_secret
        for _ in range(count):
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "janusload.load.worker", master, "--beside-master"],
                    stdin=subprocess.DEVNULL,
                    env=environment,
                )
            )

    def wait_for_workers(self, stop: gevent.event.Event) -> None:
        """Wait until all have come, and measure their clocks. Raises SurroundingsError."""
        self._wait(lambda: len(self._by_node) >= self._wanted, COME_WITHIN_S, "came", stop)
        for _ in range(_CLOCK_SAMPLES):
            self._ask_clocks()
            gevent.sleep(0.05)
        for worker in self.workers:
            worker.clock.settle(time.monotonic_ns())
            if not worker.clock.known:
                raise SurroundingsError(f"the clock of worker {worker.index + 1} ({worker.host}) could not be measured")

    def assign(self, task: dict[str, Any], stage: Stage, stop: gevent.event.Event) -> None:
        """Give every worker its part; returns when all are ready. Raises SurroundingsError."""
        self._stage = stage
        here = sum(worker.boot == boot_id() for worker in self.workers)
        for worker in self.workers:
            beside = worker.boot == boot_id()
            part = {"index": worker.index, "of": self._wanted, "beside": here if beside else 1}
            self._send("janusload.task", {**task, **part}, worker)
        self._wait(lambda: all(worker.ready for worker in self.workers), READY_WITHIN_S, "was ready", stop)
        self._watcher = gevent.spawn(self._watch)

    def facts(self) -> list[dict[str, Any]]:
        """Who took part, with the offset of each clock from the master's, for the run folder.

        `clock` has a row for each time that it was found to have moved: [moment on the master's clock, offset, error].
        """
        return [
            {
                "process": worker.name,
                "host": worker.host,
                "pid": worker.pid,
                "clock_offset_ns": worker.clock.rows[0][1] if worker.clock.known else None,
                "clock_error_ns": worker.clock.rows[0][2] if worker.clock.known else None,
                "clock": worker.clock.rows,
                "gone": worker.gone,
            }
            for worker in self.workers
        ]

    # -- telling ----------------------------------------------------------------------------------------------------

    def order(self, order: Order) -> None:
        """Have every worker carry out an order, at the same moment."""
        for worker in self.alive:
            own = dict(order)
            if "at_ns" in own:
                own["at_ns"] += worker.clock.offset_ns
            self._send("janusload.order", own, worker)
        if order["order"] == "step" and self._stage is not None:
            self._stage.recorder.begin_step(order["step"], order["at_ns"])

    def given_up(self) -> str:
        """Why the load cannot go on, empty if it can."""
        if self.failure:
            return f"failed: {self.failure}"
        return self._watch_limits.crossed() if self.alive else "failed: no worker is left"

    def finish(self) -> None:
        """Have the workers hand over what they have and end; waits at most `DONE_WITHIN_S`."""
        for worker in self.alive:
            self._send("janusload.finish", {}, worker)
        deadline = time.monotonic() + DONE_WITHIN_S
        while any(not worker.done for worker in self.alive) and time.monotonic() < deadline:
            gevent.sleep(0.05)
        for worker in self.alive:
            if not worker.done:
                where = "lost" if worker.beside else f"in a folder of its own on {worker.host}"
                self._gap(worker, f"did not hand over its last records in time: they are {where}")
        if self._stage is not None and not all(worker.done for worker in self.workers):
            self._stage.recorder.sessions.complete = False
        if self._watcher is not None:
            self._watcher.kill()
        for process in self._processes:
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # -- hearing ----------------------------------------------------------------------------------------------------

    def _hello(self, msg: Any, **_: Any) -> None:
        if msg.node_id not in self._by_node:
            if len(self._by_node) >= self._wanted:
                self._runner.send_message("janusload.unwanted", {}, client_id=msg.node_id)
                return
            if (theirs := msg.data.get("version")) != __version__:
                self.failure = f"the worker on {msg.data['host']} is janusload {theirs}, the master {__version__}"
                return
            index = len(self._by_node)
            host, pid, boot = (msg.data[key] for key in ("host", "pid", "boot"))
            # a pid of another container may be one of ours by chance, but not that of a process we started
            beside = msg.data["beside"] and any(process.pid == pid for process in self._processes)
            track = ClockTrack(same_kernel=boot == boot_id())
            self._by_node[msg.node_id] = Worker(msg.node_id, index, host, pid, boot, beside, track)
        self._hear(msg)

    def _clock(self, msg: Any, **_: Any) -> None:
        back_ns = time.monotonic_ns()
        if msg.node_id in self._by_node:
            self._by_node[msg.node_id].clock.heard(msg.data["sent_ns"], msg.data["there_ns"], back_ns)

    def _ready(self, msg: Any, **_: Any) -> None:
        worker = self._hear(msg)
        if worker is not None:
            worker.ready = True
            if worker.beside:
                self.media_pids += msg.data["media_pids"]

    def _state(self, msg: Any, **_: Any) -> None:
        worker = self._hear(msg)
        if worker is None or self._stage is None:
            return
        worker.state = msg.data
        stage = self._stage
        stage.recorder.window.extend(msg.data["window"])
        self._watch_limits.take_rows((number, latency, outcome) for number, latency, outcome in msg.data["limits"])
        states = [each.state for each in self.workers if each.state]
        stage.participants = sum(each.state["participants"] for each in self.alive if each.state)
        for name in msg.data["new"]:
            stage.arrive(name)
        totals: dict[int, Counter[str]] = {}
        for state in states:
            for step, outcomes in state["outcomes"].items():
                totals.setdefault(int(step), Counter()).update(outcomes)
        stage.recorder.outcomes.update(totals)
        failures: Counter[str] = Counter()
        for state in states:
            failures.update(state["failures"])
        stage.failures.clear()
        stage.failures.update(failures)

    def _chunk(self, msg: Any, **_: Any) -> None:
        """Keep a piece of a worker's file, and say how much is there: the worker keeps its own until then."""
        worker = self._hear(msg)
        if worker is None:
            return
        name, at, data = msg.data["file"], msg.data["at"], msg.data["data"]
        # the name comes from another machine: nothing but a plain file of this worker's
        if Path(name).name != name or not name.endswith(f"-{worker.name}.arrows"):
            log.warning("worker %d sends a file that is not its own", worker.index + 1)
            return
        path = self._records / name
        there = path.stat().st_size if path.exists() else 0
        if at == there:
            with path.open("ab") as file:
                file.write(data)
            there += len(data)
        self._send("janusload.kept", {"file": name, "size": there}, worker)

    def _failed(self, msg: Any, **_: Any) -> None:
        worker = self._hear(msg)
        self.failure = f"worker {worker.index + 1 if worker else '?'}: {msg.data['message']}"

    def _done(self, msg: Any, **_: Any) -> None:
        worker = self._hear(msg)
        if worker is not None and not worker.done:
            worker.done = True
            if self._stage is not None and "sessions" in msg.data:
                self._stage.recorder.sessions.add(msg.data["sessions"])

    def _hear(self, msg: Any) -> Worker | None:
        worker = self._by_node.get(msg.node_id)
        if worker is not None:
            worker.heard_ns = time.monotonic_ns()
        return worker

    # -- watching ---------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        for turn in itertools.count():
            gevent.sleep(_WATCH_EVERY_S)
            self._watch_clocks(turn % _CLOCK_EVERY)
            dead = {process.pid for process in self._processes if process.poll() is not None}
            for worker in self.alive:
                if worker.beside and worker.pid in dead and not worker.done:
                    self._lose(worker, "its process has ended")
                    continue
                silent_s = (time.monotonic_ns() - worker.heard_ns) / 1e9
                if silent_s > SILENT_S and worker.silent_ns is None:
                    self._gap(worker, f"has said nothing for {silent_s:.0f} s: gone, or held up")
                    worker.silent_ns = worker.heard_ns
                elif silent_s < SILENT_S and worker.silent_ns is not None:
                    lasted_s = (time.monotonic_ns() - worker.silent_ns) / 1e9
                    worker.silent_ns = None
                    words = f"{worker.name} is back: what it did meanwhile does not count"
                    self._mark(MarkerKind.GAP_END, words, lasted_s)
                elif silent_s > 10 * SILENT_S:
                    self._lose(worker, f"it has said nothing for {silent_s:.0f} s")

    def _watch_clocks(self, turn: int) -> None:
        if turn < _CLOCK_SAMPLES:
            self._ask_clocks()
        elif turn == _CLOCK_SAMPLES + 1:
            for worker in self.alive:
                worker.clock.settle(time.monotonic_ns())

    def _ask_clocks(self) -> None:
        for worker in self.alive:
            if not worker.clock.is_ours:
                self._send("janusload.clock", {"sent_ns": time.monotonic_ns()}, worker)

    def _lose(self, worker: Worker, why: str) -> None:
        worker.gone = True
        people = worker.state.get("participants", 0)
        last = f", and {people} participant{'s' * (people > 1)} with it" if people else ""
        words = f"is lost ({why}{last}): from here on the load is not what was asked for"
        if worker.silent_ns is None:
            self._gap(worker, words)
        else:
            self._mark(MarkerKind.NOTE, f"{worker.name} {words}")

    def _gap(self, worker: Worker, words: str) -> None:
        """From when it was last heard on, nothing is known of its part of the load."""
        self._mark(MarkerKind.GAP, f"{worker.name} {words}", (time.monotonic_ns() - worker.heard_ns) / 1e9)

    def _mark(self, kind: MarkerKind, words: str, value: float | None = None) -> None:
        log.warning("%s", words)
        if self._stage is not None:
            self._stage.recorder.mark(kind, label=words, value=value)

    def _wait(self, condition: Any, within_s: float, what: str, stop: gevent.event.Event) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            if self.failure:
                raise SurroundingsError(self.failure)
            ended = [process for process in self._processes if process.poll() is not None]
            if ended:
                raise SurroundingsError(f"a worker ended before it {what} (exit status {ended[0].returncode})")
            if time.monotonic() > deadline or stop.is_set():
                came = len(self._by_node)
                raise SurroundingsError(f"{came} of {self._wanted} workers came; not every one {what} in time")
            gevent.sleep(0.05)

    def _send(self, kind: str, data: dict[str, Any], worker: Worker) -> None:
        self._runner.send_message(kind, data, client_id=worker.node)


def boot_id() -> str:
    """What all processes have in common that share a monotonic clock."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
