"""The run folder: what was flushed is there, whatever happens next."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from janusload import run_folder
from janusload.analysis.frames import read_frames
from janusload.analysis.streams import read_stream_file
from janusload.errors import RunFolderError
from janusload.records import LogRecord, MarkerKind, MarkerRecord, ProbeRecord, Rung
from janusload.run_folder import RunFolder


def note(number: int) -> MarkerRecord:
    return MarkerRecord(number, MarkerKind.NOTE, label=f"note {number % 3}")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder.create(tmp_path / "run")
    made.write_meta(run={"name": "test"})
    return made


def notes_of(folder: RunFolder) -> list[int]:
    return [int(t_ns) for t_ns in read_frames(folder)["marker"]["t_ns"]]


# --- making, opening, meta --------------------------------------------------------------------------------------


def test_create_makes_an_empty_run_folder(tmp_path: Path) -> None:
    made = RunFolder.create(tmp_path / "a" / "b")
    assert made.records.is_dir() and not list(made.records.iterdir())


def test_create_takes_an_empty_folder(tmp_path: Path) -> None:
    assert RunFolder.create(tmp_path).path == tmp_path


def test_create_never_takes_the_place_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for replace in (False, True):
        with pytest.raises(RunFolderError, match="in the way"):
            RunFolder.create(tmp_path, replace=replace)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    with pytest.raises(RunFolderError, match="in the way"):
        RunFolder.create(tmp_path / "thesis.tex", replace=True)


def test_create_replaces_a_run_only_when_asked(folder: RunFolder) -> None:
    (folder.path / "summary.json").write_text("{}")
    with pytest.raises(RunFolderError, match="already holds a run"):
        RunFolder.create(folder.path)
    RunFolder.create(folder.path, replace=True)
    assert [each.name for each in folder.path.iterdir()] == ["records"]


def test_create_says_what_is_wrong_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot make the run folder"):
        RunFolder.create(tmp_path / "file" / "run")


def test_open_takes_only_a_run_folder(folder: RunFolder, tmp_path: Path) -> None:
    assert RunFolder.open(folder.path).path == folder.path
    with pytest.raises(RunFolderError, match="no run folder"):
        RunFolder.open(tmp_path)


def test_meta_grows_key_by_key(folder: RunFolder) -> None:
    folder.write_meta(seed=7)
    folder.write_meta(run={"name": "other"})
    assert folder.read_meta() == {"schema": 1, "run": {"name": "other"}, "seed": 7}


def test_two_processes_add_to_meta_at_the_same_time(folder: RunFolder) -> None:
    """The watching process writes between another's reading and writing."""
    stale = folder.read_meta()
    folder.write_aside(advisories=[])
    folder.write_aside(watched={"exit_status": None})
    folder.write_text("meta.json", json.dumps(stale | {"seed": 7}))
    known = {"schema": 1, "run": {"name": "test"}, "seed": 7, "advisories": [], "watched": {"exit_status": None}}
    assert folder.read_meta() == known
    folder.complete_meta(leaks=0)
    assert [path.name for path in folder.path.iterdir() if path.is_file()] == ["meta.json"]
    assert folder.read_meta() == known | {"leaks": 0}


def test_broken_meta_is_one_sentence(folder: RunFolder) -> None:
    (folder.path / "meta.json").write_text('{"schema": 1, "run"')
    with pytest.raises(RunFolderError, match=r"cannot read .*meta\.json"):
        folder.read_meta()


def test_a_write_that_fails_leaves_the_old_file(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunFolderError, match="No space left"):
        folder.write_meta(seed=8)
    assert json.loads((folder.path / "meta.json").read_text()) == {"schema": 1, "run": {"name": "test"}}


# --- appending --------------------------------------------------------------------------------------------------


def test_records_come_back_as_written(folder: RunFolder) -> None:
    writer = folder.writer("load")
    probes = [ProbeRecord(Rung.PING, 10, 12, 1.0, True), ProbeRecord(Rung.CREATE, 10, None, 1.0, False, "no answer")]
    for probe in probes:
        writer.write(probe)
    writer.close()
    batches, lost = read_stream_file(folder.records / "probe-load.arrows", set(ProbeRecord._fields))
    assert lost == 0
    rows = pa.Table.from_batches(batches).to_pylist()
    assert [ProbeRecord(**row) for row in rows] == probes


def test_nothing_is_written_before_a_flush_and_no_file_without_records(folder: RunFolder) -> None:
    writer = folder.writer("load")
    writer.write(note(1))
    assert not list(folder.records.iterdir())
    writer.flush()
    writer.flush()
    assert [path.name for path in folder.records.iterdir()] == ["marker-load.arrows"]
    assert notes_of(folder) == [1]  # while it is still being written
    writer.close()


def test_two_writers_of_one_name_are_refused(folder: RunFolder) -> None:
    first, second = folder.writer("load"), folder.writer("load")
    first.write(note(1))
    first.flush()
    second.write(note(2))
    with pytest.raises(RunFolderError, match="File exists"):
        second.flush()
    first.close()
    assert notes_of(folder) == [1]


def test_a_new_stream_begins_every_so_often(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "BATCHES_PER_STREAM", 4)
    writer = folder.writer("load")
    for number in range(11):
        writer.write(note(number))
        writer.flush()
    writer.close()
    source = pa.BufferReader((folder.records / "marker-load.arrows").read_bytes())
    rows = []
    while source.tell() < source.size():
        rows.append(pa.ipc.open_stream(source).read_all().num_rows)
    assert rows == [4, 4, 3]
    assert notes_of(folder) == list(range(11))


def test_what_was_flushed_survives_sigkill(folder: RunFolder) -> None:
    script = f"""
        import os, signal
        from pathlib import Path
        from janusload.records import MarkerKind, MarkerRecord
        from janusload.run_folder import RunFolder
        writer = RunFolder.open(Path({str(folder.path)!r})).writer("load")
        for number in range(50):
            writer.write(MarkerRecord(number, MarkerKind.NOTE))
            if number % 10 == 9:
                writer.flush()
        writer.write(MarkerRecord(50, MarkerKind.NOTE))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert notes_of(folder) == list(range(50))


# --- a disk that is full ----------------------------------------------------------------------------------------


def test_a_file_that_may_not_grow_keeps_what_was_there(folder: RunFolder) -> None:
    """The kernel itself refuses half-way through a batch, as a full disk does."""
    script = f"""
        import resource, signal
        from pathlib import Path
        from janusload.errors import RunFolderError
        from janusload.records import MarkerKind, MarkerRecord
        from janusload.run_folder import RunFolder
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        writer = RunFolder.open(Path({str(folder.path)!r})).writer("load")
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        number = failures = 0
        while number < 3000:
            if number == 1000:
                resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
            if number == 2000:
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            writer.write(MarkerRecord(number, MarkerKind.NOTE, label=f"note {{number // 500}}"))
            number += 1
            if number % 100 == 0:
                try:
                    writer.flush()
                except RunFolderError as error:
                    assert "File too large" in str(error), error
                    failures += 1
        writer.close()
        print(failures)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], timeout=60, check=True, capture_output=True, text=True
    )
    assert 1 <= int(ended.stdout) <= 11
    frames = read_frames(folder)
    assert frames["marker"]["t_ns"].tolist() == list(range(3000))  # those that were refused were kept and came later
    assert frames["marker"]["label"].tolist() == [f"note {number // 500}" for number in range(3000)]
    assert frames.unread_bytes == {}


class _FullDisk:
    """A file on a disk that takes `room` bytes more."""

    def __init__(self, inner: Any, room: int) -> None:
        self._inner = inner
        self.room = room

    def write(self, data: memoryview) -> int:
        if self.room <= 0:
            raise OSError(28, "No space left on device")
        taken = int(self._inner.write(data[: self.room]))
        self.room -= taken
        return taken

    def truncate(self, size: int) -> int:
        self.room += os.fstat(self._inner.fileno()).st_size - size
        return int(self._inner.truncate(size))

    def __enter__(self) -> _FullDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self._inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.mark.parametrize("room", [0, 1, 7, 100, 500, 1000])
def test_half_a_batch_is_taken_back(folder: RunFolder, room: int) -> None:
    writer = folder.writer("load")
    writer.write(note(1))
    writer.flush()
    stream = next(iter(writer._streams.values()))
    disk = _FullDisk(stream._file, room)
    stream._file = disk  # type: ignore[assignment]
    writer.write(note(2))
    writer.write(LogRecord(3, "ice", 1))
    size = (folder.records / "marker-load.arrows").stat().st_size
    try:
        writer.flush()
    except RunFolderError as error:
        assert "No space left on device" in str(error)
        assert (folder.records / "marker-load.arrows").stat().st_size == size
        assert notes_of(folder) == [1]
    assert len(read_frames(folder)["log"]) == 1  # another kind, another file: not held up
    disk.room = 1 << 20
    writer.write(note(4))
    writer.close()
    assert notes_of(folder) == [1, 2, 4]
    assert read_frames(folder).unread_bytes == {}


def test_close_closes_every_file_even_if_one_cannot_be_written(folder: RunFolder) -> None:
    writer = folder.writer("load")
    writer.write(note(1))
    writer.write(LogRecord(3, "ice", 1))
    writer.flush()
    files = [stream._file for stream in writer._streams.values()]
    marker = next(stream for stream in writer._streams.values() if "label" in stream._schema.names)
    marker._file = _FullDisk(marker._file, 0)  # type: ignore[assignment]
    writer.write(note(2))
    with pytest.raises(RunFolderError, match="No space left"):
        writer.close()
    assert all(file.closed for file in files)
    assert notes_of(folder) == [1]


def test_the_folder_of_a_writer_that_is_gone_is_one_sentence(folder: RunFolder) -> None:
    writer = folder.writer("load")
    writer.write(note(1))
    folder.records.rmdir()
    with pytest.raises(RunFolderError, match="cannot write records"):
        writer.flush()


def test_open_files_stay_few(folder: RunFolder) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(min(50, soft // 2)):
        writer = folder.writer(f"p{number}")
        writer.write(note(number))
        writer.close()
    assert len(os.listdir("/proc/self/fd")) <= before
