"""`janusload scenario`: look at scenario files without running them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from janusload import exit_codes

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    scenario = commands.add_parser("scenario", help="look at scenario files")
    scenario_commands = scenario.add_subparsers(required=True, metavar="COMMAND")
    check = scenario_commands.add_parser("check", help="say what is wrong with a scenario file")
    check.add_argument("scenario", type=Path, metavar="FILE")
    check.set_defaults(command=_check)


def _check(options: argparse.Namespace, console: Console) -> int:
    from janusload import scenario

    plan, _ = scenario.load(options.scenario)
    console.print(f"{options.scenario}: fine ({plan.name}: {plan.asks})", markup=False, highlight=False)
    return exit_codes.PASSED
