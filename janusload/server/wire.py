"""What an agent sends: looks at a server as JSON lines, and how they are read back without believing them blindly."""

from __future__ import annotations

import json
import re
from types import NoneType
from typing import Any, get_args, get_type_hints

from janusload.log_categories import LogCategory
from janusload.records import LogRecord, RecordingRecord, ServerRecord, StorageRecord, ThreadRecord
from janusload.server.log_lines import visible
from janusload.server.process import Observation
from janusload.server.threads import ThreadTable
from janusload.server.watch import Look

VERSION = 1

#: a line is never longer than this
LONGEST_BYTES = 1 << 20
_MOST_GROUPS = 2000
_MOST_NOTES = 50
_LOCK = re.compile(r"lock 0x[0-9a-f]{1,16} \S+")
_STATES = frozenset("RSDTtZXxKWPI")
_LARGEST = 1 << 60

_STATES_OF_RECORDINGS = frozenset(("whole", "no_packets", "unfinished", "damaged", "empty", "unreadable"))


def _types(record: type) -> dict[str, Any]:
    hints = get_type_hints(record).items()
    return {name: next((each for each in get_args(hint) if each is not NoneType), hint) for name, hint in hints}


_SERVER_TYPES = _types(ServerRecord)
_STORAGE_TYPES = _types(StorageRecord)
_RECORDING_TYPES = _types(RecordingRecord)


class Nonsense(ValueError):
    """The line makes no sense; its text says what is wrong with it."""


def encode(number: int, look: Look) -> str:
    """One line, without its end."""
    seen = look.seen
    message: dict[str, Any] = {"number": number, "log": {each.category: each.lines for each in look.log}}
    if seen is not None:
        message["server"] = _known(seen.server)
        if seen.threads is not None:
            message["threads"] = [list(each)[1:] for each in seen.threads.records()]
    if look.storage is not None:
        message["storage"] = _known(look.storage)
    if look.notes:
        message["notes"] = look.notes
    return json.dumps(message, separators=(",", ":"))


def encode_recording(record: RecordingRecord) -> str:
    """One line, without its end."""
    return json.dumps({"recording": _known(record)}, separators=(",", ":"))


def _known(record: Any) -> dict[str, Any]:
    return {key: value for key, value in record._asdict().items() if value is not None}


def decode(line: bytes, now_ns: int) -> Look:
    """Read a line; its moment becomes `now_ns`, for the clock over there is another one.

    Raises:
        Nonsense: it is not what an agent may send.
    """
    message = _message(line)
    server, storage = message.get("server"), message.get("storage")
    seen = None
    if server is not None:
        groups = _threads(message.get("threads"), now_ns)
        table = None if groups is None else ThreadTable(now_ns, [], False, groups)
        seen = Observation(_server(server, now_ns), table)
    stored = None
    if storage is not None:
        stored = StorageRecord(**{"files": 0, "file_bytes": 0, **_numbers(storage, _STORAGE_TYPES), "t_ns": now_ns})
    return Look(seen, _log(message.get("log"), now_ns), _notes(message.get("notes")), stored)


def decode_recording(line: bytes, now_ns: int) -> RecordingRecord | int:
    """Read a line about a recording; at the end: how many there are that were not looked at.

    Raises:
        Nonsense: it is not what an agent may send.
    """
    message = _message(line)
    if "left_out" in message:
        return int(_numbers(message, {"left_out": int})["left_out"])
    facts = message.get("recording")
    if not isinstance(facts, dict) or facts.get("state") not in _STATES_OF_RECORDINGS:
        raise Nonsense("`recording` is none")
    texts = {name: facts.get(name, "") for name, kind in _RECORDING_TYPES.items() if kind is str}
    if facts.get("format") not in ("mjr", "wav", "nfo") or not all(isinstance(text, str) for text in texts.values()):
        raise Nonsense("`recording` is of no kind")
    known: dict[str, Any] = {**dict.fromkeys(RecordingRecord._fields), "size_bytes": 0}
    numbers = _numbers({name: value for name, value in facts.items() if name not in texts}, _RECORDING_TYPES)
    return RecordingRecord(
        **{**known, **numbers, **{name: visible(text)[:300] for name, text in texts.items()}, "t_ns": now_ns}
    )


def _message(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise Nonsense("not JSON") from None
    if not isinstance(message, dict):
        raise Nonsense("not an object")
    return message


def _server(facts: Any, now_ns: int) -> ServerRecord:
    if not isinstance(facts, dict):
        raise Nonsense("`server` is no object")
    state = facts.get("state")
    if not isinstance(state, str) or (state and state not in _STATES):
        raise Nonsense("`state` is no state of a process")
    numbers = _numbers(facts, _SERVER_TYPES)
    if numbers.get("throttled_share", 0.0) > 1:
        raise Nonsense(f"`throttled_share` cannot be {numbers['throttled_share']:g}")
    return ServerRecord(**{**dict.fromkeys(ServerRecord._fields), **numbers, "t_ns": now_ns, "state": state})


def _numbers(facts: Any, types: dict[str, Any]) -> dict[str, Any]:
    """The numbers among `facts` that a record of these types has."""
    if not isinstance(facts, dict):
        raise Nonsense("a record is no object")
    found: dict[str, Any] = {}
    for name, value in facts.items():
        kind = types.get(name)
        if kind not in (int, float) or name == "t_ns":
            continue  # a text, or of a newer version
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise Nonsense(f"`{name}` is no number")
        if not 0 <= value < _LARGEST:
            raise Nonsense(f"`{name}` cannot be {'less than 0' if value < 0 else 'as large as that'}")
        found[name] = int(value) if kind is int else float(value)
    return found


def _threads(groups: Any, now_ns: int) -> list[ThreadRecord] | None:
    if groups is None:
        return None
    if not isinstance(groups, list) or len(groups) > _MOST_GROUPS:
        raise Nonsense("`threads` is no list of groups")
    found = []
    for group in groups:
        match group:
            case [str(kind), str(state), str(waits), int(count)] if state in _STATES and 0 < count < 1_000_000:
                waits = visible(waits)[:160]
                if waits.startswith("lock ") and _LOCK.fullmatch(waits) is None:
                    raise Nonsense("`threads` has a lock without address and module")
                found.append(ThreadRecord(now_ns, visible(kind)[:32], state, waits, count))
            case _:
                raise Nonsense("`threads` has a group that is none")
    return found


def _log(counts: Any, now_ns: int) -> list[LogRecord]:
    if not isinstance(counts, dict):
        raise Nonsense("`log` is no object")
    records = []
    for category, lines in counts.items():
        if isinstance(lines, bool) or not isinstance(lines, int) or not 0 <= lines < 1_000_000_000:
            raise Nonsense("`log` has a count that is none")
        known = category if category in set(LogCategory) else LogCategory.OTHER
        records.append(LogRecord(now_ns, known, lines))
    return records


def _notes(notes: Any) -> list[str]:
    if notes is None:
        return []
    if not isinstance(notes, list) or len(notes) > _MOST_NOTES or not all(isinstance(each, str) for each in notes):
        raise Nonsense("`notes` is no list of texts")
    return [visible(each)[:300] for each in notes]
