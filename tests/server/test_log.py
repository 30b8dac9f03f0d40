"""A log followed: through rotation, truncation, pipes and whatever bytes may come, in bounded memory."""

from __future__ import annotations

import os
import random
import sys
import tracemalloc
from pathlib import Path

import pytest

from janusload.errors import SurroundingsError
from janusload.log_categories import LogCategory
from janusload.server.log import LONGEST_LINE_BYTES, TAIL_LINES, FileSource, JournalSource, LogCounter, LogWatch

ICE = b"[ERR] [ice.c:f:1] [3333] ICE failed for component 1 in stream 1...\n"


def watch(path: Path, *, from_start: bool = True) -> LogWatch:
    return LogWatch(FileSource(path, from_start=from_start))


def counts(found: LogWatch) -> dict[str, int]:
    return {str(record.category): record.lines for record in found.look()}


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_a_file_is_followed_from_where_it_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "janus.log"
    path.write_bytes(ICE * 3)
    begun, later = watch(path), watch(path, from_start=False)
    assert counts(begun) == {"ice_failed": 3} and counts(later) == {}
    append(path, ICE[:20])
    assert counts(begun) == {}, "half a line is no line"
    append(path, ICE[20:] + b"Creating new session: 1; 0x7f\n")
    assert counts(begun) == counts(later) == {"ice_failed": 1, "session": 1}


def test_rotation_and_truncation_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "janus.log"
    path.write_bytes(ICE)
    followed = watch(path)
    assert counts(followed) == {"ice_failed": 1}
    append(path, ICE * 2)
    path.rename(tmp_path / "janus.log.1")
    path.write_bytes(ICE)
    assert sum((counts(followed).get("ice_failed", 0), counts(followed).get("ice_failed", 0))) == 3
    path.write_bytes(b"")
    counts(followed)
    append(path, ICE)
    assert counts(followed) == {"ice_failed": 1}
    assert followed.source.notes["rotated"] == 1 and followed.source.notes["truncated"] == 1


def test_a_file_that_is_not_there_yet_and_goes_away(tmp_path: Path) -> None:
    path = tmp_path / "janus.log"
    followed = watch(path)
    assert counts(followed) == {} and any("cannot be read" in note for note in followed.source.notes)
    path.write_bytes(ICE)
    assert counts(followed) == {"ice_failed": 1}
    path.unlink()
    assert counts(followed) == {} and followed.source.notes["gone"] == 1


def test_a_named_pipe_without_a_writer_does_not_keep_us(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    followed = watch(path)
    assert counts(followed) == {}
    writer = os.open(path, os.O_WRONLY)
    os.write(writer, ICE)
    assert counts(followed) == {"ice_failed": 1}
    os.close(writer)
    assert counts(followed) == {}
    followed.close()


def test_lines_of_megabytes_and_binary_are_counted_and_cost_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "janus.log"
    noise = random.Random(7).randbytes(1 << 20).replace(b"\n", b"x")
    path.write_bytes(b"A" * (12 << 20) + b"\n" + noise + b"\n\x00\x01\x02\n\xff\xfe\xfd\xfc\n" + ICE + ICE[:-1])
    followed = watch(path)
    tracemalloc.start()
    found: dict[str, int] = {}
    try:
        for _ in range(40):
            for category, lines in counts(followed).items():
                found[category] = found.get(category, 0) + lines
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == {"garbled": 4, "ice_failed": 1} and followed.counter.cut == 2
    assert peak < 4 << 20
    append(path, b"\n")
    assert counts(followed) == {"ice_failed": 1}


def test_bytes_may_be_cut_anywhere() -> None:
    data = (ICE + b"[WARN] odd \xe2\x82\xac\r\n" + b"B" * (LONGEST_LINE_BYTES + 9) + b"\n") * 20
    dice = random.Random(1)
    for _ in range(20):
        counter = LogCounter()
        at = 0
        while at < len(data):
            size = dice.choice((1, 7, 100, 9000, 70000))
            counter.feed(data[at : at + size])
            at += size
        assert counter.counts == {
            LogCategory.ICE_FAILED: 20,
            LogCategory.OTHER_WARNING: 20,
            LogCategory.GARBLED: 20,
        }
        assert counter.lines == 60


def test_the_tail_is_bounded_and_can_be_shown() -> None:
    counter = LogCounter()
    counter.feed(b"\x1b]0;evil\x07\x1b[31mred\x1b[0m\n" * (TAIL_LINES + 50))
    assert len(counter.tail) == TAIL_LINES and set(counter.tail) == {"red"}
    counter.feed(b"Created AudioBridge: 1 (x, public, secret: s3cret, pin: 12)\n" + b"secret: s3cret" * 2000 + b"\n")
    assert "s3cret" not in str(counter.tail)


def test_the_journal_is_read_through_its_own_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "journalctl"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\nprintf "[WARN] odd\\n"\nexec sleep 30\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    followed = LogWatch(JournalSource("janus.service"))
    try:
        found: dict[str, int] = {}
        while not found:
            found = counts(followed)
        assert found == {"other_warning": 1}
        assert "--unit=janus.service" in (tmp_path / "arguments").read_text()
    finally:
        followed.close()


def test_a_unit_cannot_smuggle_an_option() -> None:
    if sys.platform != "linux":
        pytest.fail("Linux only")
    with pytest.raises(SurroundingsError):
        JournalSource("--vacuum-size=1")
