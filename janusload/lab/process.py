"""The process of the lab's Janus: started to die with its owner, watched without reaping, ended whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from janusload.errors import LabError
from janusload.lab import launch
from janusload.lab.versions import Tree

_STOP_WITHIN_S = 5.0
_POLL_EVERY_S = 0.01


class JanusProcess:
    """One Janus process in a session and process group of its own.

    It is not reaped before `stop`, not even when it has ended by itself: until then its number, which is also that of
    its group, cannot pass to a stranger, so signals can only ever reach what was started here.

    Attributes:
        pid: its number; the launcher execs Janus, so it is the same from the start.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        namespace: str,
        groups: Sequence[Path],
        open_files: int | None,
        log: Path,
        folder: Path,
        tree: Tree | None = None,
        shared: Sequence[Path] = (),
    ) -> None:
        """Start it. It dies with the calling *thread* (PR_SET_PDEATHSIG), so call from one that stays.

        Args:
            namespace: path of its network namespace.
            groups: the `cgroup.procs` files of the control groups that it joins.
            open_files: RLIMIT_NOFILE; None to inherit.
            log: gets standard output and standard error, appended.
            folder: where it runs: recordings whose name is no absolute path land there.
            tree: what it sees as `/`; None for what this process sees.
            shared: folders that it sees in a `tree` too.

        Raises:
            LabError: the log cannot be written, or no process can be started.
        """
        spec = {
            "owner": os.getpid(),
            "namespace": namespace,
            "groups": [str(group) for group in groups],
            "open_files": open_files,
            "folder": str(folder),
            "tree": None
            if tree is None
            else {"root": str(tree.root), "stage": str(tree.stage), "shared": [str(path) for path in shared]},
            "command": list(command),
        }
        self._returncode: int | None = None
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", launch.__file__, json.dumps(spec)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    start_new_session=True,
                )
        except OSError as error:
            raise LabError(f"Janus cannot be started: {error}") from error
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended: exit status, or minus the signal; None while it runs."""
        if self._returncode is None:
            try:
                seen = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                # Somebody else in this process reaps children, as gevent does when it has patched subprocess.
                self._returncode = self._process.poll()
            else:
                if seen is not None:
                    self._returncode = seen.si_status if seen.si_code == os.CLD_EXITED else -seen.si_status
        return self._returncode

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens if it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def stop(self, *, within_s: float = _STOP_WITHIN_S) -> None:
        """Ask it to end, wait up to `within_s`, then kill its group, and reap it; may be called again."""
        if self._process.returncode is not None:
            return
        self.signal(signal.SIGTERM)
        # A stopped process takes no SIGTERM.
        self.signal(signal.SIGCONT)
        deadline = time.monotonic() + within_s
        while self.returncode is None and time.monotonic() < deadline:
            time.sleep(_POLL_EVERY_S)
        # The unreaped leader still holds the number of the group.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
