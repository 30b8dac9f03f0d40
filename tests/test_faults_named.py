"""Faults on a real Janus, called by their names while they last: a short form of
`make check-verdicts`, which does it for every fault on both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.verdicts import CAUSES, rows_of, watched

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(("fault", "janus"), [("plugin-stall", "1.1.2"), ("freeze", "1.4.1")])
def test_a_fault_is_called_by_its_name(tmp_path: Path, fault: str, janus: str) -> None:
    cause = CAUSES[fault]
    (row,) = rows_of(fault, cause, janus, watched(fault, cause, janus, tmp_path / "run", times=1))
    assert row["right"], row
    assert row["report"] == row["verdict"], row
    assert row["detected_after_s"] is not None
