"""A run folder read into pandas: one frame per kind of record, all processes together.

A stream that a crash cut short is read up to its last whole batch, several streams behind each other in one file are
all read, and bytes that make no sense are stepped over and counted, never guessed at.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from janusload.analysis.plan import part
from janusload.analysis.streams import read_stream_file
from janusload.records import KINDS
from janusload.run_folder import RunFolder, arrow_schema

#: what the analysis never looks at; ten million copies of it would be most of the memory
_UNREAD = {"request": {"user", "phase"}, "late": {"name", "sent_ns"}, "media": {"sent_bytes", "received_bytes"}}


@dataclass
class Frames:
    """Every record of a run.

    Attributes:
        by_kind: the stem of `records.KINDS` -> frame with that record's fields and `writer`, the process
            that wrote it. Moments stay int64
            nanoseconds where they are always known; a field that may be unknown is float64 with NaN (exact to 2 ns
            within 200 days of uptime). Texts are categoricals. `request` also has `late_ns`: when the answer came
            after all, NaN where it did not.
        unread_bytes: file name -> bytes that could not be read, if any: the half batch of a crash, or damage.
    """

    by_kind: dict[str, pd.DataFrame]
    unread_bytes: dict[str, int] = field(default_factory=dict)

    def __getitem__(self, kind: str) -> pd.DataFrame:
        return self.by_kind[kind]


def read_frames(folder: RunFolder, *, everything: bool = False, only: Collection[str] = ()) -> Frames:
    """Read all records of a run; what cannot be read is counted in `unread_bytes`.

    Args:
        everything: also the columns that the analysis never looks at.
        only: kinds to read; all of them if empty. Without `late` no request has a late answer.
    """
    unread: dict[str, int] = {}
    frames: dict[str, pd.DataFrame] = {}
    for kind in ("late", *(kind for kind in KINDS if kind != "late")):
        if only and kind not in only:
            continue
        left_out = set() if everything else set(_UNREAD.get(kind, set()))
        if kind == "request" and "late" in frames and frames["late"].empty:
            left_out.add("attempt")  # only wanted to find the attempt of a late answer
        frames[kind] = _read_kind(folder.records, kind, left_out, unread)
    clocks = _clocks(folder)
    for frame in frames.values() if clocks else ():
        _to_one_clock(frame, clocks)
    if "request" in frames and "late" in frames:
        frames["request"] = _with_late_answers(frames["request"], frames["late"])
    return Frames(frames, unread)


def _clocks(folder: RunFolder) -> dict[str, NDArray[np.int64]]:
    """Writer -> shape (rows, 2): moment on the master's clock, and its own clock minus that; of other clocks only."""
    fleet = part(folder.read_meta(), "fleet") if (folder.path / "meta.json").is_file() else {}
    found = {}
    for worker in fleet.get("took_part") or []:
        rows = [row[:2] for row in worker.get("clock") or []] or [[0, worker.get("clock_offset_ns") or 0]]
        if any(offset for _, offset in rows):
            found[str(worker.get("process"))] = np.array(rows, np.int64)
    return found


def _to_one_clock(frame: pd.DataFrame, clocks: dict[str, NDArray[np.int64]]) -> None:
    """Moments of other machines as the master's clock had them; between two measurements a clock drifts evenly."""
    for code, writer in enumerate(frame["writer"].cat.categories):
        rows = (frame["writer"].cat.codes == code).to_numpy()
        if writer not in clocks or not rows.any():
            continue
        at_ns, offset_ns = clocks[writer].T
        for column in frame.columns:
            if column.endswith("_ns"):
                own_ns = frame[column].to_numpy()[rows]
                drifted_ns = np.interp(own_ns - offset_ns[0], at_ns, offset_ns - offset_ns[0])
                # whole numbers stay exact: only what it drifted by is a float
                shift = offset_ns[0] + np.nan_to_num(drifted_ns).astype(np.int64)
                frame.loc[rows, column] = own_ns - shift


def _read_kind(records: Path, kind: str, left_out: set[str], unread: dict[str, int]) -> pd.DataFrame:
    schema = arrow_schema(KINDS[kind])
    names = [name for name in schema.names if name not in left_out]
    defaults = KINDS[kind]._field_defaults
    batches: list[pa.RecordBatch] = []
    processes: list[str] = []
    for path in sorted(records.glob(f"{kind}-*.arrows")):
        found, lost = read_stream_file(path, set(names), set(names) - set(defaults))
        if lost:
            unread[path.name] = lost
        batches += found
        processes += [path.stem.removeprefix(f"{kind}-")] * len(found)
    rows = sum(batch.num_rows for batch in batches)
    columns: dict[str, Any] = {name: _column(batches, schema.field(name), rows, defaults.get(name)) for name in names}
    sizes = [batch.num_rows for batch in batches]
    categories = sorted(set(processes))
    codes = np.repeat(np.array([categories.index(process) for process in processes], np.int16), sizes)
    columns["writer"] = pd.Categorical.from_codes(codes, pd.Index(categories, dtype=str))
    return pd.DataFrame(columns, copy=False)


def _column(batches: list[pa.RecordBatch], field: pa.Field, rows: int, default: Any) -> Any:
    """One column of all batches, converted batch by batch so that it is never there twice.

    Args:
        default: stands in batches of a version that did not know the column yet.
    """
    if pa.types.is_dictionary(field.type):
        return _categorical(batches, field.name, rows, default)
    integer = pa.types.is_integer(field.type)
    column: NDArray[Any]
    if pa.types.is_boolean(field.type):
        column = np.empty(rows, np.bool_)
    elif integer and not field.nullable:
        column = np.empty(rows, np.int32 if field.name == "step" else np.int64)
    else:
        column = np.empty(rows, np.float64)
    at = 0
    for batch in batches:
        there = field.name in batch.schema.names
        column[at : at + batch.num_rows] = (
            batch.column(field.name).to_numpy(zero_copy_only=False) if there else np.nan if default is None else default
        )
        at += batch.num_rows
    return column


def _categorical(batches: list[pa.RecordBatch], name: str, rows: int, default: str | None) -> Any:
    """Every batch has a dictionary of its own; they are brought to one."""
    number: dict[str, int] = {}
    codes = np.empty(rows, np.int16)
    at = 0
    for batch in batches:
        if name not in batch.schema.names:
            codes[at : at + batch.num_rows] = -1 if default is None else number.setdefault(default, len(number))
            at += batch.num_rows
            continue
        array = batch.column(name)
        own = [number.setdefault(word, len(number)) for word in array.dictionary.to_pylist()]
        if len(number) > np.iinfo(codes.dtype).max:
            codes = codes.astype(np.int32)
        slots = array.indices.fill_null(len(own)).to_numpy(zero_copy_only=False)
        codes[at : at + len(array)] = np.array([*own, -1], codes.dtype)[slots]
        at += len(array)
    return pd.Categorical.from_codes(codes, pd.Index(list(number), dtype=str))


def _with_late_answers(request: pd.DataFrame, late: pd.DataFrame) -> pd.DataFrame:
    """Put each late answer beside its attempt: the same number in the same process."""
    answered = np.full(len(request), np.nan)
    if not late.empty and not request.empty:
        rows = np.flatnonzero((request["outcome"] == "api_timeout").to_numpy())
        processes = {name: index for index, name in enumerate(late["writer"].cat.categories)}
        of_request = request["writer"].cat.categories.map(lambda name: processes.get(name, -1)).to_numpy()
        wanted = _attempt_key(of_request[request["writer"].cat.codes.to_numpy()[rows]], request["attempt"], rows)
        known = _attempt_key(late["writer"].cat.codes.to_numpy(), late["attempt"], slice(None))
        order = np.argsort(known, kind="stable")
        known = known[order]
        at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        hit = known[at] == wanted
        answered[rows[hit]] = late["answered_ns"].to_numpy()[order][at[hit]]
    request["late_ns"] = answered
    return request.drop(columns="attempt", errors="ignore")


def _attempt_key(process: Any, attempt: pd.Series[int], rows: Any) -> NDArray[np.int64]:
    numbers = attempt.to_numpy(np.int64)[rows]
    return np.asarray(numbers + np.asarray(process, np.int64) * (1 << 48))
