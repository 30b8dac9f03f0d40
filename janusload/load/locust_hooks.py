"""What a locustfile hangs on Locust's events, so that our users run under the plain `locust` command."""

from __future__ import annotations

import logging
import os
import time
from argparse import ArgumentParser
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from janusload.errors import JanusloadError, UsageError
from janusload.load.environment import end_lives_on_stop, equip
from janusload.load.recorder import Recorder
from janusload.load.rooms import made
from janusload.load.stage import Stage, Target
from janusload.load.users import JanusUser
from janusload.load.webui import guard
from janusload.media.engine import Engine
from janusload.run_folder import RunFolder
from janusload.scenario import RoomsTable

log = logging.getLogger("locust.janusload")


def add_arguments(parser: ArgumentParser, **_: Any) -> None:
    """Options of ours in Locust's `--help` and web UI."""
    # Locust's own default is every interface, for anybody who can reach it
    parser.set_defaults(web_host="127.0.0.1")
    # and to exit with 1 where a request failed: here that is what was measured, and no fault of the tool
    parser.set_defaults(exit_code_on_error=0)
    group = parser.add_argument_group("janusload")
    shown = [
        group.add_argument("--janus-room", type=int, default=1234, help="AudioBridge room that users join"),
        group.add_argument("--janus-make-room", action="store_true", help="make the room, and destroy it afterwards"),
        group.add_argument("--janus-timeout", type=float, default=10.0, help="seconds before a request has timed out"),
    ]
    # where load may go and what is written is for who starts the process
    group.add_argument("--janus-allow-public", action="store_true", help="allow targets beyond private networks")
    group.add_argument("--janus-out", default="", help="folder for the records of this run (none if empty)")
    for action in shown:
        # what Locust's own parser does for arguments that are in no group
        action.include_in_web_ui = True  # type: ignore[attr-defined]


def prepare(environment: Environment, **_: Any) -> None:
    """Give the environment its stage when a test starts, and take it down when the test stops."""
    guard(environment)
    stack = ExitStack()
    # not what the web UI's form may make of it: any of its fields changes the option of that name
    public, out = environment.parsed_options.janus_allow_public, environment.parsed_options.janus_out

    def begin(**_: Any) -> None:
        options = environment.parsed_options
        if not environment.host:
            _give_up(environment, UsageError("name the Janus to load: --host ws://HOST:PORT"))
            return
        try:
            _set_stage(environment, options, stack, public=public, out=out)
        except JanusloadError as error:
            stack.close()
            _give_up(environment, error)

    end_lives_on_stop(environment)
    environment.events.test_start.add_listener(begin)
    environment.events.test_stop.add_listener(lambda **_: stack.close())
    environment.events.quitting.add_listener(lambda **_: stack.close())
    environment.events.quitting.add_listener(lambda **_: _exit_code(environment))


def _exit_code(environment: Environment) -> None:
    """How Locust exits: 1 where our own code failed; where requests did, as `--exit-code-on-error` says (0)."""
    if environment.process_exit_code is not None or environment.runner is None:
        return
    wanted = environment.parsed_options.exit_code_on_error if environment.runner.errors else 0
    environment.process_exit_code = 1 if environment.runner.exceptions else wanted


def _set_stage(environment: Environment, options: Any, stack: ExitStack, *, public: bool, out: str) -> None:
    target = Target(environment.host, os.environ.get("JANUS_API_SECRET") or None, allow_public=public)
    runner = environment.runner
    writer = None
    if out and not isinstance(runner, MasterRunner):
        # a folder for each worker: `janusload merge` puts them together
        part = f"worker-{runner.worker_index}" if isinstance(runner, WorkerRunner) else ""
        folder = RunFolder.create(Path(out) / part)
        folder.write_meta(target={"url": target.url})
        writer = folder.writer(f"load-{os.getpid()}")
    recorder = Recorder(writer)
    engine = Engine(on_record=recorder.write, public_targets=target.allow_public)
    stage = Stage(target, recorder, engine, timeout_s=options.janus_timeout)
    stack.callback(recorder.close)
    stage.check_server(["janus.plugin.audiobridge"])
    # one room for all workers: the master makes it before they are told to begin
    if options.janus_make_room and not isinstance(runner, WorkerRunner):
        stack.enter_context(made(stage, [RoomsTable()], options.janus_room, plain_rtp=False))
    if isinstance(runner, MasterRunner):
        return  # users live on the workers
    recorder.start()
    stack.callback(engine.stop)
    engine.start()
    stage.deal_rooms({"": [options.janus_room]}, {})
    if options.spawn_rate:
        _open_turns(environment, stage, options.spawn_rate)
    equip(environment, stage)


def _open_turns(environment: Environment, stage: Stage, rate_per_s: float) -> None:
    """Have users begin one after the other: 20 a second are 20 at once each second as Locust spawns them."""
    weights = {each.plan.name: each.weight for each in environment.user_classes if issubclass(each, JanusUser)}
    for name, weight in weights.items():
        stage.turns.open(name, time.monotonic_ns(), rate_per_s * weight / sum(weights.values()))


def _give_up(environment: Environment, error: JanusloadError) -> None:
    """End the test with one clear sentence; users that were about to start find no stage."""
    # Locust's own log is what a person at its command line or web UI reads
    log.error("%s", error)
    environment.process_exit_code = 2 if isinstance(error, UsageError) else 1
    # in the web UI the person reads it under Exceptions, can mend the address and try again
    environment.runner.log_exception("local", str(error), str(error))
    gevent.spawn(environment.runner.stop if environment.web_ui else environment.runner.quit)
