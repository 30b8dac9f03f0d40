"""`janusload merge`: the folders of one distributed run become one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from janusload.commands.report import show

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    merge = commands.add_parser(
        "merge",
        help="put the folders of one distributed run together, and report on them as one",
        description="The first folder's clock and meta.json are kept; the others' records are moved onto its clock.",
    )
    merge.add_argument("folders", type=Path, nargs="+", metavar="RUN_DIR")
    merge.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the merged run")
    merge.add_argument("--replace", action="store_true", help="discard the run that lies in the folder already")
    merge.set_defaults(command=_merge)


def _merge(options: argparse.Namespace, console: Console) -> int:
    from janusload import analysis, run
    from janusload.run_folder import RunFolder

    moved = analysis.merge(list(map(RunFolder.open, options.folders)), options.out, replace=options.replace)
    for each in moved[1:]:
        by = f"moved by {each.offset_ns / 1e6:+,.1f} ms, " if each.offset_ns else ""
        words = f"{each.folder}: {by}{each.how}"
        console.print(words, markup=False, highlight=False, soft_wrap=True)
    folder = RunFolder.open(options.out)
    return show(run.summarize(folder), folder.path, console)
