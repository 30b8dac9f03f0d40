"""What a person asked a run to be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from janusload.lab.faults.plan import PlannedFault


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
        admin: address of the server's Admin API, asked for sessions that were left behind; None: not to be asked.
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
    admin: str | None = None
    agent: str | None = None
    backtrace: bool = True
