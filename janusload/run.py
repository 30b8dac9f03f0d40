"""One run from preparation to report: the lab, the load process, the watch over the server, the analysis.

The parent that this is sends no load and carries no media. It lives through whatever happens to the load process, so
that a report is written from what there is, and whatever was set up is taken down again.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from janusload import __version__, analysis, report, scenario
from janusload.errors import JanusloadError, LabError, RunFolderError, SurroundingsError, UsageError
from janusload.lab import Lab, LabOptions
from janusload.lab.faults.plan import PlannedFault, Timetable
from janusload.records import MarkerKind, MarkerRecord
from janusload.run_folder import RecordWriter, RunFolder
from janusload.run_watch import watcher_of
from janusload.scenario import Scenario, shapes
from janusload.server.recordings import uncache
from janusload.server.recordings.storage import account
from janusload.summary import Summary
from janusload.watching import Watcher

#: how long the load process may take to end orderly once it was asked to; then it is killed
END_WITHIN_S = 30.0

#: how long Janus may take to forget sessions that were destroyed just before the count
SESSIONS_SETTLE_S = 5.0

_PACKAGES = ("locust", "gevent", "websockets", "aiortc", "aioice", "pylibsrtp", "av", "pandas", "pyarrow")


@dataclass(frozen=True)
class RunOptions:
    """What a person asked for.

    Attributes:
        url: the Janus to load; None for the lab.
        out: the run folder.
        recordings: where the Janus at `url` records, if that is on this machine.
        uncache_bytes: keep the lab's recordings out of the page cache, in pieces of so many bytes; None to leave them.
        janus: which Janus the lab runs: version, program name or path; None for the installed one.
        faults: what is done to the lab's Janus on purpose, and when.
        recordings_disk_bytes: size of a disk of its own for the lab's recordings; None for none.
        changes: `KEY=VALUE`s put in the place of what the scenario says.
        run_time_s: after so long the load goes off, whatever the scenario says; None for no such limit.
        wire_log: where every message to and from Janus is written, without secrets.
        command: as it was typed, for the report.
        janus_process: the server's process, where it runs on this machine and is not the lab's: see `server/find`.
        janus_log: its log: a file or named pipe, or `journal:UNIT`.
        agent: address of the `janusload agent` beside the server.
        backtrace: whether evidence of a stall may hold backtraces, for which the server is stopped for a moment.
    """

    scenario: Path
    url: str | None
    out: Path
    replace: bool = False
    allow_public: bool = False
    ca: str | None = None
    insecure: bool = False
    wire_log: Path | None = None
    recordings: Path | None = None
    uncache_bytes: int | None = None
    janus: str | None = None
    faults: tuple[PlannedFault, ...] = ()
    recordings_disk_bytes: int | None = None
    changes: tuple[str, ...] = ()
    run_time_s: float | None = None
    processes: int = 0
    workers: int = 0
    bind: str = ""
    command: str = ""
    janus_process: str | None = None
    janus_log: str | None = None
    agent: str | None = None
    backtrace: bool = True


class RunFailed(SurroundingsError):
    """The run could not be carried through, but there is a report of what there was.

    Attributes:
        folder: the run folder.
    """

    def __init__(self, message: str, folder: Path) -> None:
        super().__init__(message)
        self.folder = folder


Tell = Callable[[dict[str, Any]], None]


def run(options: RunOptions, *, api_secret: str | None, tell: Tell, say: Callable[[str], None]) -> Summary:
    """Carry a run through; returns what it came to. The run folder then holds the report.

    Args:
        api_secret: handed to the load process through its environment; never written anywhere.
        tell: takes progress, about once a second.
        say: takes sentences for the person who waits.

    Raises:
        ScenarioError, UsageError: before anything was done.
        RunFailed: something broke on the way; the report was written all the same.
        SurroundingsError: something is missing that the run needs.
    """
    plan, text = scenario.load(options.scenario, options.changes)
    if options.processes + options.workers and any(limit.abort for limit in plan.limits):
        raise UsageError("limits with `abort` are judged by one process: they do not go with --processes or --master")
    if options.url is not None and "@" in options.url:
        raise UsageError("put no user or password into the address: it would show in the process list and the report")
    folder = RunFolder.create(options.out, replace=options.replace)
    folder.write_text("scenario.toml", text)
    with ExitStack() as calm:
        with _removed_if_nothing_began(folder) as begun, ExitStack() as stack:
            lab = None
            if options.url is None:
                say(_lab_words(plan))
                lab = stack.enter_context(Lab(_lab_options(plan, options), folder.janus_log))
            _write_first_meta(folder, options, plan, text, lab)
            if options.uncache_bytes is not None and lab is not None:
                stack.enter_context(uncache.beside(lab.recordings, options.uncache_bytes))
            writer = folder.writer("watch")
            stack.callback(_close_quietly, writer)
            load = _LoadProcess(folder, lab.api_secret if lab is not None else api_secret)
            stack.callback(load.kill)
            recordings = lab.recordings if lab is not None else options.recordings
            secret = lab.api_secret if lab is not None else api_secret
            watcher = watcher_of(options, lab, recordings, folder, writer, secret, say)
            stack.callback(watcher.close)
            faults = None
            if lab is not None and options.faults:
                faults = Timetable(lab, list(options.faults))
                stack.callback(faults.close)
                load.each_second = _Injector(faults, load, writer).second
            failure = load.follow(tell, watcher, say)
            if not load.begun:
                raise _never_began(load, failure)
            begun.append(True)
            # what is left takes seconds, and is what an interrupted run is for
            calm.enter_context(_signals_ignored())
            watcher.close()
            if faults is not None:
                faults.close()
            facts = {"leaks": _leaks(lab, load, folder)}
            if recordings is not None:
                # Janus has closed them: the rooms are gone
                for record in account(recordings):
                    writer.write(record)
            meta = folder.read_meta()
            end = load.end or (f"failed: {failure}" if failure else "failed: the load process ended without a word")
            folder.write_meta(**facts, run={**meta["run"], "ended_utc": _utc(), "end": end})
        summary = summarize(folder)
    if failure is not None:
        raise RunFailed(failure, folder.path)
    return summary


def _never_began(load: _LoadProcess, failure: str | None) -> BaseException:
    if load.asked_to_end:
        return KeyboardInterrupt()
    return (UsageError if load.usage else SurroundingsError)(failure or "the load process ended without a word")


def summarize(folder: RunFolder) -> Summary:
    """Make the summary and every file of the report from a run folder, again or for the first time."""
    summary = analysis.summarize(folder)
    report.write(summary, folder.path)
    return summary


class _LoadProcess:
    """`python -m janusload.load` and what it says.

    Attributes:
        begun: whether the server was found fit and the run began.
        end: how it said that the run ended; None if it did not get to that.
        usage: whether its error was the person's to mend.
        each_second: what else is to be done once a second while it runs.
    """

    def __init__(self, folder: RunFolder, api_secret: str | None) -> None:
        self.begun = False
        self.each_second: Callable[[], None] = lambda: None
        self.end: str | None = None
        self.usage = False
        self._folder = folder
        self._asked_to_end: float | None = None
        self._failure: str | None = None
        environment = {
            key: value for key, value in os.environ.items() if key not in ("JANUS_API_SECRET", "JANUSLOAD_AGENT_TOKEN")
        }
        if api_secret is not None:
            environment["JANUS_API_SECRET"] = api_secret
        self._reading, writing = os.pipe()
        with (folder.path / "load.log").open("ab") as log_file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "janusload.load", str(folder.path), "--tell-fd", str(writing)],
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                pass_fds=[writing],
                env=environment,
                start_new_session=True,  # Ctrl-C is for the parent, which ends the run in order
            )
        os.close(writing)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def asked_to_end(self) -> bool:
        return self._asked_to_end is not None

    def follow(self, tell: Tell, watcher: Watcher, say: Callable[[str], None]) -> str | None:
        """Read what it says until it ends; returns what broke, in words, or None."""
        rest = b""
        next_s = time.monotonic()
        os.set_blocking(self._reading, False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._reading, selectors.EVENT_READ)
            while True:
                try:
                    if selector.select(max(0.0, next_s - time.monotonic())):
                        data = os.read(self._reading, 65536)
                        if not data:
                            break
                        *lines, rest = (rest + data).split(b"\n")
                        for line in lines:
                            self._take(json.loads(line), tell, watcher)
                    if time.monotonic() >= next_s:
                        next_s = max(next_s + 1.0, time.monotonic())
                        watcher.second()
                        self.each_second()
                    if self._asked_to_end is not None and time.monotonic() - self._asked_to_end > END_WITHIN_S:
                        self._failure = f"the load process did not end within {END_WITHIN_S:g} s and was killed"
                        self.kill()
                except (RunFolderError, LabError) as error:
                    self._failure = str(error)
                    self._ask_to_end()
                except KeyboardInterrupt:
                    if self._asked_to_end is None:
                        say("Ending the run in order; the report follows. Ctrl-C once more to cut it short.")
                        self._ask_to_end()
                    else:
                        self.kill()
        self._process.wait()
        if self._failure is None and self.end is None:
            self._failure = f"the load process died ({_death(self._process.returncode)}); see {self._log_tail()}"
        return self._failure

    def kill(self) -> None:
        """End it and its media workers at once, if they still run."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(OSError):
            os.close(self._reading)
            self._reading = -1

    def _ask_to_end(self) -> None:
        if self._asked_to_end is None:
            self._asked_to_end = time.monotonic()
            self._process.send_signal(signal.SIGTERM)

    def _take(self, message: dict[str, Any], tell: Tell, watcher: Watcher) -> None:
        kind = message.get("type")
        if kind in ("progress", "rung"):
            watcher.heard(message)
        if kind == "progress":
            tell({**message, "stall": watcher.words})
        elif kind == "begun":
            self.begun = True
        elif kind == "end":
            self.end = message["end"]
        elif kind == "error":
            self._failure, self.usage = message["message"], message["usage"]

    def _log_tail(self) -> str:
        path = self._folder.path / "load.log"
        with contextlib.suppress(OSError):
            lines = path.read_text(errors="replace").strip().splitlines()
            if lines:
                return f"{path}: {lines[-1][:300]}"
        return str(path)


class _Injector:
    """Faults at their times, counted from the beginning of the run, and each written down."""

    def __init__(self, timetable: Timetable, load: _LoadProcess, writer: RecordWriter) -> None:
        self._timetable = timetable
        self._load = load
        self._writer = writer
        self._began_s: float | None = None

    def second(self) -> None:
        """Do what is due. Raises LabError if it cannot be done."""
        if not self._load.begun or self._load.asked_to_end:
            return
        if self._began_s is None:
            self._began_s = time.monotonic()
        for done in self._timetable.look(time.monotonic() - self._began_s):
            kind = MarkerKind.FAULT_UNDONE if done.undone else MarkerKind.FAULT
            self._writer.write(MarkerRecord(done.t_ns, kind, label=done.name))


@contextlib.contextmanager
def _removed_if_nothing_began(folder: RunFolder) -> Iterator[list[bool]]:
    """Take the folder away again where nothing was measured: it would only be in the way of the next try.

    The block appends to the list that it is given as soon as there is something to keep.
    """
    begun: list[bool] = []
    try:
        yield begun
    finally:
        if not begun:
            folder.remove()


def _leaks(lab: Lab | None, load: _LoadProcess, folder: RunFolder) -> dict[str, int]:
    """What is left behind, asked of Janus itself and of the process table."""
    meta = folder.read_meta()
    found = {"processes": sum(psutil.pid_exists(pid) for pid in [load.pid, *meta.get("media_pids", [])])}
    if lab is not None and lab.alive():
        deadline = time.monotonic() + SESSIONS_SETTLE_S
        sessions = lab.sessions()
        while sessions and time.monotonic() < deadline:
            time.sleep(0.2)
            sessions = lab.sessions()
        if sessions is not None:
            found["sessions"] = sessions
    return found


def _lab_options(plan: Scenario, wanted: RunOptions) -> LabOptions:
    table = plan.lab or scenario.LabTable()
    return LabOptions(
        janus=wanted.janus or table.janus or LabOptions.janus,
        recordings_disk_bytes=wanted.recordings_disk_bytes,
        cpu_percent=None if table.cpu is None else table.cpu * 100,
        memory_bytes=None if table.memory is None else round(table.memory),
    )


def _lab_words(plan: Scenario) -> str:
    limit = "" if plan.lab is None or plan.lab.cpu is None else f" with {plan.lab.cpu:.0%} of a core"
    return f"Starting a private Janus{limit} on a network of its own."


def _write_first_meta(folder: RunFolder, options: RunOptions, plan: Scenario, text: str, lab: Lab | None) -> None:
    started_utc = _utc()
    stream, shape = plan.stream, plan.shape
    url = lab.url if lab is not None else options.url
    folder.write_meta(
        run={
            "id": f"{plan.name}-{started_utc}",
            "name": plan.name,
            "started_utc": started_utc,
            "command": options.command,
            "where": "lab" if lab is not None else url,
        },
        clock={"monotonic_ns": time.monotonic_ns(), "unix_ns": time.time_ns(), "utc": started_utc},
        target={
            "url": url,
            "allow_public": options.allow_public,
            "ca": options.ca,
            "insecure": options.insecure,
            "wire_log": None if options.wire_log is None else str(options.wire_log.absolute()),
        },
        analysis={
            "request": stream.request if stream else "janus.create",
            "axis": plan.axis,
            "timeout_s": stream.timeout if stream else 0.0,
            "p0": plan.onset.timeout_share,
            "quantile": plan.onset.quantile,
            "alpha": 0.05,
            "settle_s": plan.settle_s,
            "samples_per_step": getattr(shape, "samples_per_step", 0),
            "steps": _planned_steps(plan),
            "climbs": isinstance(shape, shapes.Steps | shapes.Ramp | shapes.Search),
        },
        scenario={"name": plan.name, "asks": plan.asks, "text": text, "changes": list(options.changes)},
        limits=[limit.text for limit in plan.limits],
        run_time_s=options.run_time_s,
        fleet={"workers": options.processes + options.workers, "local": options.processes, "bind": options.bind},
        seed=plan.seed,
        versions=_versions(),
        host={
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
            "kernel": platform.release(),
            "machine": platform.machine(),
            "system": _system(),
            "boot_id": _boot_id(),
        },
        lab=lab.facts() if lab is not None else None,
    )


def _planned_steps(plan: Scenario) -> list[dict[str, float]]:
    """The steps as far as they are known beforehand; of a ramp or a soak none, of a search its growing part."""
    if not isinstance(plan.shape, shapes.Steps | shapes.Spike):
        return []
    return [{"index": index, "offered": leg.begin} for index, leg in enumerate(plan.legs())]


def _versions() -> dict[str, str]:
    found = {"janusload": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _boot_id() -> str | None:
    """What tells whether two runs had the same monotonic clock; None where the kernel does not say."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None


def _system() -> str:
    with contextlib.suppress(OSError, KeyError):
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    return platform.system()


def _death(returncode: int) -> str:
    return f"exit status {returncode}" if returncode >= 0 else f"killed by {signal.Signals(-returncode).name}"


def _close_quietly(writer: RecordWriter) -> None:
    # the disk may be full: that was said already, and the report is made from what is there
    with contextlib.suppress(JanusloadError):
        writer.close()


@contextlib.contextmanager
def _signals_ignored() -> Iterator[None]:
    """Nothing cuts the block short."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _utc() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
