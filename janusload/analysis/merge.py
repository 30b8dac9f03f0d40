"""Folders of one distributed run put together: one folder, one clock, one sequence of steps.

Every machine has a monotonic clock of its own. Records of the others are moved onto the first one's: by the offset
that was measured during the run (`clock.offset_ns` of meta, to be added), else by what the two said of UTC. Processes
that the first one's `fleet` lists keep their name and their clock: whoever reads the folder moves them, and of what
both folders have of such a process (the master gets copies) the longer one is taken.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute

from janusload.analysis.frames import read_frames
from janusload.analysis.plan import part
from janusload.analysis.streams import read_stream_file
from janusload.errors import RunFolderError, UsageError
from janusload.records import KINDS, MarkerKind, MarkerRecord
from janusload.run_folder import RunFolder, arrow_schema

#: on one kernel, wall clocks that were set meanwhile differ by no more; clocks of their own do
_SAME_CLOCK_NS = 60_000_000_000

_STEPS = {str(MarkerKind.STEP_BEGIN), str(MarkerKind.STEP_END)}


class Moved(NamedTuple):
    """How the records of one folder got onto the first one's clock."""

    folder: str
    offset_ns: int
    how: str


def merge(folders: Sequence[RunFolder], out: Path, *, replace: bool = False) -> list[Moved]:
    """Put the folders of one run together; the first one's meta is kept, with `merged` telling of the others.

    Load steps of the same number are one step: its load and arrivals are the sum of what the folders say.

    Raises:
        UsageError: they are not of one run (scenario or T differ), or less than two.
        RunFolderError: a folder cannot be read, or the new one cannot be written.
    """
    if len(folders) < 2:
        raise UsageError("name the folders of at least two machines")
    metas = [folder.read_meta() for folder in folders]
    _same_run(folders, metas)
    known = {str(worker.get("process")) for worker in part(metas[0], "fleet").get("took_part") or []}
    moved = [_moved(folder, meta, metas[0], known) for folder, meta in zip(folders, metas, strict=True)]
    target = RunFolder.create(out, replace=replace)
    try:
        taken: dict[str, int] = {}
        for number, (folder, move) in enumerate(zip(folders, moved, strict=True)):
            for kind in KINDS:
                if kind != "marker":
                    copy_moved(folder, target, kind, number, move.offset_ns, known, taken)
        for name in ("janus.log", "scenario.toml"):
            first = next((folder.path / name for folder in folders if (folder.path / name).is_file()), None)
            if first is not None:
                shutil.copyfile(first, target.path / name)
        for number, folder in enumerate(folders):
            if folder.evidence.is_dir():
                shutil.copytree(folder.evidence, target.evidence / f"{number}-{folder.path.name}", symlinks=True)
    except (OSError, pa.ArrowException) as error:
        raise RunFolderError(f"cannot write {target.path}: {error}") from error
    writer = target.writer("merged")
    for marker in _markers(folders, moved):
        writer.write(marker)
    writer.close()
    target.write_meta(**metas[0] | {"merged": [move._asdict() for move in moved]})
    return moved


def _same_run(folders: Sequence[RunFolder], metas: Sequence[dict[str, Any]]) -> None:
    for folder, meta in zip(folders[1:], metas[1:], strict=True):
        for about, key in (("scenario", "text"), ("analysis", "timeout_s"), ("analysis", "request")):
            one, other = part(metas[0], about).get(key), part(meta, about).get(key)
            if one != other and other is not None:
                raise UsageError(
                    f"{folder.path} is not of the same run as {folders[0].path}: {about} {key} differs; "
                    "to hold runs against each other use janusload compare"
                )


def _moved(folder: RunFolder, meta: dict[str, Any], first: dict[str, Any], known: Collection[str]) -> Moved:
    """What to add to the folder's moments."""
    clock, base = part(meta, "clock"), part(first, "clock")
    if meta is first:
        return Moved(folder.path.name, 0, "the clock of the merged run")
    processes = {path.stem.partition("-")[2] for path in folder.records.glob("*.arrows")}
    if processes and processes <= set(known):
        return Moved(folder.path.name, 0, "its clock was measured by the master during the run")
    if isinstance(clock.get("offset_ns"), int):
        return Moved(folder.path.name, clock["offset_ns"], "as measured during the run")
    own, theirs = _zero_utc_ns(clock), _zero_utc_ns(base)
    boots = [part(each, "host").get("boot_id") for each in (meta, first)]
    # a container may have a clock of its own (time_namespaces(7)), though its kernel is the same
    alike = own is None or theirs is None or abs(own - theirs) < _SAME_CLOCK_NS
    if boots[0] is not None and boots[0] == boots[1] and alike:
        return Moved(folder.path.name, 0, "the same machine, and so the same clock")
    if own is None or theirs is None:
        raise UsageError(f"{folder.path} does not say what its clock showed: it cannot be put beside the others")
    exact = all("unix_ns" in each for each in (clock, base))
    words = "by the machines' UTC clocks" if exact else "by the machines' UTC clocks, to the second"
    return Moved(folder.path.name, own - theirs, words)


def _zero_utc_ns(clock: dict[str, Any]) -> int | None:
    """At which UTC moment the monotonic clock stood at 0, ns since 1970."""
    monotonic_ns = clock.get("monotonic_ns")
    if not isinstance(monotonic_ns, int):
        return None
    if isinstance(clock.get("unix_ns"), int):
        return int(clock["unix_ns"]) - monotonic_ns
    try:
        moment = np.datetime64(str(clock.get("utc")).removesuffix("Z"), "ns")
    except ValueError:
        return None
    return None if np.isnat(moment) else int(moment.astype(np.int64)) - monotonic_ns


def copy_moved(
    folder: RunFolder,
    target: RunFolder,
    kind: str,
    number: int,
    offset_ns: int,
    known: Collection[str] = (),
    taken: dict[str, int] | None = None,
) -> None:
    """The records of one kind, moved; numbers of attempts stay unique, for they belong to a process.

    Args:
        number: of the folder; becomes part of the names of all but the first one's processes.
        known: processes that keep their name and clock.
        taken: file of `target` -> length of the file that it was made from; is kept up to date.
    """
    taken = {} if taken is None else taken
    names = set(arrow_schema(KINDS[kind]).names)
    for path in sorted(folder.records.glob(f"{kind}-*.arrows")):
        process = path.stem.removeprefix(f"{kind}-")
        kept = process in known or number == 0
        to = target.records / (path.name if kept else f"{path.stem}@{number}.arrows")
        size = path.stat().st_size
        if taken.get(to.name, -1) >= size:
            continue
        batches, _ = read_stream_file(path, names, required=set())
        if not batches:
            continue
        taken[to.name] = size
        moved = [_shifted(batch, 0 if kept else offset_ns) for batch in batches]
        with pa.OSFile(str(to), "wb") as file:
            # a file may hold what two versions wrote: then there is a stream for each
            for schema, same in groupby(moved, key=lambda batch: batch.schema):
                with pa.ipc.new_stream(file, schema) as writer:
                    for batch in same:
                        writer.write_batch(batch)


def _shifted(batch: pa.RecordBatch, offset_ns: int) -> pa.RecordBatch:
    columns = [
        pa.compute.add(column, pa.scalar(offset_ns, pa.int64())) if name.endswith("_ns") else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.record_batch(columns, schema=batch.schema)


def _markers(folders: Sequence[RunFolder], moved: Sequence[Moved]) -> list[MarkerRecord]:
    """Phases and notes of the first folder that has any; steps of all of them."""
    begun: dict[int, list[tuple[int, float]]] = {}
    ended: dict[int, list[tuple[int, float]]] = {}
    others: list[MarkerRecord] = []
    for folder, move in zip(folders, moved, strict=True):
        frame = read_frames(folder, only={"marker"})["marker"]
        own = []
        for t_ns, kind, step, label, value in zip(
            *(frame[name].tolist() for name in ("t_ns", "kind", "step", "label", "value")), strict=True
        ):
            at_ns = int(t_ns) + move.offset_ns
            known = None if np.isnan(value) else float(value)
            if kind in _STEPS:
                (begun if kind == MarkerKind.STEP_BEGIN else ended).setdefault(int(step), []).append(
                    (at_ns, known or 0.0)
                )
            else:
                own.append(MarkerRecord(at_ns, str(kind), int(step), str(label), known))
        others = others or own
    steps = [
        MarkerRecord(edge(t for t, _ in found), kind, step, value=sum(value for _, value in found))
        for kind, edge, every in ((MarkerKind.STEP_BEGIN, min, begun), (MarkerKind.STEP_END, max, ended))
        for step, found in every.items()
    ]
    return sorted([*others, *steps], key=lambda marker: marker.t_ns)
