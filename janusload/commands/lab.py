"""`janusload lab`: the private Janus."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rich.console import Console

from janusload import exit_codes

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    lab = commands.add_parser("lab", help="the private Janus")
    lab_commands = lab.add_subparsers(required=True, metavar="COMMAND")
    install = lab_commands.add_parser("install", help="install the Debian package janus, and start nothing")
    install.add_argument(
        "--tests", action="store_true", help="also what the tests of janusload need (chromium, Janus 1.4.1)"
    )
    install.add_argument(
        "--janus", metavar="VERSION", help="fetch this version too, into the user's cache folder (there is: 1.4.1)"
    )
    install.set_defaults(command=_install)


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
