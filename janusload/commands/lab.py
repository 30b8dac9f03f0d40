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
    install.add_argument("--tests", action="store_true", help="also what the tests of janusload need (chromium)")
    install.set_defaults(command=_install)


def _install(options: argparse.Namespace, console: Console) -> int:
    from janusload.lab import packages

    packages.install(
        say=lambda words: console.print(words, markup=False, highlight=False, soft_wrap=True), tests=options.tests
    )
    return exit_codes.PASSED
