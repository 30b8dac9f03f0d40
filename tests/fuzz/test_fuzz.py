"""A few seconds of each fuzz target, from its corpus on; `make fuzz` is for the long way."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
RUNS = 3000


@pytest.mark.parametrize("target", ["signalling", "recordings"])
def test_a_target_finds_nothing(target: str, tmp_path: Path) -> None:
    corpus = ROOT / "tests/fuzz/corpus" / target
    found = tmp_path / "found"
    found.mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", f"tests.fuzz.{target}", f"-runs={RUNS}", "-max_len=4096", "-seed=1"),
            *(f"-artifact_prefix={tmp_path}/", str(found), str(corpus)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(rf"Done {RUNS} runs", done.stderr)
    # every seed of the corpus was read, and more was found from there on
    assert any(found.iterdir())
