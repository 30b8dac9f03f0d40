"""All files that are made from one Summary, so that no two of them can disagree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from janusload.report import badge, html, junit, markdown
from janusload.report.whole_file import replace_file
from janusload.summary import Summary

_FILES: dict[str, Callable[[Summary], str]] = {
    "summary.json": Summary.to_json,
    "summary.md": markdown.render,
    "junit.xml": junit.render,
    "badge.json": badge.render,
}


def write(summary: Summary, folder: Path, home: str = "") -> list[Path]:
    """Write summary.json, summary.md, junit.xml, badge.json and report.html into a folder that exists.

    Args:
        home: way from there to the run folder, as in `../`: the page links to its records.

    Returns the paths written. A file is either whole or, as before, the old one.

    Raises:
        RunFolderError: the folder cannot be written, or its disk is full.
    """
    small = [replace_file(folder / name, render(summary)) for name, render in _FILES.items()]
    # last: where the disk is nearly full, the small files are there
    return [*small, replace_file(folder / "report.html", html.render(summary, home))]
