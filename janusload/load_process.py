"""The process that sends the load, from its parent: started, listened to, asked to end, killed."""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from janusload.errors import LabError, RunFolderError
from janusload.run_folder import RunFolder
from janusload.watching import Watcher

#: how long the load process may take to end orderly once it was asked to; then it is killed
END_WITHIN_S = 30.0

#: not for the load process; the API secret is given to it where there is one
_SECRETS = ("JANUS_API_SECRET", "JANUS_ADMIN_SECRET", "JANUSLOAD_AGENT_TOKEN")

Tell = Callable[[dict[str, Any]], None]


class LoadProcess:
    """`python -m janusload.load` and what it says.

    Attributes:
        begun: whether the server was found fit and the run began.
        end: how it said that the run ended; None if it did not get to that.
        usage: whether its error was the person's to mend.
        besides: what else is to be done while it runs; returns when it wants to be called again (monotonic seconds).
    """

    def __init__(self, folder: RunFolder, api_secret: str | None) -> None:
        self.begun = False
        self.besides: Callable[[], float] = lambda: math.inf
        self.end: str | None = None
        self.usage = False
        self._folder = folder
        self._asked_to_end: float | None = None
        self._failure: str | None = None
        environment = {key: value for key, value in os.environ.items() if key not in _SECRETS}
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
        next_s = besides_s = time.monotonic()
        os.set_blocking(self._reading, False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._reading, selectors.EVENT_READ)
            while True:
                try:
                    if selector.select(max(0.0, min(next_s, besides_s) - time.monotonic())):
                        data = os.read(self._reading, 65536)
                        if not data:
                            break
                        *lines, rest = (rest + data).split(b"\n")
                        for line in lines:
                            self._take(json.loads(line), tell, watcher)
                        watcher.heard_all()
                    if time.monotonic() >= next_s:
                        next_s = max(next_s + 1.0, time.monotonic())
                        watcher.second()
                    if time.monotonic() >= besides_s:
                        besides_s = self.besides()
                    if self._asked_to_end is not None and time.monotonic() - self._asked_to_end > END_WITHIN_S:
                        self._failure = f"the load process did not end within {END_WITHIN_S:g} s and was killed"
                        self.kill()
                        break
                except (RunFolderError, LabError) as error:
                    self._failure = str(error)
                    self._ask_to_end()
                except KeyboardInterrupt:
                    if self._asked_to_end is None:
                        say("Ending the run in order; the report follows. Ctrl-C once more to cut it short.")
                        self._ask_to_end()
                    else:
                        self.kill()
                        break
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


def _death(returncode: int) -> str:
    return f"exit status {returncode}" if returncode >= 0 else f"killed by {signal.Signals(-returncode).name}"
