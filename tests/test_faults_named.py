"""Faults on a real Janus, called by their names while they last: a short form of
`make check-verdicts`, which does it for every fault on both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from janusload.analysis.frames import read_frames
from janusload.records import MarkerKind, Rung
from janusload.run_folder import RunFolder
from tests.benchmarks.verdicts import CAUSES, rows_of, watched

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    ("fault", "janus", "times"), [("plugin-stall", "1.1.2", 1), ("freeze", "1.4.1", 1), ("kill", "1.1.2", 2)]
)
def test_a_fault_is_called_by_its_name(tmp_path: Path, fault: str, janus: str, times: int) -> None:
    cause = CAUSES[fault]
    run = watched(fault, cause, janus, tmp_path / "run", times=times)
    (row,) = rows_of(fault, cause, janus, run)
    assert row["right"], row
    assert row["report"] == row["verdict"], row
    assert row["detected_after_s"] is not None
    assert len(row["recovered_s"]) == times, row
    # every rung has answered again, those too that need something set up anew
    over_ns = run.marker["t_ns"][run.marker["kind"] == MarkerKind.FAULT_UNDONE].max()
    probe = read_frames(RunFolder.open(run.folder))["probe"]
    again = probe["rung"][probe["ok"] & (probe["due_ns"] > over_ns)]
    assert {*again.unique()} == {*Rung}
