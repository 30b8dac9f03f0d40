"""Files that are either whole or, as before, the old ones."""

from __future__ import annotations

import os
from pathlib import Path

from janusload.errors import RunFolderError


def replace_file(path: Path, text: str) -> Path:
    """Write a whole file so that a reader sees the old one or the new one.

    Raises:
        RunFolderError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RunFolderError(f"cannot write {path}: {error.strerror or error}") from error
    return path
