"""Every category of the log, in the words of real servers, with every kind of head."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusload.janus import redaction
from janusload.log_categories import CURVES, HARMLESS, LogCategory
from janusload.server.log_lines import classify, parse, visible, without_secrets

#: category or -, level or -, source or -, text; the words of 1.1.2 and 1.4.1, which share them
LINES = [row.split("\t") for row in (Path(__file__).parent / "log_lines.tsv").read_text().splitlines()]
COLOURS = {"FATAL": "35", "ERR": "31", "WARN": "33"}


@pytest.mark.parametrize(("category", "level", "source", "text"), LINES)
@pytest.mark.parametrize("stamp", ["", "[Sun Nov 22 10:30:24 2026] ", "[Sun Nov  2 10:30:24 2026] "])
@pytest.mark.parametrize("colours", [False, True])
def test_every_category_whatever_the_head(
    category: str, level: str, source: str, text: str, stamp: str, colours: bool
) -> None:
    mark = "" if level == "-" else f"[{level}] "
    if mark and colours:
        mark = f"\x1b[{COLOURS[level]}m[{level}]\x1b[0m "
    head = f"{stamp}{mark}" if source == "-" else f"{stamp}{mark}{source} "
    assert classify(head + text) == (None if category == "-" else category)


def test_every_category_of_the_table_is_tried() -> None:
    assert set(LogCategory) - {row[0] for row in LINES} == {LogCategory.GARBLED}


def test_the_parts_of_a_line() -> None:
    line = parse("[Sun Nov 22 10:30:24 2026] \x1b[31m[ERR]\x1b[0m [ice.c:janus_ice:41] [3333] Oops")
    assert line == ("ERR", "ice.c", "3333", "Oops")


def test_srtp_and_ice_have_curves_of_their_own_and_no_category_has_two() -> None:
    assert {"SRTP/SRTCP", "ICE"} < set(CURVES)
    counted = [category for categories in CURVES.values() for category in categories]
    assert len(counted) == len(set(counted)) and set(counted) | HARMLESS == set(LogCategory)


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b]0;title\x07text",
        "\x1b[2J\x1b[1;1Htext",
        "te\rxt",
        "\x9b31mtext",
        "text\u202e",
        "\x1bP1;2|x\x1b\\text",
        "\x00",
    ],
)
def test_hostile_lines_are_harmless_where_they_are_shown(hostile: str) -> None:
    shown = visible(hostile)
    assert "\x1b" not in shown and "\r" not in shown and "\x00" not in shown
    assert all(c.isprintable() or c == "\t" or c == "\ufffd" for c in shown), ascii(shown)


@pytest.mark.parametrize(
    "line",
    [
        "Created AudioBridge: 1234 (Sales, private, secret: s3cret x, pin: s3cret)",
        "  ::: [live][1] x (public, on demand, /tmp, pin: s3cret)",
        "Registering user sip:a@b (auth=a, secret s3cret) @ c",
        '   "apisecret": "s3cret",',
        '{"janus":"create","token" : "s3cret","transaction":"1"}',
        "[3333] ICE pwd (global):     s3cret",
        "  -- Password: s3cret",
        "a=ice-pwd:s3cret",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:s3cret",
        "admin_secret = s3cret",
        '"admin_key": "s3cret"',
        '"room_pin": "s3cret"',
        '"newpin":"s3cret"',
        '"audiocrypto": "s3cret"',
        '{"srtp_crypto": "s3cret", "key": "s3cret"}',
        '"allowed": ["s3cret", "s3cret"]',
        '"usernameFragment": "s3cret"',
        "Authorization: Bearer s3cret",
        "connecting to wss://user:s3cret@host/janus",
    ],
)
def test_secrets_of_a_verbose_log_are_not_kept(line: str) -> None:
    kept = without_secrets(line)
    assert "s3cret" not in kept and kept.endswith("***") and len(kept) > 10, kept


@pytest.mark.parametrize("name", ["Too many open files", "Got error 11 (x) trying to launch the mixer thread"])
def test_what_a_person_is_called_is_no_failure(name: str) -> None:
    assert classify(f"Thread is for participant 1 ({name})") == LogCategory.OTHER


@given(st.text(max_size=200))
def test_any_text_is_classified_and_shown(text: str) -> None:
    classify(text)
    assert "\x1b" not in visible(text)


def test_what_is_a_secret_in_a_message_is_one_in_the_log() -> None:
    names = {*redaction._NAMES, *redaction._PARTS, "admin_key", "room_pin", "new_pin"}
    kept = {name: without_secrets(f'"{name}": "s3cret"') for name in names}
    assert not [name for name, line in kept.items() if "s3cret" in line]
    # and no more than that
    for line in ("Keyframe: 12", "monkey: 3", "opinion: yes", "ws://127.0.0.1:8188/janus: up", "allowed to join"):
        assert without_secrets(line) == line
