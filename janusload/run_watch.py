"""Who looks at the server of a run, and from where: the lab's, one of this machine, one behind an agent, or nobody."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from pathlib import Path

from janusload.lab import Lab
from janusload.run_folder import RecordWriter, RunFolder
from janusload.run_options import RunOptions
from janusload.server.find import Followed
from janusload.server.log import FileSource, LogWatch, source_of
from janusload.server.recordings.pressure import PressureWatch, disk_speed
from janusload.server.recordings.space import SpaceWatch
from janusload.server.recordings.storage import StorageWatch
from janusload.server.remote import AgentWatch
from janusload.server.watch import LocalWatch
from janusload.watching import Watch, Watcher, WatchOptions


def watcher_of(
    options: RunOptions,
    lab: Lab | None,
    recordings: Path | None,
    since_s: float | None,
    folder: RunFolder,
    writer: RecordWriter,
    secret: str | None,
    say: Callable[[str], None],
) -> Watcher:
    """What the parent looks at: the server and its recordings, where they can be seen.

    Args:
        recordings: their folder, where it is on this machine; `since_s`: what was last written before is left alone.
    """
    watch: Watch | None = None
    admin_secret = lab.admin_secret if lab is not None else os.environ.get("JANUS_ADMIN_SECRET")
    secrets = [each for each in (secret, admin_secret) if each]
    if lab is not None:
        watch = LocalWatch(lambda: lab.pid, LogWatch(FileSource(lab.log_path, from_start=True)), lab.recordings)
    elif options.agent is not None:
        token = os.environ.get("JANUSLOAD_AGENT_TOKEN", "")
        secrets.append(token)
        watch = AgentWatch(options.agent, token, tls=_agent_tls(options), allow_public=options.allow_public)
    elif options.janus_process is not None or options.janus_log is not None:
        pid = None if options.janus_process is None else Followed(options.janus_process)
        log = None if options.janus_log is None else LogWatch(source_of(options.janus_log))
        watch = LocalWatch(pid, log, recordings)
    limited = lab is not None and lab.options.memory_bytes is not None and not lab.not_limited
    pressure = PressureWatch(disk_speed(lab.recordings) if lab is not None and limited else None)
    space = SpaceWatch()
    return Watcher(
        folder,
        writer,
        watch,
        WatchOptions((lambda: lab.returncode) if lab is not None else (lambda: None), options.backtrace, secrets),
        say,
        StorageWatch(recordings, since_s).sample if recordings is not None else None,
        lambda server, storage: pressure.look(server, storage) or space.look(server, storage),
    )


def _agent_tls(options: RunOptions) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.ca)
    if options.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
