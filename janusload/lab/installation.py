"""Where a Janus lies on this machine, and how it is called."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from janusload.errors import LabError
from janusload.lab.commands import which


@dataclass(frozen=True)
class Installation:
    """A Janus that can be started.

    Attributes:
        executable: its program.
        libraries: the folder with `plugins`, `transports`, `events` and `loggers`.
    """

    executable: Path
    libraries: Path

    def command(self, folder: Path) -> list[str]:
        """The command line that starts it with the configuration in `folder`; without secrets, for all can read it."""
        return [str(self.executable), "-F", str(folder), "-C", str(folder / "janus.jcfg")]


def find_janus(janus: str) -> Installation:
    """The Janus that `janus` names: a program's name as on PATH, or a path.

    Raises:
        LabError: there is none, or it has no plugins.
    """
    found = which(janus) if os.sep not in janus else janus
    if found is None:
        raise LabError("Janus is not installed: run `janusload lab install` or `apt-get install janus`")
    executable = Path(found).resolve()
    if not os.access(executable, os.X_OK) or not executable.is_file():
        raise LabError(f"{janus} is not a program that can be run")
    prefix = executable.parent.parent
    # Debian puts them under the triplet, as in /usr/lib/x86_64-linux-gnu/janus; `make install` does not.
    for libraries in (*sorted(prefix.glob("lib/*-linux-gnu*/janus")), prefix / "lib/janus", prefix / "lib64/janus"):
        if (libraries / "transports").is_dir():
            return Installation(executable, libraries)
    raise LabError(f"{executable} has no plugins: no `janus/transports` under {prefix}/lib")
