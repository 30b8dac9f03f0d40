"""The last transactions of the users that a stall hit, out of the records that lie in the run folder by then."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from janusload.analysis.streams import read_stream_file
from janusload.records import Outcome, RequestRecord, Source

#: a larger file takes too long to look through while the run goes on
_MOST_BYTES = 256 << 20
_WINDOW_NS = 20_000_000_000
_HIT_NS = 5_000_000_000
_MOST_USERS = 40
_EACH = 12
_COLUMNS = ("user", "source", "name", "due_ns", "sent_ns", "answered_ns", "outcome", "code")


def last_transactions(records: Path, since_ns: int) -> str:
    """A table of what they asked around `since_ns` and how it ended; what is pending is in no record yet."""
    rows: list[dict[str, Any]] = []
    notes = []
    for path in sorted(records.glob("request-*.arrows")):
        if path.stat().st_size > _MOST_BYTES:
            notes.append(f"# {path.name} is too large to look through now\n")
            continue
        batches, _ = read_stream_file(path, set(_COLUMNS), set(_COLUMNS) - set(RequestRecord._field_defaults))
        for batch in reversed(batches):
            found = batch.to_pylist()
            rows += [row for row in found if row["due_ns"] >= since_ns - _WINDOW_NS]
            if found and found[0]["due_ns"] < since_ns - _WINDOW_NS:
                break
    recent = [row for row in rows if row["due_ns"] >= since_ns - _HIT_NS]
    failed = [row for row in recent if row["outcome"] != Outcome.OK]
    hit = {row["user"] for row in failed}
    if not any(row["source"] == Source.USERS for row in failed):
        # no person's request has timed out yet: what they wait for comes after what was answered last
        hit |= {row["user"] for row in recent if row["source"] == Source.USERS}
    by_user: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["due_ns"]):
        if row["user"] in hit:
            by_user[row["user"]].append(row)
    lines = ["user\trequest\tdue_s\tsent_s\tanswered_s\toutcome\tcode\n", *notes]
    for user in sorted(by_user, key=lambda user: by_user[user][-1]["due_ns"])[-_MOST_USERS:]:
        for row in by_user[user][-_EACH:]:
            moments = [_after(row[key], since_ns) for key in ("due_ns", "sent_ns", "answered_ns")]
            lines.append("\t".join([user, row["name"], *moments, row["outcome"], str(row["code"] or "")]) + "\n")
    return "".join(lines)


def _after(moment_ns: int | None, since_ns: int) -> str:
    """Seconds since the first sign of the stall."""
    return "" if moment_ns is None else f"{(moment_ns - since_ns) / 1e9:+.3f}"
