"""`janusload run`: a scenario against a Janus, and its report."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live

from janusload import live
from janusload.commands.report import show
from janusload.commands.scenario import add_set
from janusload.errors import UsageError

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="run a scenario and write its report")
    run.add_argument("scenario", type=Path, nargs="?", metavar="SCENARIO", help="a scenario file (TOML)")
    where = run.add_mutually_exclusive_group()
    where.add_argument("--host", metavar="URL", help="the Janus to load, as ws://HOST:PORT or wss://HOST:PORT")
    where.add_argument("--lab", action="store_true", help="a private Janus on this machine (needs root)")
    run.add_argument(
        "--janus",
        metavar="VERSION|PATH",
        help="which Janus the lab runs, as 1.4.1 (default: the installed one)",
    )
    run.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: reports/out/NAME-TIME)")
    run.add_argument("--replace", action="store_true", help="discard the run that lies in the run folder already")
    run.add_argument("--allow-public", action="store_true", help="allow targets beyond loopback and private networks")
    run.add_argument("--ca", metavar="FILE", help="certificate authority to trust for wss://")
    run.add_argument("--insecure", action="store_true", help="do not verify the certificate of wss://")
    run.add_argument(
        "--wire-log",
        type=Path,
        metavar="FILE",
        help="write every message to and from Janus to FILE, as JSON lines without secrets",
    )
    run.add_argument(
        "--recordings", type=Path, metavar="DIR", help="where the Janus of --host records, if that is on this machine"
    )
    run.add_argument(
        "--run-time",
        type=_duration,
        metavar="DURATION",
        help='the load goes off after so long ("90 s", "5 min"), whatever the scenario says; the rest follows in order',
    )
    run.add_argument(
        "--janus-process",
        metavar="WHICH",
        help="the process of the Janus of --host, if it runs on this machine: pid, unit, container id or name",
    )
    run.add_argument("--janus-log", metavar="FILE", help="its log, if it is on this machine: a file, or journal:UNIT")
    run.add_argument(
        "--admin",
        metavar="URL",
        help="the Admin API of the Janus of --host, as http://HOST:7088/admin: which sessions were left behind? "
        "(its secret: JANUS_ADMIN_SECRET)",
    )
    run.add_argument("--agent", metavar="URL", help="the `janusload agent` that runs beside the Janus of --host")
    run.add_argument(
        "--no-backtrace",
        action="store_true",
        help="take no backtraces when the server is stuck (they stop it for a moment)",
    )
    run.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="'NAME after N s [for N s]'",
        help="do this to the lab's Janus meanwhile (`janusload lab faults`); may be given several times",
    )
    run.add_argument(
        "--recordings-disk", metavar="SIZE", help="give the lab's recordings a disk of their own, as '64 MB'"
    )
    run.add_argument(
        "--uncache",
        type=_size,
        metavar="SIZE",
        help='with --lab: bring recordings to the disk and out of the page cache, a piece of SIZE ("2 MB") at a time',
    )
    add_set(run)
    many = run.add_argument_group("past one core and past one machine")
    many.add_argument(
        "--processes", type=_count, default=0, metavar="N", help="let N processes of this machine make the load"
    )
    many.add_argument(
        "--master",
        metavar="HOST:PORT",
        help="wait here for workers of other machines (an address of a private network: workers are not authenticated)",
    )
    many.add_argument("--workers", type=_count, default=0, metavar="N", help="how many of them are to come")
    many.add_argument(
        "--worker", metavar="HOST:PORT", help="be one of them, for the master at this address; needs no scenario"
    )
    run.set_defaults(command=_run)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no count from 1 to 1000")
    return int(text)


def _duration(text: str) -> float:
    from janusload.scenario.quantities import SECONDS, quantity

    try:
        return quantity(text, SECONDS, "90 s")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _size(text: str) -> int:
    from janusload.scenario.quantities import BYTES, quantity

    try:
        return round(quantity(text, BYTES, "64 MB"))
    except ValueError as error:
        raise UsageError(str(error)) from None


def _run(options: argparse.Namespace, console: Console) -> int:
    from janusload import run, scenario
    from janusload.lab import privilege
    from janusload.lab.faults.plan import planned
    from janusload.run_options import RunOptions

    if options.worker is not None:
        return _be_worker(options)
    if options.scenario is None:
        raise UsageError("name a scenario file, as in scenarios/smoke.toml")
    if bool(options.master) != bool(options.workers):
        raise UsageError("--master HOST:PORT and --workers N belong together: where they come, and how many")
    if options.workers and options.host is None and options.lab:
        raise UsageError("other machines cannot reach a private lab: name a Janus with --host")
    plan, _ = scenario.load(options.scenario, options.set)
    if options.host is None and not options.lab and plan.server is not None:
        options.host = plan.server.url
        options.admin = options.admin or plan.server.admin
    if options.host is None and not options.lab and plan.lab is None:
        raise UsageError(f"{options.scenario} names no [lab]: say --host URL, or --lab for a private Janus")
    if options.recordings is not None and not options.recordings.is_dir():
        raise UsageError(f"--recordings {options.recordings}: there is no such folder")
    if options.host is None and (options.janus_process or options.janus_log or options.agent or options.admin):
        raise UsageError(
            "--janus-process, --janus-log, --agent and --admin go with --host: the lab's Janus is watched anyway"
        )
    if options.agent and (options.janus_process or options.janus_log):
        raise UsageError("--agent sees the process and the log: leave out --janus-process and --janus-log")
    if options.agent and not os.environ.get("JANUSLOAD_AGENT_TOKEN"):
        raise UsageError("--agent needs the agent's token in the environment: JANUSLOAD_AGENT_TOKEN")
    if options.uncache is not None and options.host is not None:
        raise UsageError("--uncache is for the lab; beside another Janus run `janusload recordings uncache DIR`")
    if options.janus is not None and options.host is not None:
        raise UsageError("--janus chooses the lab's Janus: it does not go with --host")
    if options.host is not None and (options.fault or options.recordings_disk):
        raise UsageError("--fault and --recordings-disk are for the lab: they do not go with --host")
    if options.host is None and privilege.needs_reexec():
        console.print("No root: going on inside an unprivileged user and network namespace.", highlight=False)
        privilege.reexec(sys.argv)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    wanted = RunOptions(
        scenario=options.scenario,
        url=options.host,
        out=options.out or Path("reports/out") / f"{plan.name}-{stamp}",
        replace=options.replace,
        allow_public=options.allow_public,
        ca=options.ca,
        insecure=options.insecure,
        wire_log=options.wire_log,
        recordings=options.recordings,
        uncache_bytes=options.uncache,
        janus=options.janus,
        faults=tuple(planned(words) for words in options.fault),
        recordings_disk_bytes=None if options.recordings_disk is None else _size(options.recordings_disk),
        changes=tuple(options.set),
        run_time_s=options.run_time,
        processes=options.processes,
        workers=options.workers,
        bind=options.master or "",
        command=shlex.join(["janusload", *sys.argv[1:]]),
        janus_process=options.janus_process,
        janus_log=options.janus_log,
        admin=options.admin,
        agent=options.agent,
        backtrace=not options.no_backtrace,
    )
    view = _View(console, plan.name)
    with view:
        summary = run.run(
            wanted,
            api_secret=os.environ.get("JANUS_API_SECRET"),
            admin_secret=os.environ.get("JANUS_ADMIN_SECRET") or None,
            tell=view.tell,
            say=view.say,
        )
    return show(summary, wanted.out.absolute(), console)


def _be_worker(options: argparse.Namespace) -> int:
    """Become a worker: another program of this package, since Locust must be imported before all else."""
    host, _, port = options.worker.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError("--worker takes the master's address, as 10.0.0.5:5557")
    command = [sys.executable, "-m", "janusload.load.worker", options.worker]
    os.execv(sys.executable, command + (["--allow-public"] if options.allow_public else []))


class _View:
    """Live progress: a few rows that stay in place on a terminal, a line when something changes elsewhere."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._said = ("", -1)
        self._next_s = 0.0

    def __enter__(self) -> _View:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, words: str) -> None:
        self._console.print(words, markup=False, highlight=False, soft_wrap=True)

    def tell(self, progress: dict[str, Any]) -> None:
        if self._live is not None:
            self._live.update(live.panel(self._name, progress), refresh=True)
            return
        now = (progress["phase"], progress["step"])
        if now != self._said or time.monotonic() >= self._next_s:
            self._said = now
            self._next_s = time.monotonic() + 5.0
            self.say(live.line(progress))
