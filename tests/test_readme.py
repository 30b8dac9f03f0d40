"""What README shows is run, not believed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from janusload.lab import Lab

README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.mark.lab
def test_the_python_example_runs_against_a_real_janus(lab: Lab) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.S)
    assert "ws://127.0.0.1:8188" in example
    example = example.replace("ws://127.0.0.1:8188", lab.url)
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "display='me'" in done.stdout and "muted=True" in done.stdout


def test_commands_named_in_readme_exist() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "janusload", "--help"], capture_output=True, text=True, timeout=30, check=False
    )
    for command in re.findall(r"^janusload (\w+)", README, re.M):
        # argparse breaks the line after a long name
        assert re.search(rf"^    {command}\s", done.stdout, re.M), command
    makefile = (Path(__file__).parent.parent / "Makefile").read_text()
    for target in re.findall(r"^make ([\w-]+)", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
