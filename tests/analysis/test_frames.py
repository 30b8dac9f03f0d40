"""A run folder into frames: whole, cut at any byte, damaged."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from janusload import run_folder
from janusload.analysis.frames import Frames, read_frames
from janusload.analysis.streams import read_stream_file
from janusload.records import (
    KINDS,
    HealthRecord,
    LateRecord,
    MarkerKind,
    MarkerRecord,
    Outcome,
    ProbeRecord,
    RequestRecord,
    Rung,
    Source,
)
from janusload.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder.create(tmp_path / "run")
    made.write_meta(run={})
    return made


def request(attempt: int, outcome: Outcome = Outcome.OK, name: str = "janus.create") -> RequestRecord:
    due_ns = 10**15 + attempt * 1000
    answered_ns = due_ns + 500 if outcome is Outcome.OK else None
    return RequestRecord(attempt, name, Source.ARRIVALS, attempt // 4, due_ns, due_ns + 1, answered_ns, 2.0, outcome)


def write(folder: RunFolder, process: str, batches: list[list[RequestRecord]]) -> Path:
    writer = folder.writer(process)
    for batch in batches:
        for record in batch:
            writer.write(record)
        writer.flush()
    writer.close()
    return folder.records / f"request-{process}.arrows"


def due(frames: Frames) -> list[int]:
    return [(int(value) - 10**15) // 1000 for value in frames["request"]["due_ns"]]


def test_an_empty_folder_has_every_kind_with_its_columns(folder: RunFolder) -> None:
    frames = read_frames(folder)
    for kind, record in KINDS.items():
        assert len(frames[kind]) == 0
        assert set(frames[kind].columns) <= {*record._fields, "writer", "late_ns"}
    assert {"due_ns", "outcome", "late_ns", "writer"} <= set(frames["request"].columns)
    assert frames.unread_bytes == {}


def test_an_empty_file_is_no_fault(folder: RunFolder) -> None:
    (folder.records / "request-load.arrows").write_bytes(b"")
    (folder.records / "probe-load.arrows").write_bytes(b"")
    assert read_frames(folder).unread_bytes == {}


def test_no_records_folder_at_all(folder: RunFolder) -> None:
    folder.records.rmdir()
    assert len(read_frames(folder)["request"]) == 0


def test_values_and_types(folder: RunFolder) -> None:
    write(folder, "load", [[request(0), request(1, Outcome.API_TIMEOUT, "a.b")], [request(2, Outcome.CUT)]])
    frame = read_frames(folder)["request"]
    assert frame["name"].tolist() == ["janus.create", "a.b", "janus.create"]
    assert frame["outcome"].tolist() == ["ok", "api_timeout", "cut"]
    assert frame["due_ns"].dtype == np.int64 and frame["due_ns"].iloc[2] == 10**15 + 2000
    assert frame["answered_ns"].iloc[0] == 10**15 + 500 and frame["answered_ns"].isna().tolist() == [False, True, True]
    assert frame["code"].isna().all()
    assert frame["writer"].tolist() == ["load"] * 3


def test_all_processes_are_put_together(folder: RunFolder) -> None:
    write(folder, "load-1", [[request(0), request(1)]])
    write(folder, "load-2", [[request(2)], [request(3)]])
    frames = read_frames(folder)
    assert sorted(due(frames)) == [0, 1, 2, 3]
    assert frames["request"]["writer"].tolist() == ["load-1", "load-1", "load-2", "load-2"]


def test_every_batch_may_have_other_words(folder: RunFolder) -> None:
    names = [f"plugin.verb{number}" for number in range(40)]
    write(folder, "load", [[request(n, name=names[n]), request(n, name=names[-n])] for n in range(40)])
    expected = [name for n in range(40) for name in (names[n], names[-n])]
    assert read_frames(folder)["request"]["name"].tolist() == expected


def test_more_words_than_16_bits_hold(folder: RunFolder) -> None:
    writer = folder.writer("load")
    for number in range(40_000):
        writer.write(MarkerRecord(number, MarkerKind.NOTE, label=f"note {number}"))
    writer.close()
    labels = read_frames(folder)["marker"]["label"]
    assert labels.iloc[0] == "note 0" and labels.iloc[39_999] == "note 39999"


def test_late_answers_find_their_attempt_in_their_process(folder: RunFolder) -> None:
    for process, answered in (("load-1", 111), ("load-2", 222)):
        writer = folder.writer(process)
        for attempt in (5, 3, 4):
            writer.write(request(attempt, Outcome.API_TIMEOUT if attempt == 4 else Outcome.OK))
        writer.write(LateRecord(4, "janus.create", 1, answered))
        writer.write(LateRecord(99, "janus.create", 1, 3))  # its attempt was lost in a crash
        writer.close()
    frame = read_frames(folder)["request"]
    assert frame["late_ns"].fillna(-1).tolist() == [-1, -1, 111, -1, -1, 222]


def test_a_late_answer_of_another_process_is_not_taken(folder: RunFolder) -> None:
    write(folder, "load-1", [[request(4, Outcome.API_TIMEOUT)]])
    writer = folder.writer("load-2")
    writer.write(LateRecord(4, "janus.create", 1, 222))
    writer.close()
    assert read_frames(folder)["request"]["late_ns"].isna().all()


def test_cut_at_every_byte_of_the_last_batch(folder: RunFolder) -> None:
    path = write(folder, "load", [[request(0), request(1)], [request(2), request(3, Outcome.CUT, "x.y")]])
    whole = path.read_bytes()
    end_mark = 8
    two = folder.records / "only-the-first"
    path.rename(two)
    first = write(folder, "load", [[request(0), request(1)]])
    first_size = first.stat().st_size - end_mark
    assert whole[:first_size] == first.read_bytes()[:first_size]
    two.unlink()
    for size in range(first_size, len(whole) + 1):
        first.write_bytes(whole[:size])
        batches, lost = read_stream_file(first, {"due_ns", "outcome"})
        complete = size >= len(whole) - end_mark
        assert [batch.num_rows for batch in batches] == ([2, 2] if complete else [2]), size
        assert lost < end_mark if complete else lost <= size - first_size


def test_cut_at_every_byte_of_the_first_batch(folder: RunFolder) -> None:
    path = write(folder, "load", [[request(0)]])
    whole = path.read_bytes()
    for size in range(1, len(whole) - 8):
        path.write_bytes(whole[:size])
        batches, lost = read_stream_file(path, {"due_ns"})
        assert batches == [] and 0 <= lost <= size
    assert lost > len(whole) // 4  # the batch; its schema and dictionaries were whole


def test_streams_one_after_another(folder: RunFolder) -> None:
    path = write(folder, "load", [[request(0)], [request(1)]])
    second = write(folder, "other", [[request(2, name="new.name")], [request(3)]])
    for tail in (0, 8):  # with the end mark between them, and without, as after a full disk
        joined = path.read_bytes()[: path.stat().st_size - tail] + second.read_bytes()
        (folder.records / "request-joined.arrows").write_bytes(joined)
        frame = read_frames(folder)["request"]
        assert frame[frame["writer"] == "joined"]["name"].tolist() == [
            *["janus.create"] * 2,
            "new.name",
            "janus.create",
        ]


def test_damage_costs_only_its_stream(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "BATCHES_PER_STREAM", 2)
    path = write(folder, "load", [[request(n)] for n in range(6)])
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third + 200 : third + 600] = bytes(400)  # inside the second of three streams
    path.write_bytes(bytes(data))
    frames = read_frames(folder)
    assert set(due(frames)) >= {0, 1, 4, 5} and len(due(frames)) < 6
    assert frames.unread_bytes["request-load.arrows"] >= 400


def test_garbage_before_between_and_behind(folder: RunFolder) -> None:
    path = write(folder, "load", [[request(0)], [request(1)]])
    stream = path.read_bytes()
    noise = b"\xff\xff\xff\xff\x10\x00\x00\x00 these are no messages \xff\xff\xff\xff\x00"
    path.write_bytes(noise + stream + noise + stream + noise)
    frames = read_frames(folder)
    assert due(frames) == [0, 1, 0, 1]
    assert frames.unread_bytes == {"request-load.arrows": pytest.approx(3 * len(noise), abs=16)}


def test_nothing_but_garbage(folder: RunFolder) -> None:
    noise = random.Random(1).randbytes(100_000)
    (folder.records / "request-load.arrows").write_bytes(noise)
    frames = read_frames(folder)
    assert len(frames["request"]) == 0
    assert frames.unread_bytes == {"request-load.arrows": len(noise)}


def test_flipped_bytes_never_break_the_reader(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "BATCHES_PER_STREAM", 3)
    path = write(folder, "load", [[request(4 * n + k, name=f"a.{k}") for k in range(4)] for n in range(9)])
    whole = path.read_bytes()
    dice = random.Random(2)
    rows = []
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        path.write_bytes(bytes(data))
        frames = read_frames(folder)
        rows.append(len(frames["request"]))
        assert len(frames["request"]) == 36 or frames.unread_bytes
        frames["request"]["name"].astype(str).tolist()
    assert min(rows) >= 36 - 3 * 12 and np.mean(rows) > 24


def test_a_file_of_another_version_is_left_out_and_counted(folder: RunFolder) -> None:
    writer = folder.writer("load")
    writer.write(ProbeRecord(Rung.PING, 1, 2, 1.0, True))
    writer.close()
    (folder.records / "probe-load.arrows").rename(folder.records / "request-load.arrows")
    frames = read_frames(folder)
    assert len(frames["request"]) == 0
    assert frames.unread_bytes["request-load.arrows"] > 0


def test_a_field_of_a_record_is_never_taken_for_its_writer(folder: RunFolder) -> None:
    writer = folder.writer("load")
    writer.write(HealthRecord(1, "media-0", 50.0, 1, 1))
    writer.close()
    health = read_frames(folder)["health"]
    assert health["process"].tolist() == ["media-0"] and health["writer"].tolist() == ["load"]
    assert all("writer" not in record._fields and "late_ns" not in record._fields for record in KINDS.values())
