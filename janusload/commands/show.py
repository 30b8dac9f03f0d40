"""`janusload show`: what a run came to, on the terminal; nothing is written."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from janusload.commands import report

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    show = commands.add_parser("show", help="what a run came to, on the terminal; writes nothing")
    show.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    show.add_argument("--json", action="store_true", help="print summary.json instead of words")
    show.set_defaults(command=_show)


def _show(options: argparse.Namespace, console: Console) -> int:
    from janusload.run_folder import RunFolder

    folder = RunFolder.open(options.run_dir)
    summary = report.summary_of(folder)
    if options.json:
        console.file.write(summary.to_json())
        return report.code_of(summary)
    has_page = (folder.path / "report.html").is_file()
    return report.show(summary, folder.path if has_page else None, console)
