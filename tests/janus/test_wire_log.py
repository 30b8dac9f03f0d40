"""The conversation as JSON lines: complete, with both clocks, without secrets."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from janusload.errors import CoreError, SurroundingsError
from janusload.janus.connection import Connection
from janusload.janus.plugins.audiobridge import AudioBridge
from janusload.janus.wire_log import WireLog, of_process
from tests.fake_janus import GARBAGE, FakeJanus


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_conversation(tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl"
    log = WireLog(path)
    began_ns, began_utc = time.monotonic_ns(), datetime.now(UTC)
    with FakeJanus(api_secret="s3cret-of-janus") as janus:
        with Connection(janus.url, api_secret="s3cret-of-janus", wire_log=log) as connection:
            session = connection.create()
            session.attach(AudioBridge).join(1234, pin="pin-1234")
            session.destroy()
        with Connection(janus.url, api_secret="another-one", wire_log=log) as stranger:
            with pytest.raises(CoreError):
                stranger.create()
            stranger.ping()
    log.close()
    text = path.read_text()
    assert not any(secret in text for secret in ("s3cret-of-janus", "another-one", "pin-1234"))
    entries = lines(path)
    assert [(e["connection"], e["direction"], e["message"]["janus"]) for e in entries] == [
        (1, "sent", "create"), (1, "received", "success"),
        (1, "sent", "attach"), (1, "received", "success"),
        (1, "sent", "message"), (1, "received", "ack"), (1, "received", "event"),
        (1, "sent", "destroy"), (1, "received", "success"),
        (2, "sent", "create"), (2, "received", "error"),
        (2, "sent", "ping"), (2, "received", "pong"),
    ]  # fmt: skip
    assert entries[4]["message"]["body"] == {"request": "join", "room": 1234, "pin": "***"}
    moments = [entry["monotonic_ns"] for entry in entries]
    assert moments == sorted(moments) and began_ns < moments[0] < time.monotonic_ns()
    assert abs((datetime.fromisoformat(entries[0]["utc"]) - began_utc).total_seconds()) < 60
    assert path.stat().st_mode & 0o077 == 0


def test_what_is_no_json_is_kept_as_text(tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl"
    log = WireLog(path)
    with (
        FakeJanus(lambda request: GARBAGE if request["janus"] == "create" else 0.0) as janus,
        Connection(janus.url, wire_log=log) as connection,
    ):
        connection.submit("create")
        connection.ping()
    log.close()
    assert [entry["text"] for entry in lines(path) if "text" in entry] == ["{not json"]


def test_tap_takes_several_objects_nan_bad_utf8_and_depth(tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl"
    log = WireLog(path)
    tap = log.connection()
    tap.received(b'{"janus":"a"} {"janus":"b"}\n', 1)
    tap.received(b'{"janus": NaN}', 2)
    tap.received(b"\xff\xfe", 3)
    tap.received(b'{"a":' * 100_000, 4)
    tap.received(b'{"a":"\\ud800"}', 5)
    log.close()
    written = lines(path)
    assert [entry.get("message") for entry in written] == [
        {"janus": "a"}, {"janus": "b"}, {"janus": "nan"}, None, None, {"a": "\ud800"}
    ]  # fmt: skip
    assert len(written[4]["text"]) <= 10_000


def test_it_ends_at_its_limit_and_is_silent_afterwards(tmp_path: Path) -> None:
    log = WireLog(tmp_path / "wire.jsonl", max_bytes=300)
    tap = log.connection()
    for number in range(20):
        tap.sent(json.dumps({"janus": "ping", "transaction": str(number)}), number)
    log.close()
    written = lines(tmp_path / "wire.jsonl")
    assert 1 < len(written) < 20 and "limit" in written[-1]["note"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(SurroundingsError, match="wire log"):
        WireLog(tmp_path / "missing" / "wire.jsonl")


@pytest.mark.parametrize("messages", [1, 200, 2000])
def test_a_full_disk_ends_the_log_and_nothing_else(
    messages: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be noticed at a message, at one of the next, or only when the log is closed."""
    really = os.open
    monkeypatch.setattr(os, "open", lambda path, flags, mode: really("/dev/full", os.O_WRONLY | os.O_CLOEXEC))
    log = WireLog(tmp_path / "wire.jsonl")
    monkeypatch.undo()
    tap = log.connection()
    for number in range(messages):
        tap.sent(f'{{"janus":"ping","transaction":"{number}"}}', number)
    log.close()
    log.close()


def test_every_process_has_a_log_of_its_own() -> None:
    assert of_process(Path("a/wire.jsonl"), "load") == Path("a/wire.jsonl")
    assert of_process(Path("a/wire.jsonl"), "load-17") == Path("a/wire-load-17.jsonl")
