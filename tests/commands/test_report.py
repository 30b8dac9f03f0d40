"""`janusload report`, `show` and `merge` on run folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from janusload import cli, exit_codes
from janusload.records import Outcome, Record, RequestRecord, Source
from tests.analysis.simulated import Simulated, knee, ns

LOADS = (60, 80, 100, 120)


def joins() -> list[Record]:
    """A closed-loop request beside the stream, which times out in the last two steps."""
    records: list[Record] = []
    for at in range(0, 48_000, 16):
        t_s = at / 1000
        step = int(t_s // 12)
        slow = step >= 2 and at % 64 == 0
        records.append(
            RequestRecord(
                10_000_000 + at,
                "audiobridge.join",
                Source.USERS,
                step,
                ns(t_s),
                ns(t_s),
                None if slow else ns(t_s + 0.03),
                2.0,
                Outcome.API_TIMEOUT if slow else Outcome.OK,
                plugin="audiobridge",
            )
        )
    return records


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    return Simulated(loads=LOADS, law=knee(9999), extra=joins()).write(path).path


def test_another_request_at_the_load_of_the_stream(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(run), "--request", "audiobridge.join"]) == exit_codes.PASSED
    said = capsys.readouterr().out
    assert "audiobridge.join begins timing out between 80 and 100 janus.create/s" in said
    found = json.loads((run / "report-audiobridge.join" / "summary.json").read_text())
    assert found["onset"]["request"] == "audiobridge.join" and found["onset"]["status"] == "found"
    assert 'href="../records/"' in (run / "report-audiobridge.join" / "report.html").read_text()
    assert cli.main(["show", str(run)]) == exit_codes.PASSED
    assert "create does not time out up to 120 requests/s" in capsys.readouterr().out


def test_a_request_that_was_never_made(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(run), "--request", "videoroom.join"]) == exit_codes.USAGE
    assert "it made: audiobridge.join, janus.create" in capsys.readouterr().err


def test_a_copied_folder_with_exports(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(run, copy)
    assert cli.main(["report", str(copy), "--csv", "--parquet"]) == exit_codes.PASSED
    assert len((copy / "summary.md").read_text().splitlines()) <= 25
    assert {"request.csv", "request.parquet", "step.csv"} <= {path.name for path in (copy / "export").iterdir()}
    assert "tables in" in capsys.readouterr().out


def test_show_writes_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in run.iterdir())
    assert cli.main(["show", str(run), "--json"]) == exit_codes.PASSED
    assert json.loads(capsys.readouterr().out)["verdict"] == "passed"
    assert sorted(path.name for path in run.iterdir()) == before


def test_merge(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    out = tmp_path / "merged"
    assert cli.main(["merge", str(run), str(other), "--out", str(out)]) == exit_codes.PASSED
    assert "other: by the machines' UTC clocks" in capsys.readouterr().out
    assert json.loads((out / "summary.json").read_text())["steps"][0]["offered"] == 120
    assert cli.main(["merge", str(run), str(other), "--out", str(out)]) == exit_codes.ERROR
