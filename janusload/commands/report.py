"""`janusload report`: from a run folder to what people read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from janusload import exit_codes

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from janusload.summary import Summary


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    report = commands.add_parser("report", help="make the report of a run folder again")
    report.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    report.set_defaults(command=_report)


def _report(options: argparse.Namespace, console: Console) -> int:
    from janusload import run
    from janusload.run_folder import RunFolder

    folder = RunFolder.open(options.run_dir)
    return show(run.summarize(folder), folder.path, console)


def show(summary: Summary, folder: Path, console: Console) -> int:
    """The end screen of a run; returns the exit code of its verdict."""
    from janusload.report import EndScreen
    from janusload.summary import Verdict

    console.print(EndScreen(summary, folder), crop=False)
    codes = {Verdict.PASSED: exit_codes.PASSED, Verdict.FAILED: exit_codes.THRESHOLD}
    return codes.get(summary.verdict, exit_codes.INCONCLUSIVE)
