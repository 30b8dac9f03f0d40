"""Records as plain tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from janusload.analysis import export, summarize
from janusload.records import MarkerKind, MarkerRecord
from tests.analysis.simulated import Simulated, knee, ns


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_every_record_and_step_is_there(tmp_path: Path, kind: str) -> None:
    hostile = "=cmd|' /C calc'!A0"
    run = Simulated(loads=(60, 80), law=knee(80), extra=[MarkerRecord(ns(1), MarkerKind.NOTE, label=hostile)])
    folder = run.write(tmp_path / "run")
    summary = summarize(folder)
    written = export(folder, summary, kind)
    assert {path.stem for path in written} == {"request", "late", "health", "marker", "step"} - (
        set() if (folder.records / "late-load.arrows").exists() else {"late"}
    )
    read = pd.read_csv if kind == "csv" else pd.read_parquet
    request = read(folder.path / "export" / f"request.{kind}")
    assert len(request) == summary.requests["janus.create"].count
    assert {"user", "phase", "writer", "late_ns"} <= set(request.columns)
    steps = read(folder.path / "export" / f"step.{kind}")
    assert steps["timeouts"].tolist() == [step.rate.timeouts for step in summary.steps]
    assert bool(steps["p95_at_least"].iloc[-1]) is True
    labels = read(folder.path / "export" / f"marker.{kind}")["label"].dropna().astype(str).tolist()
    assert (f"'{hostile}" if kind == "csv" else hostile) in labels
