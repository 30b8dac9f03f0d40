"""Faults on a real Janus, called by their names while they last: a short form of
`make check-verdicts`, which does it for every fault on both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.verdicts import judged, watched

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(("fault", "janus"), [("plugin-stall", "1.1.2"), ("freeze", "1.4.1")])
def test_a_fault_is_called_by_its_name(tmp_path: Path, fault: str, janus: str) -> None:
    row = judged(watched(fault, janus, tmp_path / "run", begin_s=3, lasts_s=7, load_s=14))
    assert row["right"], row
    assert row["report"] == row["verdict"], row
    assert row["detected_after_s"] is not None
