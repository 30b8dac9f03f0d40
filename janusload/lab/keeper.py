"""A lab that lives on its own: the process that keeps it, and how others speak with it.

`python -m janusload.lab.keeper FOLDER OPTIONS` opens the lab, says so on standard output with one line of JSON, and
holds it until it is told `down`, or gets SIGTERM. It listens on a Unix socket in FOLDER, which only its user can enter:
one line of JSON in, one out, a connection each. The facts about the lab, secrets among them, lie beside it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from janusload.errors import JanusloadError, LabError
from janusload.lab import faults, privilege
from janusload.lab.commands import find
from janusload.lab.instance import Lab, LabOptions

_READY_WITHIN_S = 60.0
#: a fault may have to start Janus anew
_ANSWER_WITHIN_S = 60.0
_LONGEST_LINE_BYTES = 65536


def folder_of(name: str) -> Path:
    """Where the lab called `name` keeps its socket, its facts and its logs; for this user alone."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(runtime) / f"janusload-labs-{os.geteuid()}" / name


class KeptLab:
    """A lab that another process keeps.

    Attributes:
        folder: where its keeper listens; holds `lab.json` (with the secrets) and `janus.log`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = folder_of(name)

    def up(self, options: LabOptions) -> dict[str, Any]:
        """Start the keeper; returns once Janus answers, with what `status` says.

        Raises:
            LabError: there is one of that name already, or it does not come up.
        """
        if self.is_up():
            raise LabError(f"the lab {self.name!r} is up already: `janusload lab status`, or another --name")
        try:
            self.folder.parent.mkdir(mode=0o700, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            if self.folder.parent.stat().st_uid != os.geteuid():
                raise LabError(f"{self.folder.parent} belongs to somebody else")
            with open(self.folder / "keeper.log", "wb") as log:
                keeper = subprocess.Popen(
                    [sys.executable, "-m", "janusload.lab.keeper", str(self.folder), json.dumps(asdict(options))],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            raise LabError(f"the lab's keeper cannot be started: {error}") from error
        assert keeper.stdout is not None
        with keeper.stdout:
            try:
                line = keeper.stdout.readline()
            except BaseException:
                keeper.terminate()
                raise
        if not line:
            keeper.wait()
            words = (self.folder / "keeper.log").read_text(errors="replace").strip().splitlines()
            raise LabError(words[-1] if words else f"the lab's keeper ended ({keeper.returncode})")
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            keeper.wait()
            raise LabError(said["error"])
        # It is to outlive this process, which therefore never reaps it.
        keeper.returncode = 0
        return self.status()

    def is_up(self) -> bool:
        """Whether its keeper listens."""
        try:
            with self._connected():
                return True
        except LabError:
            return False

    def status(self) -> dict[str, Any]:
        """What there is to know: addresses, the Janus process, the faults in force; no secrets.

        Raises:
            LabError: it is not up.
        """
        return self._ask(verb="status")

    def inject(self, fault: str) -> dict[str, Any]:
        """Bring a fault about, until `undo`.

        Raises:
            LabError: it is not up, or this machine does not allow the fault.
        """
        return self._ask(verb="inject", fault=fault)

    def undo(self, fault: str) -> dict[str, Any]:
        """Undo a fault.

        Raises:
            LabError: it is not up, the fault is not in force, or Janus does not come back.
        """
        return self._ask(verb="undo", fault=fault)

    def down(self) -> None:
        """End it and remove what belongs to it; its logs stay until the next one.

        Raises:
            LabError: it is not up.
        """
        self._ask(verb="down")
        deadline = time.monotonic() + _ANSWER_WITHIN_S
        while (self.folder / "socket").exists():
            if time.monotonic() > deadline:
                raise LabError(f"the lab {self.name!r} did not end within {_ANSWER_WITHIN_S:g} s")
            time.sleep(0.02)

    def inside(self, command: list[str]) -> list[str]:
        """The command line that runs `command` in the network namespace of its Janus.

        Raises:
            LabError: it is not up, or its Janus is not.
        """
        status = self.status()
        pid = status["pid"]
        if not status["alive"]:
            raise LabError("its Janus is not running")
        namespaces = ["--net"]
        if os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user"):
            namespaces = ["--user", "--preserve-credentials", "--net"]
        return [find("nsenter"), "--target", str(pid), *namespaces, "--", *command]

    def _ask(self, **request: Any) -> dict[str, Any]:
        with self._connected() as connection:
            try:
                connection.sendall(json.dumps(request).encode() + b"\n")
                with connection.makefile("rb") as lines:
                    line = lines.readline(_LONGEST_LINE_BYTES)
            except OSError as error:
                raise LabError(f"the lab {self.name!r} did not answer: {error}") from error
        if not line:
            raise LabError(f"the lab {self.name!r} ended without an answer; see {self.folder / 'keeper.log'}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LabError(answer["error"])
        return answer

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_ANSWER_WITHIN_S)
        try:
            connection.connect(str(self.folder / "socket"))
        except OSError:
            connection.close()
            raise LabError(f"there is no lab {self.name!r}: start it with `janusload lab up`") from None
        return connection


class Keeper:
    """Holds a lab and does what it is asked."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._in_force: dict[str, AbstractContextManager[None]] = {}
        self._down = False

    def serve(self, listening: socket.socket) -> None:
        """Answer until told to go."""
        while not self._down:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.settimeout(5.0)
                with connection.makefile("rb") as lines:
                    line = lines.readline(_LONGEST_LINE_BYTES)
                if line:
                    connection.sendall(json.dumps(self._answer(line)).encode() + b"\n")

    def undo_all(self) -> None:
        """Undo what is in force, the latest first."""
        for name in reversed(list(self._in_force)):
            with suppress(LabError):
                self._undo(name)

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            match request["verb"]:
                case "status":
                    pass
                case "inject":
                    self._inject(request["fault"])
                case "undo":
                    self._undo(request["fault"])
                case "down":
                    self._down = True
        except (ValueError, KeyError, TypeError) as error:
            return {"error": f"no such request: {error}"}
        except JanusloadError as error:
            return {"error": str(error)}
        return self._status()

    def _inject(self, name: str) -> None:
        if name in self._in_force:
            raise LabError(f"{name} is in force already: undo it with `janusload lab fault {name} --undo`")
        fault = faults.named(name).inject(self._lab)
        fault.__enter__()
        self._in_force[name] = fault

    def _undo(self, name: str) -> None:
        if name not in self._in_force:
            raise LabError(f"{name} is not in force; these are: {', '.join(self._in_force) or 'none'}")
        self._in_force.pop(name).__exit__(None, None, None)

    def _status(self) -> dict[str, Any]:
        lab = self._lab
        return {
            **lab.facts(),
            "url": lab.url,
            "admin_url": lab.admin_url,
            "pid": lab.pid,
            "alive": lab.alive(),
            "recordings": str(lab.recordings),
            "log": str(lab.log_path),
            "keeper": os.getpid(),
            "faults": list(self._in_force),
        }


def main() -> None:
    """The keeper's process."""
    folder = Path(sys.argv[1])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if privilege.needs_reexec():
            privilege.reexec()
        _keep(folder, LabOptions(**_options(json.loads(sys.argv[2]))))
    except LabError as error:
        _say({"error": str(error)})
    except KeyboardInterrupt:
        pass


def _keep(folder: Path, options: LabOptions) -> None:
    path = folder / "socket"
    with ExitStack() as stack:
        path.unlink(missing_ok=True)
        listening = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listening.bind(str(path))
        # The last thing to go, so that who asked for the end sees when it has come.
        stack.callback(path.unlink, missing_ok=True)
        lab = stack.enter_context(Lab(options, folder / "janus.log"))
        listening.listen()
        facts = folder / "lab.json"
        stack.callback(facts.unlink, missing_ok=True)
        secrets = {"url": lab.url, "admin_url": lab.admin_url, "admin_secret": lab.admin_secret}
        descriptor = os.open(facts, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump({**secrets, "api_secret": lab.api_secret}, file)
        keeper = Keeper(lab)
        stack.callback(keeper.undo_all)
        _say({"up": True})
        keeper.serve(listening)


def _say(words: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def _options(table: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}


if __name__ == "__main__":
    main()
