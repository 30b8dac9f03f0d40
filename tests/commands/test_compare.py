"""`janusload compare` from run folders to words, JSON, pages and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from janusload import cli, exit_codes
from janusload.report import files
from tests.analysis.simulated import Simulated, knee
from tests.report import sample


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    laws = {"low": knee(75), "high": knee(9999)}
    for name, law in laws.items():
        Simulated(loads=(60, 75, 90, 105), law=law).write(folder / name)
    return {name: folder / name for name in laws}


def test_better_worse_and_the_same(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    low, high = str(runs["low"]), str(runs["high"])
    assert cli.main(["compare", low, high]) == exit_codes.PASSED
    assert capsys.readouterr().out.startswith("▲ BETTER: high is better than low. Onset: above 105 requests/s")
    assert cli.main(["compare", high, low]) == exit_codes.THRESHOLD
    assert cli.main(["compare", low, low]) == exit_codes.PASSED
    assert "= THE SAME: No difference between new and base was shown" in capsys.readouterr().out


def test_json_and_files(runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a" / "comparison"
    assert cli.main(["compare", str(runs["high"]), str(runs["low"]), "--json", "--out", str(out)]) == 3
    printed = json.loads(capsys.readouterr().out)
    assert printed["verdict"] == "worse" and printed == json.loads((out / "comparison.json").read_text())
    assert (out / "comparison.md").read_text().startswith("**▼ WORSE** · low is worse than high")
    assert "</html>" in (out / "comparison.html").read_text()


def test_not_comparable_says_why(runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = Simulated(loads=(60, 75), timeout_s=1.0).write(tmp_path / "other")
    assert cli.main(["compare", str(runs["low"]), str(other.path)]) == exit_codes.INCONCLUSIVE
    assert "T: 2 s and 1 s" in capsys.readouterr().out


def test_a_folder_without_records_has_its_summary(runs: dict[str, Path], tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "meta.json").write_text("{}")
    assert cli.main(["compare", str(bare), str(bare)]) == exit_codes.ERROR
    files.write(sample.summary(), bare)
    assert cli.main(["compare", str(bare), str(bare)]) == exit_codes.PASSED
    assert cli.main(["compare", str(tmp_path / "nothing"), str(bare)]) == exit_codes.ERROR


def test_several_runs_of_a_side(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    low, high = str(runs["low"]), str(runs["high"])
    assert cli.main(["compare", low, high, high, high, "--base", low, "--base", low, "--together"]) == 0
    assert "onset: between 60 and 75 requests/s; between" in capsys.readouterr().out
