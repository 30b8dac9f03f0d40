"""`janusload scenario`: look at scenario files without running them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from janusload import exit_codes

if TYPE_CHECKING:
    from argparse import _SubParsersAction

#: what stands left of the picture's columns
_MARGIN = 12


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    scenario = commands.add_parser("scenario", help="look at scenario files")
    scenario_commands = scenario.add_subparsers(required=True, metavar="COMMAND")
    for name, carry_out, words in (
        ("check", _check, "say what is wrong with a scenario file: every fault, with key, value and reason"),
        ("explain", _explain, "tell in plain words and in a picture what a scenario would do"),
    ):
        command = scenario_commands.add_parser(name, help=words)
        command.add_argument("scenario", type=Path, metavar="FILE")
        add_set(command)
        command.set_defaults(command=carry_out)


def add_set(command: argparse.ArgumentParser) -> None:
    """`--set`, which all commands take that read a scenario."""
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a value of the file, as in --set shape.lasts='\"5 s\"' or --set users.0.count=3",
    )


def _check(options: argparse.Namespace, console: Console) -> int:
    from janusload import scenario

    plan, _ = scenario.load(options.scenario, options.set)
    console.print(f"{options.scenario}: fine ({plan.name}: {plan.asks})", markup=False, highlight=False, soft_wrap=True)
    return exit_codes.PASSED


def _explain(options: argparse.Namespace, console: Console) -> int:
    from janusload import scenario
    from janusload.scenario import shapes
    from janusload.scenario.explain import explain, picture

    plan, _ = scenario.load(options.scenario, options.set)
    for line in explain(plan):
        console.print(line, markup=False, highlight=False, soft_wrap=not console.is_terminal)
    console.print()
    width = max(20, min(100, console.width - _MARGIN))
    known = ", as far as it grows while no step is bad" if isinstance(plan.shape, shapes.Search) else ""
    for line in [f"load over time ({plan.axis}{known}):", *picture(plan, width)]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return exit_codes.PASSED
