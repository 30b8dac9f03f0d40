"""A run's folder: what is in it, and how it is appended to.

::

    RUN/
    ├── meta.json              what was run, on what, with which command; written first, completed at the end
    ├── meta-aside.json        what another process adds meanwhile; part of meta.json at the end
    ├── records/KIND-PROCESS.arrows   append-only Arrow IPC streams, one per kind of record and process
    ├── janus.log              the server's log, where the lab or an agent could read it
    ├── evidence/              what was gathered about a stall
    └── summary.json report.html ...  what the analysis made of it; can always be made again

A stream is flushed batch by batch, so that after a SIGKILL every flushed batch can be read back. `analysis/frames.py`
reads the folder; nothing else does.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

import pyarrow as pa

from janusload.errors import RunFolderError
from janusload.records import KINDS, Record

META_SCHEMA = 1

_ASIDE = "meta-aside.json"

#: a new IPC stream begins after so many batches (minutes, at one a second)
BATCHES_PER_STREAM = 60

_ARROW_TYPES: dict[type, pa.DataType] = {
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    str: pa.dictionary(pa.int32(), pa.string()),  # names and outcomes repeat; as text they would be most of the file
}


def arrow_schema(record: type[Record]) -> pa.Schema:
    """The Arrow schema of one kind of record, from its annotations."""
    fields = []
    for name, annotation in get_type_hints(record).items():
        nullable = isinstance(annotation, UnionType) and NoneType in get_args(annotation)
        plain = next(t for t in get_args(annotation) if t is not NoneType) if nullable else annotation
        fields.append(pa.field(name, _ARROW_TYPES[plain], nullable=nullable))
    return pa.schema(fields)


class RunFolder:
    """The folder of one run. `create` makes it, `open` takes one that is there.

    Attributes:
        path: absolute path of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, *, replace: bool = False) -> RunFolder:
        """Make an empty run folder.

        Args:
            replace: throw away a run folder that is already there (and only a run folder: it must hold `meta.json`).

        Raises:
            RunFolderError: there is something else at that path, or it cannot be made.
        """
        path = path.absolute()
        with _translated(f"cannot make the run folder {path}"):
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                if not (path / "meta.json").is_file():
                    raise RunFolderError(f"{path} is in the way and is no run folder: name another one with --out")
                if not replace:
                    raise RunFolderError(
                        f"{path} already holds a run: name another folder with --out, or add --replace to discard it"
                    )
                shutil.rmtree(path)
            (path / "records").mkdir(parents=True, exist_ok=True)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Take a run folder that is there.

        Raises:
            RunFolderError: there is no run folder at that path.
        """
        path = path.absolute()
        if not (path / "meta.json").is_file():
            raise RunFolderError(f"{path} is no run folder: it has no meta.json")
        return cls(path)

    def remove(self) -> None:
        """Take the folder away with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def records(self) -> Path:
        return self.path / "records"

    @property
    def evidence(self) -> Path:
        return self.path / "evidence"

    @property
    def janus_log(self) -> Path:
        return self.path / "janus.log"

    def read_meta(self) -> dict[str, Any]:
        """What `meta.json` says, and what was written beside it; see `write_meta`."""
        return self._facts("meta.json") | self._aside()

    def write_meta(self, **facts: Any) -> dict[str, Any]:
        """Add facts to `meta.json`, atomically; facts that are already there are replaced key by key.

        Keys that the analysis reads: `schema`, `run` {id, name, started_utc, ended_utc, command, end},
        `clock` {monotonic_ns, unix_ns, utc, offset_ns}, `analysis` {request, axis, timeout_s, p0, quantile, alpha,
        settle_s, samples_per_step, steps: [{index, offered}]}, `scenario` {name, asks, text}, `versions`, `host`,
        `server` (Janus's own `info`), `lab`, `leaks` {sessions, processes}, `limits`.
        """
        path = self.path / "meta.json"
        meta = self.read_meta() if path.exists() else {"schema": META_SCHEMA}
        meta.update(facts)
        self._write_facts("meta.json", meta)
        return meta

    def write_aside(self, **facts: Any) -> None:
        """As `write_meta`, for a process that is not the one that writes `meta.json` at that time: of two that read
        and write one file, the second would undo what the first has added."""
        self._write_facts(_ASIDE, self._aside() | facts)

    def complete_meta(self, **facts: Any) -> None:
        """As `write_meta`, by the last one: what was written aside becomes part of `meta.json`."""
        self.write_meta(**facts)
        with _translated(f"cannot remove {self.path / _ASIDE}"):
            (self.path / _ASIDE).unlink(missing_ok=True)

    def _aside(self) -> dict[str, Any]:
        return self._facts(_ASIDE) if (self.path / _ASIDE).exists() else {}

    def _facts(self, name: str) -> dict[str, Any]:
        with _translated(f"cannot read {self.path / name}"):
            facts: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        return facts

    def _write_facts(self, name: str, facts: dict[str, Any]) -> None:
        self.write_text(name, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")

    def write_text(self, name: str, text: str) -> Path:
        """Write a whole file in the folder so that a reader sees the old one or the new one, never half."""
        target = self.path / name
        with _translated(f"cannot write {target}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = target.with_name(target.name + ".part")
            scratch.write_text(text, encoding="utf-8")
            os.replace(scratch, target)
        return target

    def writer(self, process: str) -> RecordWriter:
        """A writer for the records of one process; `process` becomes part of the file names."""
        return RecordWriter(self.records, process)


class RecordWriter:
    """Collects records in memory and appends them batch by batch.

    Call `write` for each record (it does no I/O) and `flush` about once a second.
    """

    def __init__(self, folder: Path, process: str) -> None:
        self._folder = folder
        self._process = process
        self._pending: dict[type, list[Record]] = {record: [] for record in KINDS.values()}
        self._streams: dict[type, _Stream] = {}

    def write(self, record: Record) -> None:
        """Keep a record for the next flush."""
        self._pending[type(record)].append(record)

    def keeper(self, kind: type[Record]) -> Callable[[Record], None]:
        """`write` for records of one kind, for who writes a million an hour."""
        return self._pending[kind].append

    @property
    def pending(self) -> int:
        """How many records wait for the next flush."""
        return sum(map(len, self._pending.values()))

    def flush(self) -> None:
        """Append what has been collected; after it returns the batch survives a SIGKILL of this process.

        Raises:
            RunFolderError: the disk is full or the folder is gone. The records are kept for another try.
        """
        failed: RunFolderError | None = None
        for stem, kind in KINDS.items():
            try:
                self._flush_kind(stem, kind)
            except RunFolderError as error:
                failed = failed or error  # one kind that cannot be written must not hold up the others
        if failed is not None:
            raise failed

    def _flush_kind(self, stem: str, kind: type[Record]) -> None:
        rows = self._pending[kind]
        if not rows:
            return
        with _translated(f"cannot write records to {self._folder}"):
            stream = self._streams.get(kind)
            if stream is None:
                stream = _Stream(self._folder / f"{stem}-{self._process}.arrows", arrow_schema(kind))
                self._streams[kind] = stream
            count = len(rows)
            stream.append(rows[:count])
        del rows[:count]  # not clear(): a record may have come while the disk was busy

    def close(self) -> None:
        """Flush and end the streams, all of them whatever happens to one.

        Raises:
            RunFolderError: not everything could be written.
        """
        with _translated(f"cannot write records to {self._folder}"), ExitStack() as stack:
            stack.callback(self._streams.clear)
            try:
                self.flush()
            finally:
                for stream in self._streams.values():
                    stack.callback(stream.close)


class _Stream:
    """Arrow IPC in a file that is only ever extended by whole batches.

    When a write fails half-way (disk full) the file is cut back to its last whole batch and the next batch begins a
    new IPC stream behind it, since the broken one may lack a dictionary. A reader takes one stream after another.
    Every so often a new stream begins anyway: should the file be damaged later, what follows can be read from there.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        # "x": two writers of one name would each overwrite what the other had written
        self._file = path.open("xb", buffering=0)
        self._batches = 0
        self._whole = 0
        self._scratch = _Scratch()
        self._writer: pa.RecordBatchStreamWriter | None = None

    def append(self, rows: list[Record]) -> None:
        columns = zip(*rows, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        if self._writer is not None and self._batches >= BATCHES_PER_STREAM:
            self._writer.close()  # its end mark goes into the file with the next batch
            self._writer = None
        elif self._writer is None:
            self._scratch = _Scratch()
        if self._writer is None:
            self._batches = 0
            self._writer = pa.ipc.new_stream(pa.PythonFile(self._scratch, "w"), self._schema)
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))
        self._batches += 1
        self._extend()

    def close(self) -> None:
        with self._file:
            if self._writer is not None:
                self._writer.close()
                self._extend()

    def _extend(self) -> None:
        data = memoryview(self._scratch.take())
        size = len(data)
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError:
            self._writer = None
            self._file.truncate(self._whole)
            self._file.seek(self._whole)
            raise
        self._whole += size


class _Scratch:
    """What pyarrow has written and the file has not yet; several IPC streams may go through one of them."""

    closed = False

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._position = 0

    def write(self, data: bytes) -> int:
        self._chunks.append(bytes(data))
        self._position += len(data)
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._chunks)
        self._chunks.clear()
        return data

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        """Nothing to do: `take` hands everything over."""

    def close(self) -> None:
        """Nothing to do: the file is closed by `_Stream`."""


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn what the system and the parsers raise into `RunFolderError`."""
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RunFolderError(f"{what}: {reason}") from error
