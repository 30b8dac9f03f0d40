"""`janusload compare`: is it better, worse, the same, or not comparable?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from janusload import exit_codes
from janusload.commands.report import summary_of

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from janusload.analysis import Taken

_EPILOG = """\
examples:
  janusload compare reports/out/before reports/out/after
  janusload compare reports/out/before reports/out/after --out reports/out/comparison     comparison.html and .json
  janusload compare night-1 tonight --base night-2 --base night-3 --together               several runs a side

T, request, scenario, machine and configuration of the server must agree; the version of Janus need not.
exit codes: 0 better or the same, 1 error of the tool or its surroundings, 2 usage, 3 worse, 4 not comparable
(with several NEW: the worst of them, in the order worse, not comparable, the same, better)
"""


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    compare = commands.add_parser(
        "compare",
        help="hold runs against a base: better, worse, the same, or not comparable",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    compare.add_argument("base", type=Path, metavar="BASE", help="run folder to compare with")
    compare.add_argument("new", type=Path, nargs="+", metavar="NEW", help="run folder, each held against the base")
    compare.add_argument(
        "--base", type=Path, action="append", default=[], metavar="DIR", dest="more", help="one more run of the base"
    )
    compare.add_argument("--together", action="store_true", help="all NEW are runs of the same thing")
    compare.add_argument(
        "--despite",
        action="append",
        default=[],
        choices=["scenario", "host", "config"],
        help="compare although this differs",
    )
    compare.add_argument("--json", action="store_true", help="print JSON instead of words")
    compare.add_argument(
        "--out", type=Path, metavar="DIR", help="write comparison.html, comparison.md and comparison.json there"
    )
    compare.set_defaults(command=_compare)


def _compare(options: argparse.Namespace, console: Console) -> int:
    from janusload import analysis, report
    from janusload.comparison import Change

    base = [_taken(path) for path in [options.base, *options.more]]
    new = [_taken(path) for path in options.new]
    states = [new] if options.together else [[run] for run in new]
    comparison = analysis.compare(base, states, frozenset(map(analysis.Despite, options.despite)))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        report.write_comparison(comparison, options.out)
    if options.json:
        console.file.write(comparison.to_json())
    else:
        console.print(report.ComparisonScreen(comparison, options.out), crop=False)
    codes = {Change.WORSE: exit_codes.THRESHOLD, Change.NOT_COMPARABLE: exit_codes.INCONCLUSIVE}
    return codes.get(comparison.verdict, exit_codes.PASSED)


def _taken(path: Path) -> Taken:
    """A run folder, with its records where they are still there: both sides are judged by the same rules then."""
    from janusload import analysis
    from janusload.run_folder import RunFolder

    folder = RunFolder.open(path)
    return analysis.Taken(
        str(path), summary_of(folder), analysis.counted_steps(folder) if folder.records.is_dir() else ()
    )
