"""Which process is the Janus that is meant: by pid, systemd unit, container, or name."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from janusload.errors import SurroundingsError
from janusload.server.bounded import Bounded

_SYSTEMCTL_WITHIN_S = 5.0
#: how long looking for the process that was started anew may hold up whoever looks at it
_FOUND_WITHIN_S = 0.4


def find(which: str, proc: Path = Path("/proc")) -> int:
    """The process's number.

    Args:
        which: a pid (`4711`), a unit (`janus.service`), a container's id (12 hexadecimal digits or more) or the name
            of the program (`janus`).

    Raises:
        SurroundingsError: there is none, or more than one.
    """
    if which.isdigit():
        if not (proc / which / "stat").exists():
            raise SurroundingsError(f"there is no process {which}")
        return int(which)
    if re.fullmatch(r"[\w@.:\\-]+\.service", which) and not which.startswith("-"):
        return _main_pid(which)
    if re.fullmatch(r"[0-9a-f]{12,64}", which):
        return _only([pid for pid in _pids(proc) if which in _text(proc / str(pid) / "cgroup")], which, proc)
    return _only([pid for pid in _pids(proc) if _name(proc, pid) == which[:15]], which, proc)


class Followed:
    """Which process is meant by now: another one after Janus was started anew. Given as a pid, it stays that process.

    Args:
        which: as for `find`.

    Raises:
        SurroundingsError: there is none at the beginning, or more than one.
    """

    def __init__(self, which: str, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._pid = find(which, proc)
        self._born = _stat(proc, self._pid)[1]
        self._by_pid = which.isdigit()
        self._told_gone = False
        self._search = Bounded("process", lambda: find(which, proc), within_s=_FOUND_WITHIN_S)

    def __call__(self) -> int:
        if self._by_pid or self._lives():
            return self._pid
        if not self._told_gone:
            self._told_gone = True
            return self._pid  # once more: a crash must be seen, however quickly it is started again
        pid = self._search.collect()
        if pid is not None:
            self._pid, self._born, self._told_gone = pid, _stat(self._proc, pid)[1], False
        return self._pid

    def _lives(self) -> bool:
        state, born = _stat(self._proc, self._pid)
        return not state or (state not in _DEAD and born == self._born)


def _main_pid(unit: str) -> int:
    program = shutil.which("systemctl")
    if program is None:
        raise SurroundingsError(f"{unit}: there is no systemd here; name the process by its pid")
    try:
        done = subprocess.run(
            [program, "show", "--property=MainPID", "--value", unit],
            capture_output=True,
            text=True,
            timeout=_SYSTEMCTL_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SurroundingsError(f"{unit}: systemd did not say its pid within {_SYSTEMCTL_WITHIN_S:g} s") from None
    pid = done.stdout.strip()
    if not pid.isdigit() or pid == "0":
        raise SurroundingsError(f"{unit}: no such unit, or it does not run")
    return int(pid)


def _only(pids: list[int], which: str, proc: Path) -> int:
    """In a container there may be a shell and an init beside Janus: what is called janus is taken."""
    pids = [pid for pid in pids if _stat(proc, pid)[0] not in _DEAD]
    named = [pid for pid in pids if _name(proc, pid) == "janus"]
    found = named or pids
    if len(found) == 1:
        return found[0]
    if not found:
        raise SurroundingsError(f"no process {which} was found")
    raise SurroundingsError(f"several processes are {which}: say which, by pid: {', '.join(map(str, found[:20]))}")


def _pids(proc: Path) -> Iterator[int]:
    return (int(entry.name) for entry in sorted(proc.iterdir()) if entry.name.isdigit())


def _name(proc: Path, pid: int) -> str:
    return _text(proc / str(pid) / "comm").strip()


#: states of what has ended and was not waited for
_DEAD = ("Z", "X")


def _stat(proc: Path, pid: int) -> tuple[str, str]:
    """State of a process, and when it began; `X` and nothing if there is none, nothing at all if nobody can look."""
    try:
        text = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return "X", ""
    except OSError:
        return "", ""
    fields = text.rpartition(")")[2].split()
    return (fields[0], fields[19]) if len(fields) > 19 else ("", "")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
