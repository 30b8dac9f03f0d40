"""`janusload report`: from a run folder to what people read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from janusload import exit_codes
from janusload.errors import RunFolderError, UsageError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from janusload.run_folder import RunFolder
    from janusload.summary import Summary

_EPILOG = """\
examples:
  janusload report reports/out/demo
  janusload report reports/out/demo --request audiobridge.join    when does that one time out, at the same loads?
  janusload report reports/out/demo --parquet                     every record as a table, in export/
"""


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    report = commands.add_parser(
        "report",
        help="make the report of a run folder again",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    report.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    report.add_argument(
        "--request", metavar="NAME", help="ask about another request; its report lies in RUN_DIR/report-NAME"
    )
    report.add_argument("--csv", action="store_true", help="also write every record and step to RUN_DIR/export as CSV")
    report.add_argument("--parquet", action="store_true", help="the same as Parquet")
    report.set_defaults(command=_report)


def _report(options: argparse.Namespace, console: Console) -> int:
    from janusload import analysis, report, run
    from janusload.run_folder import RunFolder

    folder = RunFolder.open(options.run_dir)
    target = folder.path
    if options.request is None:
        summary = run.summarize(folder)
    else:
        summary = analysis.summarize(folder, options.request)
        if options.request not in summary.requests:
            names = ", ".join(sorted(summary.requests)) or "none"
            raise UsageError(f"the run made no {options.request} request; it made: {names}")
        target = folder.path / f"report-{options.request}"
        target.mkdir(exist_ok=True)
        report.write(summary, target, home="../")
    for kind in ("csv", "parquet"):
        if getattr(options, kind):
            written = analysis.export(folder, summary, kind)
            words = f"{len(written)} tables in {folder.path / 'export'}"
            console.print(words, markup=False, highlight=False, soft_wrap=True)
    return show(summary, target, console)


def summary_of(folder: RunFolder) -> Summary:
    """What a run came to, by today's analysis where its records are there; else its summary.json. Writes nothing.

    Raises:
        RunFolderError: there is neither.
    """
    from janusload import analysis
    from janusload.summary import Summary

    if folder.records.is_dir() and any(folder.records.glob("*.arrows")):
        return analysis.summarize(folder)
    try:
        return Summary.from_json((folder.path / "summary.json").read_bytes())
    except (OSError, ValueError) as error:
        words = f"{folder.path} has neither records nor a summary.json that can be read"
        raise RunFolderError(f"{words}: {error}") from error


def show(summary: Summary, folder: Path | None, console: Console) -> int:
    """The end screen of a run; returns the exit code of its verdict."""
    from janusload.report import EndScreen

    console.print(EndScreen(summary, folder), crop=False)
    return code_of(summary)


def code_of(summary: Summary) -> int:
    from janusload.summary import Verdict

    codes = {Verdict.PASSED: exit_codes.PASSED, Verdict.FAILED: exit_codes.THRESHOLD}
    return codes.get(summary.verdict, exit_codes.INCONCLUSIVE)
