"""One run from preparation to report: the lab, the load process, the watch over the server, the analysis.

The parent that this is sends no load and carries no media. It lives through whatever happens to the load process, so
that a report is written from what there is, and whatever was set up is taken down again.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil

from janusload import analysis, report, scenario
from janusload.errors import JanusloadError, SurroundingsError, UsageError
from janusload.janus import tls
from janusload.janus.admin_http import HttpAdmin
from janusload.lab import Lab, LabOptions
from janusload.lab.faults.plan import Timetable
from janusload.leaks import SessionCount
from janusload.load_process import LoadProcess, Tell
from janusload.records import MarkerKind, MarkerRecord
from janusload.run_facts import utc_now, write_first_meta
from janusload.run_folder import RecordWriter, RunFolder
from janusload.run_options import RunOptions
from janusload.run_watch import watcher_of
from janusload.scenario import Scenario
from janusload.server.recordings import uncache
from janusload.server.recordings.storage import account
from janusload.summary import Summary

#: how often it is looked whether a run has begun, from which on its faults are counted
_NOT_BEGUN_S = 0.1


class RunFailed(SurroundingsError):
    """The run could not be carried through, but there is a report of what there was.

    Attributes:
        folder: the run folder.
    """

    def __init__(self, message: str, folder: Path) -> None:
        super().__init__(message)
        self.folder = folder


def run(
    options: RunOptions,
    *,
    api_secret: str | None,
    admin_secret: str | None = None,
    tell: Tell,
    say: Callable[[str], None],
) -> Summary:
    """Carry a run through; returns what it came to. The run folder then holds the report.

    Args:
        api_secret: handed to the load process through its environment; never written anywhere.
        admin_secret: for `options.admin`; never written anywhere.
        tell: takes progress, about once a second.
        say: takes sentences for the person who waits.

    Raises:
        ScenarioError, UsageError: before anything was done.
        RunFailed: something broke on the way; the report was written all the same.
        SurroundingsError: something is missing that the run needs.
    """
    began_s = time.time()
    plan, text = scenario.load(options.scenario, options.changes)
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
            else:
                say(_host_words(plan, options))
            write_first_meta(folder, options, plan, text, lab)
            if options.uncache_bytes is not None and lab is not None:
                stack.enter_context(uncache.beside(lab.recordings, options.uncache_bytes, say))
            count = _session_count(options, lab, admin_secret)
            if count is not None:
                count.begin()
            writer = folder.writer("watch")
            stack.callback(_close_quietly, writer)
            if lab is not None and lab.not_limited:
                words = f"{lab.not_limited}: what is measured is of a Janus without one"
                say(words[0].upper() + words[1:] + ".")
                writer.write(MarkerRecord(time.monotonic_ns(), MarkerKind.NOTE, label=words))
            load = LoadProcess(folder, lab.api_secret if lab is not None else api_secret)
            stack.callback(load.kill)
            recordings = lab.recordings if lab is not None else options.recordings
            secret = lab.api_secret if lab is not None else api_secret
            # what lay there before is not of this run
            since_s = began_s if lab is None else None
            watcher = watcher_of(options, lab, recordings, since_s, folder, writer, secret, say)
            stack.callback(watcher.close)
            faults = None
            if lab is not None and options.faults:
                faults = Timetable(lab, list(options.faults))
                stack.callback(faults.close)
                load.besides = _Injector(faults, load, writer).look
            failure = load.follow(tell, watcher, say)
            if not load.begun:
                raise _never_began(load, failure)
            begun.append(True)
            # what is left takes seconds, and is what an interrupted run is for
            calm.enter_context(_signals_ignored())
            watcher.close()
            if faults is not None:
                faults.close()
            facts = {"leaks": _leaks(count, load, folder)}
            # Janus has closed them: the rooms are gone
            for record in (
                account(recordings, since_s=since_s, ears=any(group.clip.startswith("tone") for group in plan.users))
                if recordings is not None
                else watcher.remote_recordings(time.time() - began_s)
            ):
                writer.write(record)
            meta = folder.read_meta()
            end = load.end or (f"failed: {failure}" if failure else "failed: the load process ended without a word")
            folder.complete_meta(**facts, run={**meta["run"], "ended_utc": utc_now(), "end": end})
        summary = summarize(folder)
    if failure is not None:
        raise RunFailed(failure, folder.path)
    return summary


def _never_began(load: LoadProcess, failure: str | None) -> BaseException:
    if load.asked_to_end:
        return KeyboardInterrupt()
    return (UsageError if load.usage else SurroundingsError)(failure or "the load process ended without a word")


def summarize(folder: RunFolder) -> Summary:
    """Make the summary and every file of the report from a run folder, again or for the first time."""
    summary = analysis.summarize(folder)
    report.write(summary, folder.path)
    return summary


class _Injector:
    """Faults at their times, counted from the beginning of the run, and each written down."""

    def __init__(self, timetable: Timetable, load: LoadProcess, writer: RecordWriter) -> None:
        self._timetable = timetable
        self._load = load
        self._writer = writer
        self._began_s: float | None = None

    def look(self) -> float:
        """Do what is due; returns when something will be. Raises LabError if it cannot be done."""
        if not self._load.begun or self._load.asked_to_end:
            return time.monotonic() + _NOT_BEGUN_S
        if self._began_s is None:
            self._began_s = time.monotonic()
        for done in self._timetable.look(time.monotonic() - self._began_s):
            kind = MarkerKind.FAULT_UNDONE if done.undone else MarkerKind.FAULT
            self._writer.write(MarkerRecord(done.t_ns, kind, label=done.name))
        return self._began_s + self._timetable.due_s


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


def _session_count(options: RunOptions, lab: Lab | None, admin_secret: str | None) -> SessionCount | None:
    """What asks Janus for its sessions; None where nobody named its Admin API."""
    if lab is not None:
        return SessionCount(HttpAdmin(lab.admin_url, lab.admin_secret, timeout_s=3.0), alone=True)
    if options.admin is None:
        return None
    context = tls.context(ca=options.ca, insecure=options.insecure) if options.admin.startswith("https:") else None
    return SessionCount(
        HttpAdmin(options.admin, admin_secret, allow_public=options.allow_public, tls=context), alone=False
    )


def _leaks(count: SessionCount | None, load: LoadProcess, folder: RunFolder) -> dict[str, int]:
    """What is left behind, asked of Janus itself and of the process table."""
    meta = folder.read_meta()
    found = {"processes": sum(psutil.pid_exists(pid) for pid in [load.pid, *meta.get("media_pids", [])])}
    sessions = None if count is None else count.end(meta.get("sessions"))
    if sessions is not None:
        found["sessions"] = sessions
    return found


def _lab_options(plan: Scenario, wanted: RunOptions) -> LabOptions:
    table = plan.lab or scenario.LabTable()
    return LabOptions(
        janus=wanted.janus or table.janus or LabOptions.janus,
        recordings_disk_bytes=wanted.recordings_disk_bytes or _whole(table.recordings_disk),
        recordings_disk_bytes_per_s=_whole(table.recordings_disk_speed),
        cpu_percent=None if table.cpu is None else table.cpu * 100,
        memory_bytes=_whole(table.memory),
        memory_optional=table.memory_optional,
    )


def _whole(number: float | None) -> int | None:
    return None if number is None else round(number)


def _lab_words(plan: Scenario) -> str:
    limit = "" if plan.lab is None or plan.lab.cpu is None else f" with {plan.lab.cpu:.0%} of a core"
    return f"Starting a private Janus{limit} on a network of its own."


def _host_words(plan: Scenario, options: RunOptions) -> str:
    words = f"Running {plan.name} against {options.url}; Ctrl-C ends it in order, with a report."
    if not options.workers:
        return words
    workers = "a worker" if options.workers == 1 else f"{options.workers} workers"
    return f"{words}\nWaiting for {workers} first: janusload run --worker {options.bind}"


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
