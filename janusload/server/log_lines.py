"""One line of Janus's log: its head taken off, and what it is about.

A line is `[timestamp] [LEVEL] [file.c:function:line] [handle] text`; each part in brackets may be missing, and colours
may be around any. Only FATAL, ERR and WARN carry a level. Line numbers differ between versions, so lines are told by
their text; the table holds for 1.1.2 to 1.4.1. GLib and libnice write in a format of their own.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from janusload.log_categories import LogCategory as Category

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
#: escape sequences of any kind: CSI, OSC up to its end, and two-character ones
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")

_HEAD = re.compile(
    r"(?:\[(?P<time>\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})\] )?"
    r"(?:\[(?P<level>FATAL|ERR|WARN)\] )?"
    r"(?:\[(?P<file>[\w./-]+\.c):(?P<function>\w+):\d+\] )?"
    r"(?:\[(?P<handle>\d{4,20})\] ?)?"
)

#: `secret: x, pin: y` of a room that is created, fields of messages and SDPs that verbose logs hold; where such a value
#: ends nobody knows, so nothing is left of what follows
_SECRET = re.compile(
    r"((?:secret|token|passw(?:or)?d|pwd|ufrag|usernamefragment|credential|crypto|authorization|inline"
    r"|\b(?:new_?|room_?)?pin|\bpass|\bha1|\badmin_?key|[\"']key|[\"']auth|[\"']allowed)s?\b[\"']?"
    r"(?: \([^)]*\))?\s*[:=]\s*|, secret |://[^/@\s\"]*:(?=[^/@\s\"]+@))(?!\s).+",
    re.IGNORECASE,
)

#: told by their words alone, they decide what a failure is called: Janus says such things with a level, or GLib does
_WITH_A_LEVEL = frozenset({Category.EMFILE, Category.THREAD_FAIL})

#: lines that look like faults and are none
_NOISE = re.compile(
    r"Hashing algorithm not the one we expected|has been disabled, skipping|"
    r"Invalid audio_(?:active_packets|level_average) value provided, using default|mDNS resolution disabled|"
    r"g_hash_table_destroy: assertion|nice_debug option is NOT SUPPORTED ANYMORE"
)

#: (a literal that the line must contain, what else must be found or None, category), first match first
_ROWS: dict[Category, list[tuple[str, str | None]]] = {
    Category.EMFILE: [
        ("Too many open files", None),
        ("Creating pipes for GWakeup", None),
        ("Maximum number of open file descriptors check failed", None),
    ],
    Category.SRTP_SUMMARY: [("SRTP/SRTCP errors in the last", r"Got \d+ SRTP/SRTCP errors in the last")],
    Category.SRTCP_PROTECT: [("SRTCP protect error", None)],
    Category.SRTP_PROTECT: [("SRTP protect error", None)],
    Category.SRTP_UNPROTECT: [("P unprotect error", r"SRTC?P unprotect error")],
    Category.SRTP_MISSING: [("alid SRTP session", r"Missing valid SRTP session|component has no valid SRTP session")],
    Category.ICE_LOCAL: [("Error setting ICE locally", None)],
    Category.ICE_GATHER: [
        ("Error gathering candidates", None),
        ("No candidates not gathered yet for stream", None),
    ],
    Category.ICE_IFACES: [("Error getting list of interfaces", None)],
    Category.ICE_FAILING: [
        ("ICE failed for component", r"but (?:let's give it some time|we're still waiting)"),
    ],
    Category.ICE_FAILED: [("ICE failed for component", r"in stream \d+")],
    Category.DTLS_TIMEOUT: [
        ("DTLS taking too much time for component", None),
        ("DTLSv1_handle_timeout failed", None),
    ],
    Category.DTLS_ERROR: [
        ("Handshake error", None),
        ("Fingerprint is NOT a match", None),
        ("No remote certificate", None),
        ("Error creating DTLS", None),
        ("bound SRTP session", r"error creating (?:in|out)bound SRTP session"),
    ],
    Category.DTLS_ALERT: [("DTLS alert triggered on stream", None)],
    Category.DTLS_OK: [("The DTLS handshake has been completed", None)],
    Category.HANGUP: [("No WebRTC media anymore", None)],
    Category.PC_FREED: [("esources freed;", r"WebRTC resources freed;|Handle and related resources freed;")],
    Category.HANGUP_REASON: [("Hanging up PeerConnection because of a", None)],
    Category.SESSION: [
        ("Creating new session:", None),
        ("Creating new handle in session", None),
        ("Destroying session", None),
    ],
    Category.SESSION_TIMEOUT: [("Timeout expired for session", None)],
    Category.STALE_REQUEST: [("Couldn't find any", r"Couldn't find any (?:session|handle)")],
    Category.LATE_PACKETS: [("Discarding too old outgoing packet", None)],
    Category.NO_MEDIA: [("Didn't receive", r"Didn't receive (?:audio|video).* for more than")],
    Category.SEQ_JUMP: [("Big sequence number jump", None)],
    Category.LATE_SN: [("IN LATE SN", None)],
    Category.QUEUE_IN: [("queue-in contains too many packets", None)],
    Category.THREAD_FAIL: [
        ("trying to launch", r"Got error \d+ .*trying to launch .*thread"),
        ("trying to push task in thread pool", None),
        ("launch a new event loop thread", None),
        ("creating thread", r"[Ee]rror creating thread"),
    ],
    Category.PC_STATE: [("still cleaning a previous session", None)],
    Category.SOCKET_FAIL: [("Could not open UDP socket", None), ("Error creating socket", None)],
    Category.OPUS: [
        ("Opus", r"Error creating Opus (?:en|de)coder"),
        ("got an error", r"Ops! got an error (?:en|de)coding"),
    ],
    Category.REC_FAIL: [
        ("audio recording file", r"Couldn't open an audio recording file"),
        ("could NOT open file", None),
        (".mjr file", r"Couldn't write .* in \.mjr file"),
        ("Error saving frame", None),
        ("fopen error:", None),
        ("Error renaming", None),
        ("is in protected folder", None),
        ("mkdir", r"mkdir .*error"),
    ],
    Category.REC_DONE: [
        ("File is ", r"File is \d+ bytes:"),
        ("Closed user's audio recording", None),
        ("Recording renamed:", None),
    ],
    Category.WS_ERROR: [
        ("Websockets choked with", None),
        ("Websocket sent only", None),
        ("Invalid WebSocket client instance", None),
        ("is unauthorized to connect", None),
    ],
    Category.WS_CLOSE: [("Destroying WebSocket client", None)],
    Category.EVH: [("Error connecting to backend", None)],
    Category.GLIB: [("-ERROR **", None), ("-CRITICAL **", None), ("-WARNING **", None)],
}

_TABLE = tuple(
    (literal, None if pattern is None else re.compile(pattern), category)
    for category, rows in _ROWS.items()
    for literal, pattern in rows
)

_BY_LEVEL = {"FATAL": Category.OTHER_ERROR, "ERR": Category.OTHER_ERROR, "WARN": Category.OTHER_WARNING}


class LogLine(NamedTuple):
    """A line taken apart; what it does not have is empty."""

    level: str
    file: str
    handle: str
    text: str


def parse(line: str) -> LogLine:
    """Take the head off, colours first."""
    if "\x1b" in line:
        line = _COLOUR.sub("", line)
    head = _HEAD.match(line)
    assert head is not None  # every part may be missing
    return LogLine(head["level"] or "", head["file"] or "", head["handle"] or "", line[head.end() :])


def classify(line: str) -> Category | None:
    """What a line is about; None for an empty one and for one that is known to be harmless."""
    found = parse(line)
    text = found.text
    if not text.strip() or _NOISE.search(text):
        return None
    for literal, pattern, category in _TABLE:
        if literal in text and (pattern is None or pattern.search(text)):
            if category in _WITH_A_LEVEL and not found.level and "GLib-" not in text:
                continue  # the name of a room or of a person
            return category
    if found.level in ("ERR", "FATAL") and found.file.startswith("plugins/"):
        return Category.PLUGIN_API
    return _BY_LEVEL.get(found.level, Category.OTHER)


def visible(line: str) -> str:
    """A line that can be shown: no escape sequence and no character that moves the cursor or turns the text around."""
    if line.isascii() and line.isprintable():
        return line
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn") and c != "\t" else c
        for c in _ESCAPE.sub("", line)
    )


def without_secrets(line: str) -> str:
    """A line without what is given as a secret, pin, token, password or key in it."""
    return _SECRET.sub(r"\1***", line)
