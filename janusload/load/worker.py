"""A worker of a run on several processes or machines: `python -m janusload.load.worker HOST:PORT`.

It connects to the master through Locust's own engine, is told its part, carries out orders, and reports. Its records
lie on its own disk until the master has them; a worker beside the master writes into the run folder itself.
"""

from __future__ import annotations

# isort: off
import locust  # noqa: F401 - patches the standard library, so it must come before everything below

# isort: on
import argparse
import gc
import logging
import os
import random
import signal
import socket
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import gevent
import gevent.event
from locust.env import Environment
from locust.exception import RPCError

from janusload import __version__, descriptors
from janusload.errors import JanusloadError
from janusload.load.assembly import hear_share, make_arrivals, make_recorder, media_workers, tls_of, wire_log
from janusload.load.environment import LEAVE_WITHIN_S, end_lives_on_stop, equip, quiet_locust, user_class
from janusload.load.fleet import boot_id
from janusload.load.health import Gauges, Health
from janusload.load.limit_watch import Row, watch_of
from janusload.load.player import Player
from janusload.load.rooms import rooms_of
from janusload.load.shipping import Shipper
from janusload.load.stage import Stage, Target
from janusload.load.turns import Turns
from janusload.media.engine import Engine
from janusload.records import HealthRecord, Record
from janusload.run_folder import RecordWriter, RunFolder
from janusload.scenario import parse
from janusload.scenario.reading import change_value

log = logging.getLogger("janusload.worker")

#: how often it tells the master where it is
_REPORT_S = 0.25
#: without a word from the master for so long, a worker ends by itself
_MASTER_SILENT_S = 30.0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m janusload.load.worker")
    parser.add_argument("master", metavar="HOST:PORT")
    parser.add_argument("--beside-master", action="store_true", help="it was started by the master")
    parser.add_argument("--allow-public", action="store_true")
    options = parser.parse_args(argv)
    host, _, port = options.master.rpartition(":")
    quiet_locust()
    descriptors.raise_limit()
    if not options.beside_master:
        log.warning("waiting for the master at %s", options.master)
    try:
        worker = WorkerProcess(host, int(port), beside=options.beside_master, allow_public=options.allow_public)
    except (ConnectionError, RPCError) as error:
        # Locust has tried for five minutes, or the name does not resolve
        log.error("no master at %s%s", options.master, f": {error}" if str(error) else "")
        return 1
    for signum in (signal.SIGINT, signal.SIGTERM):
        # the master ends its own workers in order; Ctrl-C in a terminal reaches all of its processes
        gevent.signal_handler(signum, (lambda: None) if options.beside_master else worker.leave)
    return worker.run()


class WorkerProcess:
    """This process.

    Args:
        beside: whether the master started it, and it ends with the master.
        allow_public: whether the master may send it to public addresses: its own owner decides.
    """

    def __init__(self, host: str, port: int, *, beside: bool, allow_public: bool) -> None:
        self._beside = beside
        self._parent = os.getppid()
        self._allow_public = allow_public or beside
        self._environment = Environment(user_classes=[], stop_timeout=LEAVE_WITHIN_S)
        self._runner = self._environment.create_worker_runner(host, port)
        self._finish = gevent.event.Event()
        self._end = ""
        self._stage: Stage | None = None
        self._player: Player | None = None
        self._health: Health | None = None
        self._shipper: Shipper | None = None
        self._own_folder: RunFolder | None = None
        self._told: set[str] = set()
        #: of the attempts that ended since the last report, what the limits that end a run must know
        self._rows: list[Row] = []
        self._reporter: gevent.Greenlet | None = None
        for kind, hears, concurrent in (
            ("janusload.task", self._task, True),
            ("janusload.clock", self._clock, False),
            ("janusload.order", self._obey, False),
            ("janusload.kept", self._kept, False),
            ("janusload.finish", lambda **_: self._finish.set(), False),
            ("janusload.unwanted", self._unwanted, False),
        ):
            self._runner.register_message(kind, hears, concurrent)

    def run(self) -> int:
        """Take part until the master says that it is over; returns the exit code."""
        who = {"host": socket.gethostname(), "pid": os.getpid(), "boot": boot_id(), "beside": self._beside}
        self._say("janusload.hello", {**who, "version": __version__})
        while not self._finish.wait(0.5):
            if self._beside and os.getppid() != self._parent:
                self._end = "the master is gone"
                break
            heard = self._runner.last_heartbeat_timestamp
            if heard is not None and time.time() - heard > _MASTER_SILENT_S:
                self._end = f"the master has said nothing for {_MASTER_SILENT_S:g} s"
                break
        self._take_down()
        if self._end:
            kept = ""
            if self._own_folder is not None:
                kept = f"; its records are in {self._own_folder.path}: `janusload merge` puts them to the master's"
            log.error("%s%s", self._end, kept)
            return 1
        return 0

    def leave(self) -> None:
        """End in order, because somebody at this machine wants it."""
        self._end = "interrupted"
        self._finish.set()

    # -- what the master says ---------------------------------------------------------------------------------------

    def _task(self, msg: Any, **_: Any) -> None:
        try:
            self._set_up(msg.data)
        except JanusloadError as error:
            self._say("janusload.failed", {"message": str(error)})

    def _set_up(self, task: dict[str, Any]) -> None:
        table = tomllib.loads(task["scenario"])
        for change in task["changes"]:
            change_value(table, change)
        scenario = parse(table)
        name = f"load-{task['index'] + 1}"
        target = Target(
            task["target"]["url"],
            os.environ.pop("JANUS_API_SECRET", None) or None,
            allow_public=task["target"]["allow_public"] and self._allow_public,
            tls=tls_of(task["target"]),
            wire_log=wire_log(task["target"], process=name) if self._beside else None,
        )
        records = Path(task["records"])
        if not self._beside:
            self._own_folder = self._make_own_folder(name, task["scenario"])
            records = self._own_folder.records
            self._shipper = Shipper(records, lambda piece: self._say("janusload.chunk", piece))
        recorder = make_recorder(scenario, RecordWriter(records, name))

        def record_media(record: Record) -> None:
            if isinstance(record, HealthRecord):
                record = record._replace(process=f"{name}/{record.process}")
            recorder.write(record)

        has_audio = any(group.has_audio for group in scenario.users)
        engine = Engine(
            workers=media_workers(scenario, task["beside"]),
            on_record=record_media,
            public_targets=target.allow_public,
            hear_share=hear_share(scenario),
        )
        turns = Turns(task["index"], task["of"])
        self._stage = stage = Stage(target, recorder, engine, seed=scenario.seed, turns=turns)
        stage.keepalive_s = task["keepalive_s"]
        stage.deal_rooms({key: list(numbers) for key, numbers in task["rooms"].items()}, rooms_of(scenario))
        random.seed(f"{scenario.seed}/{task['index']}")
        recorder.start()
        if has_audio:
            engine.start()
        watch = watch_of(scenario)
        if not watch.idle:
            recorder.listen(lambda record: self._rows.extend(watch.rows_of(record)))
        self._health = Health(recorder.write, lambda: self._gauges(stage), process=name)
        recorder.on_failure = self._health.failed
        self._arrivals = None
        if scenario.stream is not None:
            self._arrivals = make_arrivals(scenario.stream, stage, self._health, task["index"], task["of"])
        self._player = Player(stage, self._arrivals, task["index"], task["of"], on_dropped=self._health.count_dropped)
        # before anybody is ready: what is to be sent half a second after `open` needs connections
        self._player.obey({"order": "open"})
        self._environment.user_classes = [user_class(group) for group in scenario.users]
        equip(self._environment, stage)
        end_lives_on_stop(self._environment)
        self._health.start()
        gc.collect()
        gc.freeze()
        self._reporter = gevent.spawn(self._report_for_ever)
        self._say("janusload.ready", {"media_pids": engine.pids})

    def _make_own_folder(self, name: str, scenario: str) -> RunFolder:
        """A run folder of its own for as long as the master has not everything.

        Should the master never get the rest, `janusload merge MASTER_DIR THIS_DIR` puts it there.
        """
        folder = RunFolder.create(Path(tempfile.mkdtemp(prefix="janusload-worker-")))
        folder.write_meta(
            run={"name": name},
            scenario={"text": scenario},
            clock={"monotonic_ns": time.monotonic_ns(), "unix_ns": time.time_ns()},
            host={"boot_id": boot_id()},
        )
        return folder

    def _obey(self, msg: Any, **_: Any) -> None:
        assert self._player is not None
        # not in the greenlet that hears: opening connections takes its time
        gevent.spawn(self._carry_out, self._player, msg.data)

    def _carry_out(self, player: Player, order: dict[str, Any]) -> None:
        try:
            player.obey(order)
        except JanusloadError as error:
            self._say("janusload.failed", {"message": str(error)})

    def _clock(self, msg: Any, **_: Any) -> None:
        self._say("janusload.clock", {"sent_ns": msg.data["sent_ns"], "there_ns": time.monotonic_ns()})

    def _kept(self, msg: Any, **_: Any) -> None:
        if self._shipper is not None:
            self._shipper.kept(msg.data["file"], msg.data["size"])

    def _unwanted(self, **_: Any) -> None:
        self._end = "the master has all the workers that it wants"
        self._finish.set()

    # -- what it says -----------------------------------------------------------------------------------------------

    def _say(self, kind: str, data: dict[str, Any]) -> None:
        self._runner.send_message(kind, data)

    def _gauges(self, stage: Stage) -> Gauges:
        users = stage.participants
        return self._arrivals.gauges(users) if self._arrivals is not None else Gauges(0, users)

    def _report_for_ever(self) -> None:
        while True:
            self._report()
            if self._shipper is not None:
                self._shipper.ship()
            gevent.sleep(_REPORT_S)

    def _report(self) -> None:
        stage = self._stage
        assert stage is not None
        recorder = stage.recorder
        window = list(recorder.window)
        recorder.window.clear()
        rows, self._rows = self._rows, []
        health = self._health.latest if self._health is not None else None
        new = stage.arrivals_since(self._told)
        self._say(
            "janusload.state",
            {
                "participants": stage.participants,
                "new": new,
                "outcomes": {str(step): {str(k): n for k, n in c.items()} for step, c in recorder.outcomes.items()},
                "window": window,
                "limits": rows,
                "health": health._asdict() if health is not None else None,
                "failures": dict(stage.failures),
                "failure": str(recorder.failure or ""),
            },
        )

    def _take_down(self) -> None:
        """End in order: users leave, what is left is written and handed over."""
        stage = self._stage
        if stage is None:
            self._say("janusload.done", {})
            gevent.sleep(0.2)
            return
        stage.leaving.set()
        self._runner.user_greenlets.join(timeout=LEAVE_WITHIN_S)
        self._runner.user_greenlets.kill(block=True, timeout=2)
        assert self._player is not None and self._health is not None
        self._player.close()
        self._health.stop()
        stage.engine.stop()
        gevent.sleep(0.1)
        if self._reporter is not None:
            self._reporter.kill()
        try:
            stage.recorder.close()
        except JanusloadError as error:
            self._say("janusload.failed", {"message": str(error)})
        self._report()
        if self._shipper is not None:
            if self._shipper.hand_over() and self._own_folder is not None:
                self._own_folder.remove()
                self._own_folder = None
            elif not self._end:
                self._end = "the master did not take all records"
        self._say("janusload.done", {"sessions": stage.recorder.sessions.facts()})
        gevent.sleep(0.3)  # the message is on its way


if __name__ == "__main__":
    sys.exit(main())
