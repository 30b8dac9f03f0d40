"""Where a Janus lies on this machine, and how it is called."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from janusload.errors import LabError
from janusload.lab import versions
from janusload.lab.commands import which
from janusload.lab.versions import Tree

_VERSION = re.compile(r"\d+(\.\d+)+")


@dataclass(frozen=True)
class Installation:
    """A Janus that can be started.

    Attributes:
        executable: its program.
        libraries: the folder with `plugins`, `transports`, `events` and `loggers`.
        tree: what it sees as `/`, and what both paths are meant in; None for the machine's own.
    """

    executable: Path
    libraries: Path
    tree: Tree | None = None

    def command(self, folder: Path) -> list[str]:
        """The command line that starts it with the configuration in `folder`; without secrets, for all can read it."""
        return [str(self.executable), "-F", str(folder), "-C", str(folder / "janus.jcfg")]


def find_janus(janus: str) -> Installation:
    """The Janus that `janus` names: a version, a program's name as on PATH, or a path.

    Raises:
        LabError: there is none, or it has no plugins.
    """
    if _VERSION.fullmatch(janus):
        return _find_version(janus)
    found = which(janus) if os.sep not in janus else janus
    if found is None:
        raise LabError("Janus is not installed: run `janusload lab install` or `apt-get install janus`")
    executable = Path(found).resolve()
    if not os.access(executable, os.X_OK) or not executable.is_file():
        raise LabError(f"{janus} is not a program that can be run")
    return Installation(executable, _libraries(executable))


def own_version() -> str | None:
    """The version of the machine's own Janus; None where there is none."""
    program = which("janus")
    if program is None:
        return None
    # 1.1.2 knows no `--version`, but prints its banner before it says so.
    said = subprocess.run(
        [program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    match = re.search(r"Janus version: \d+ \(([^)]*)\)", said.stdout)
    return None if match is None else match[1]


def _find_version(version: str) -> Installation:
    own = own_version()
    if own == version:
        return find_janus("janus")
    tree = versions.find_tree(version)
    if tree is not None:
        executable = tree.root / "usr" / "bin" / "janus"
        inside = Path("/") / _libraries(executable).relative_to(tree.root)
        return Installation(Path("/usr/bin/janus"), inside, tree)
    if version in versions.RELEASES:
        raise LabError(f"Janus {version} is not here yet: run `janusload lab install --janus {version}`")
    known = [*([own] if own is not None else []), *versions.RELEASES]
    raise LabError(f"there is no Janus {version} to be had here, only {' and '.join(known)}; or give a program's path")


def _libraries(executable: Path) -> Path:
    prefix = executable.parent.parent
    # Debian puts them under the triplet, as in /usr/lib/x86_64-linux-gnu/janus; `make install` does not.
    for libraries in (*sorted(prefix.glob("lib/*-linux-gnu*/janus")), prefix / "lib/janus", prefix / "lib64/janus"):
        if (libraries / "transports").is_dir():
            return libraries
    raise LabError(f"{executable} has no plugins: no `janus/transports` under {prefix}/lib")
