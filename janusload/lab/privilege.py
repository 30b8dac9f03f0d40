"""The lab without root: the whole program inside an unprivileged user and network namespace of its own.

Inside, this user counts as root over the new network and may therefore make veth pairs; outside nothing changes, and
files still belong to the user. The generator has to be inside too, or it could not reach the lab. There is no way out
to other machines from there, no web page of the run can be opened from outside, and a CPU quota or memory limit needs
a delegated control group (`systemd-run --user --scope -p Delegate=yes janusload ...`).
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from janusload.errors import LabError
from janusload.lab.commands import find

_USER_NAMESPACE = ("--user", "--map-root-user", "--net")

#: set inside, so that a refusal there is not answered by going one level deeper
_INSIDE = "JANUSLOAD_USER_NAMESPACE"

#: setting -> the value that forbids it; the first that applies is given as the reason
_FORBIDDING = {
    "/proc/sys/user/max_user_namespaces": "0",
    "/proc/sys/user/max_net_namespaces": "0",
    "/proc/sys/kernel/unprivileged_userns_clone": "0",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
}


def needs_reexec() -> bool:
    """Whether the lab can only be had inside a user namespace: then call `reexec` before anything else is begun.

    The right is tried out rather than deduced from the user number: root in a container often lacks it.

    Raises:
        LabError: it cannot be had either way; says what is missing.
    """
    if _works("--net"):
        return False
    if _INSIDE not in os.environ and _works(*_USER_NAMESPACE):
        return True
    raise LabError(
        f"the lab needs root or an unprivileged user namespace, and this machine gives neither: {missing(_settings())}"
    )


def reexec(command: Sequence[str] | None = None) -> NoReturn:
    """Become the same program inside a user and network namespace; the process number stays.

    Args:
        command: what to run there; as this process was started, if not given.

    Raises:
        LabError: it cannot be run.
    """
    arguments = reexec_command([sys.executable, *sys.orig_argv[1:]] if command is None else command)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(arguments[0], arguments, {**os.environ, _INSIDE: "1"})
    except OSError as error:
        raise LabError(f"a user namespace cannot be entered: {error}") from error


def reexec_command(command: Sequence[str]) -> list[str]:
    """The command line that runs `command` in a user and network namespace with its loopback interface up."""
    up = f'{shlex.quote(find("ip"))} link set dev lo up && exec "$@"'
    return [find("unshare"), *_USER_NAMESPACE, "--", "/bin/sh", "-c", up, "sh", *command]


def missing(settings: Mapping[str, str]) -> str:
    """Why there are no unprivileged user namespaces, by the kernel's settings: path -> value."""
    for path, forbidding in _FORBIDDING.items():
        if settings.get(path) == forbidding:
            name = ".".join(Path(path).parts[3:])
            return f"the kernel setting {name} is {forbidding}"
    return "`unshare --user --net` is refused, as a container's seccomp filter does"


def _settings() -> dict[str, str]:
    values: dict[str, str] = {}
    for path in _FORBIDDING:
        try:
            values[path] = Path(path).read_text().strip()
        except OSError:
            continue
    return values


def _works(*namespaces: str) -> bool:
    tried = subprocess.run(
        [find("unshare"), *namespaces, "--", "true"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return tried.returncode == 0
