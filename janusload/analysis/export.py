"""A run's records as plain tables, for people with tools of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from janusload.analysis.frames import read_frames
from janusload.errors import RunFolderError
from janusload.run_folder import RunFolder
from janusload.summary import Summary

#: what a spreadsheet would take for a formula at the beginning of a cell
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export(folder: RunFolder, summary: Summary, kind: str) -> list[Path]:
    """Write every kind of record that the run has, and its steps, into the folder's `export/`.

    Moments stay monotonic nanoseconds (`meta.json` says which UTC moment they belong to); `writer` is the process that
    wrote the record, `late_ns` of a request when its answer came after T.

    Args:
        kind: `csv` or `parquet`. In CSV a text that a spreadsheet would take for a formula gets a `'` before it.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    target = folder.path / "export"
    tables = {name: frame for name, frame in read_frames(folder, everything=True).by_kind.items() if not frame.empty}
    if summary.steps:
        tables["step"] = _steps(summary)
    written = []
    try:
        target.mkdir(exist_ok=True)
        for name, frame in tables.items():
            path = target / f"{name}.{kind}"
            if kind == "csv":
                pyarrow.csv.write_csv(_table(_defused(frame)), path)
            else:
                pyarrow.parquet.write_table(_table(frame), path, compression="zstd")
            written.append(path)
    except (OSError, pa.ArrowException) as error:
        raise RunFolderError(f"cannot write {target}: {error}") from error
    return written


def _table(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def _steps(summary: Summary) -> pd.DataFrame:
    """One row a step: what the charts over load show."""
    rows = []
    for step in summary.steps:
        row = step.model_dump(include={"index", "offered", "achieved", "begin_s", "settled_s", "end_s", "counted"})
        row |= step.rate.model_dump() | {"left_out": step.left_out}
        for name in ("p50", "p95", "p99"):
            value = getattr(step.latency_ms, name)
            row |= {f"{name}_ms": value and value.value, f"{name}_at_least": value and value.at_least}
        rows.append(row)
    return pd.DataFrame(rows)


def _defused(frame: pd.DataFrame) -> pd.DataFrame:
    """Texts are categoricals: it takes one look at each distinct text, not at each row."""
    safe: dict[str, Any] = {}
    for name in map(str, frame.columns):
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            words = column.cat.categories.astype(str)
            safe[name] = column.cat.rename_categories([f"'{w}" if w.startswith(_FORMULA) else w for w in words])
        elif column.dtype == object or isinstance(column.dtype, pd.StringDtype):
            safe[name] = column.map(lambda w: f"'{w}" if isinstance(w, str) and w.startswith(_FORMULA) else w)
    return frame.assign(**safe)
