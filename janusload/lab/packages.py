"""What the lab needs of Debian: the packages `janus`, `iproute2` for `ip`, and `elfutils` for `eu-stack`.

The package starts a Janus on all interfaces when it is installed: its init script through invoke-rc.d, its systemd unit
through deb-systemd-invoke. Both ask /usr/sbin/policy-rc.d first, so that one is replaced while apt-get runs, and put
back as it was. At the next boot the package would start Janus again, so its service is masked or disabled for good,
and the person is told how to undo that.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from janusload.errors import LabError
from janusload.lab.commands import uninterrupted, which

Say = Callable[[str], None]

#: program that the lab needs -> Debian package that has it; eu-stack takes the backtraces of a Janus that is stuck
NEEDED = {"janus": "janus", "ip": "iproute2", "eu-stack": "elfutils"}
#: the tests open the report in a real browser, ask Janus's own tool about recordings, compile the media engine's C tick
#: (g++ is the least that brings gcc with the headers of the C library), and take backtraces with gdb too
NEEDED_BY_TESTS = {
    "chromium": "chromium",
    "janus-pp-rec": "janus-tools",
    "g++": "g++",
    "gdb": "gdb",
}

_ASIDE = ".before-janusload"
_SIGNATURE = "put here by janusload"


@dataclass(frozen=True)
class Done:
    """How a command ended: exit status, and what it wrote to both outputs."""

    status: int
    output: str


#: Runs a command to its end and says how it ended; OSError where it cannot be run.
Run = Callable[[Sequence[str]], Done]


@dataclass(frozen=True)
class Machine:
    """What the installation asks about the machine; tests give another one.

    Attributes:
        run: runs a command.
        which: path of a program, None where it is missing.
        is_root: whether commands run as root.
        policy: Debian's policy-rc.d.
        systemd: a folder that is there when systemd runs.
    """

    run: Run
    which: Callable[[str], str | None]
    is_root: bool
    policy: Path = Path("/usr/sbin/policy-rc.d")
    systemd: Path = Path("/run/systemd/system")


def this_machine() -> Machine:
    """The machine that this process runs on."""
    return Machine(run=run_to_end, which=which, is_root=os.geteuid() == 0)


def missing(machine: Machine, *, tests: bool = False) -> list[str]:
    """The packages that `install` would install."""
    wanted = NEEDED | NEEDED_BY_TESTS if tests else NEEDED
    return [package for program, package in wanted.items() if machine.which(program) is None]


def install(say: Say, machine: Machine | None = None, *, tests: bool = False) -> list[str]:
    """Install what is missing with apt-get, as root or through sudo; returns the packages, none if all was there.

    Args:
        say: gets one sentence before each thing that changes the machine.
        tests: also what only this project's tests need.

    Raises:
        LabError: neither root nor sudo, no apt-get, or it failed.
    """
    machine = machine or this_machine()
    packages = missing(machine, tests=tests)
    if not packages:
        return []
    names = " and ".join(packages)
    if machine.which("apt-get") is None:
        raise LabError(f"{names} must be installed, and there is no apt-get here: the lab wants Debian's packages")
    if not machine.is_root and machine.which("sudo") is None:
        raise LabError(f"{names} must be installed: run `apt-get install {' '.join(packages)}` as root (no sudo here)")
    if not all(_has_candidate(machine, package) for package in packages):
        say("bringing apt's package lists up to date: apt-get update")
        _as_root(machine, "apt-get", "update")
    say(f"installing {names} with apt-get")
    command = ("apt-get", "install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=60", *packages)
    if "janus" not in packages:
        _as_root(machine, "env", "DEBIAN_FRONTEND=noninteractive", *command)
        return packages
    with _service_kept_from_starting(machine, say):
        _as_root(machine, "env", "DEBIAN_FRONTEND=noninteractive", *command)
    return packages


def run_to_end(command: Sequence[str]) -> Done:
    """Run `command`; an interruption is passed on only after it has ended, so that dpkg is never cut in two.

    Raises:
        OSError: it cannot be run.
    """
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            # The terminal has sent Ctrl-C to apt-get too, which stops where it is safe.
            process.wait()
            raise
    return Done(process.returncode, output)


@contextmanager
def _service_kept_from_starting(machine: Machine, say: Say) -> Iterator[None]:
    masked = machine.systemd.is_dir()
    say("keeping the package from starting a Janus on all interfaces: policy-rc.d forbids it meanwhile")
    if masked:
        say(
            "masking its service, so that it does not start at boot either; undo: systemctl unmask janus.service "
            "&& systemctl enable janus.service"
        )
        _as_root(machine, "systemctl", "mask", "janus.service")
    try:
        with _policy_replaced(machine):
            yield
    except BaseException:
        if masked:
            with uninterrupted():
                _as_root(machine, "systemctl", "unmask", "janus.service")
        raise
    if not masked and machine.which("update-rc.d") is not None:
        say("disabling its init script, so that it does not start at boot either; undo: update-rc.d janus enable")
        _as_root(machine, "update-rc.d", "janus", "disable")


@contextmanager
def _policy_replaced(machine: Machine) -> Iterator[None]:
    """A policy-rc.d that forbids every start; afterwards the one before, moved aside and back, so unchanged in all.

    It forbids only while this process lives: killed, it leaves one that asks the one before.
    """
    policy = machine.policy
    aside = policy.with_name(policy.name + _ASIDE)
    here, there = shlex.quote(str(policy)), shlex.quote(str(aside))
    script = (
        f"#!/bin/sh\n# {_SIGNATURE} (process {os.getpid()}) while it installs the package janus\n"
        f"[ -d /proc/{os.getpid()} ] && exit 101\n"
        f'[ -x {there} ] && exec {there} "$@"\n'
        "exit 0\n"
    )
    try:
        with uninterrupted():
            # One that a killed janusload has left is not the machine's own.
            if os.path.lexists(policy) and not _is_ours(policy):
                _as_root(machine, "mv", "-T", str(policy), str(aside))
            _as_root(machine, "sh", "-c", f"umask 022; printf %s {shlex.quote(script)} > {here}; chmod 755 {here}")
        yield
    finally:
        with uninterrupted():
            if os.path.lexists(aside):
                _as_root(machine, "mv", "-T", str(aside), str(policy))
            elif _is_ours(policy):
                _as_root(machine, "rm", "-f", str(policy))


def _is_ours(policy: Path) -> bool:
    try:
        return _SIGNATURE in policy.read_text(errors="replace")
    except OSError:
        return False


def _has_candidate(machine: Machine, package: str) -> bool:
    """Whether apt's lists have `package`: fresh containers have none."""
    answer = machine.run(["env", "LC_ALL=C", "apt-cache", "policy", package])
    return any(
        line.strip().startswith("Candidate:") and not line.strip().endswith("(none)")
        for line in answer.output.splitlines()
    )


def _as_root(machine: Machine, *command: str) -> None:
    prefix = [] if machine.is_root else ["sudo"]
    shown = " ".join(command) if command[0] != "sh" else "sh -c ..."
    try:
        done = machine.run([*prefix, *command])
    except OSError as error:
        raise LabError(f"`{shown}` cannot be run: {error}") from error
    if done.status != 0:
        lines = [line.strip() for line in done.output.splitlines() if line.strip()]
        raise LabError(f"`{shown}` failed (exit status {done.status}): {' | '.join(lines[-3:])}")
