"""`janusload lab`: the private Janus."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from janusload import exit_codes

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_EXAMPLES = """\
examples:
  janusload lab up --janus 1.4.1 --recordings-disk '64 MB'
  janusload run scenarios/smoke.toml --host URL       URL as `lab up` says it
  janusload lab fault plugin-stall                    AudioBridge gets stuck
  janusload lab fault plugin-stall --undo
  janusload lab exec -- ss -tanp                      in the network namespace of its Janus
  janusload lab down
"""


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    lab = commands.add_parser(
        "lab", help="the private Janus", epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    lab_commands = lab.add_subparsers(required=True, metavar="COMMAND")
    install = lab_commands.add_parser("install", help="install the Debian package janus, and start nothing")
    install.add_argument(
        "--tests", action="store_true", help="also what the tests of janusload need (chromium, gdb, Janus 1.4.1)"
    )
    install.add_argument(
        "--janus", metavar="VERSION", help="fetch this version too, into the user's cache folder (there is: 1.4.1)"
    )
    install.set_defaults(command=_install)
    up = lab_commands.add_parser("up", help="start a private Janus that stays until `lab down`")
    up.add_argument("--janus", metavar="VERSION|PATH", default="janus", help="which one, as 1.4.1")
    up.add_argument("--cpu", metavar="SHARE", help="CPU quota in percent of one core, as '20 %%'")
    up.add_argument("--memory", metavar="SIZE", help="memory limit, as '256 MB'")
    up.add_argument("--recordings-disk", metavar="SIZE", help="a disk of its own for recordings, as '64 MB' (root)")
    up.set_defaults(command=_up)
    down = lab_commands.add_parser("down", help="end it, and leave nothing behind")
    down.set_defaults(command=_down)
    status = lab_commands.add_parser("status", help="where it is, how it is, and which faults are in force")
    status.set_defaults(command=_status)
    run = lab_commands.add_parser("exec", help="run a command in the network namespace of its Janus")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    run.set_defaults(command=_exec)
    fault = lab_commands.add_parser("fault", help="bring a fault about (see `lab faults`), or undo it")
    fault.add_argument("fault", metavar="NAME")
    fault.add_argument("--undo", action="store_true", help="undo it")
    fault.set_defaults(command=_fault)
    listing = lab_commands.add_parser("faults", help="every fault, what it does, and what undoes it")
    listing.set_defaults(command=_faults)
    for each in (up, down, status, run, fault):
        each.add_argument("--name", default="lab", help="which lab, where there are several (default: lab)")


def _install(options: argparse.Namespace, console: Console) -> int:
    from janusload.lab import packages, versions
    from janusload.lab.installation import own_version

    def say(words: str) -> None:
        console.print(words, markup=False, highlight=False, soft_wrap=True)

    packages.install(say=say, tests=options.tests)
    wanted = [*versions.RELEASES] if options.tests else []
    if options.janus is not None and options.janus != own_version():
        wanted.append(options.janus)
    for version in dict.fromkeys(wanted):
        versions.install(version, say)
    return exit_codes.PASSED


def _up(options: argparse.Namespace, console: Console) -> int:
    from janusload.lab import LabOptions
    from janusload.lab.keeper import KeptLab
    from janusload.scenario.quantities import BYTES, SHARE

    cpu = _quantity(options.cpu, SHARE, "20 %")
    memory = _quantity(options.memory, BYTES, "256 MB")
    disk = _quantity(options.recordings_disk, BYTES, "64 MB")
    wanted = LabOptions(
        janus=options.janus,
        cpu_percent=None if cpu is None else cpu * 100,
        memory_bytes=None if memory is None else round(memory),
        recordings_disk_bytes=None if disk is None else round(disk),
    )
    lab = KeptLab(options.name)
    _show(lab.up(wanted), str(lab.folder), console)
    return exit_codes.PASSED


def _down(options: argparse.Namespace, console: Console) -> int:
    from janusload.lab.keeper import KeptLab

    KeptLab(options.name).down()
    return exit_codes.PASSED


def _status(options: argparse.Namespace, console: Console) -> int:
    from janusload.lab.keeper import KeptLab

    lab = KeptLab(options.name)
    _show(lab.status(), str(lab.folder), console)
    return exit_codes.PASSED


def _exec(options: argparse.Namespace, console: Console) -> int:
    from janusload.errors import LabError, UsageError
    from janusload.lab.keeper import KeptLab

    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if not words:
        raise UsageError("lab exec needs a command, as in `janusload lab exec -- ss -tanp`")
    command = KeptLab(options.name).inside(words)
    try:
        os.execv(command[0], command)
    except OSError as error:
        raise LabError(f"`{command[0]}` cannot be run: {error}") from error


def _fault(options: argparse.Namespace, console: Console) -> int:
    from janusload.lab import faults
    from janusload.lab.keeper import KeptLab

    fault = faults.named(options.fault)
    lab = KeptLab(options.name)
    if options.undo:
        lab.undo(options.fault)
        words = f"undone: {fault.undo}"
    else:
        lab.inject(options.fault)
        words = f"in force: {fault.does}; undo: janusload lab fault {options.fault} --undo"
    console.print(words, markup=False, highlight=False, soft_wrap=True)
    return exit_codes.PASSED


def _faults(options: argparse.Namespace, console: Console) -> int:
    from janusload.lab import faults

    table = Table(box=None, pad_edge=False)
    for heading in ("fault", "what it does", "what undoes it"):
        table.add_column(heading)
    for name, fault in faults.FAULTS.items():
        table.add_row(name, escape(fault.does), escape(fault.undo))
    console.print(table)
    return exit_codes.PASSED


def _quantity(text: str | None, units: dict[str, float], example: str) -> float | None:
    from janusload.errors import UsageError
    from janusload.scenario.quantities import quantity

    try:
        return None if text is None else quantity(text, units, example)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _show(status: dict[str, Any], folder: str, console: Console) -> None:
    rows = {
        "url": status["url"],
        "admin url": status["admin_url"],
        "Janus": f"{status['janus']}, process {status['pid']}"
        if status["alive"]
        else f"{status['janus']}, not running",
        "faults": ", ".join(status["faults"]) or "none",
        "recordings": status["recordings"],
        "log": status["log"],
        "secrets": f"{folder}/lab.json",
    }
    for name, value in rows.items():
        console.print(f"{name:12}{value}", markup=False, highlight=False, soft_wrap=True)
