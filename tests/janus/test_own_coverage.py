"""The sans-I/O modules: every branch is covered by its own test file alone; what others run by chance is no test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("module", ["protocol", "frames"])
def test_every_branch(module: str, tmp_path: Path) -> None:
    settings = tmp_path / "coverage.ini"
    settings.write_text(f"[run]\nbranch = true\nsource = janusload.janus.{module}\ndata_file = {tmp_path}/data\n")

    def coverage(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "coverage", arguments[0], f"--rcfile={settings}", *arguments[1:]],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # the long hypothesis tests run as tests of their own; they are not needed for coverage
    skipped = "not whatever_comes and not any_stream and not any_bytes"
    coverage("run", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", skipped, f"tests/janus/test_{module}.py")
    coverage("report", "--show-missing", "--fail-under=100")
