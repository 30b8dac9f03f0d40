from __future__ import annotations

from pathlib import Path

import pytest

from janusload.errors import LabError
from janusload.lab.installation import find_janus


def program(prefix: Path) -> Path:
    path = prefix / "bin" / "janus"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("libraries", ["lib/x86_64-linux-gnu/janus", "lib/janus", "lib64/janus"])
def test_plugins_are_found_beside_the_program(tmp_path: Path, libraries: str) -> None:
    janus = program(tmp_path)
    (tmp_path / libraries / "transports").mkdir(parents=True)
    found = find_janus(str(janus))
    assert (found.executable, found.libraries) == (janus, tmp_path / libraries)
    assert found.command(Path("/c")) == [str(janus), "-F", "/c", "-C", "/c/janus.jcfg"]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="Janus is not installed: run `janusload lab install`"):
        find_janus("no-such-janus")
    with pytest.raises(LabError, match="not a program that can be run"):
        find_janus(str(tmp_path))
    with pytest.raises(LabError, match="has no plugins"):
        find_janus(str(program(tmp_path)))
