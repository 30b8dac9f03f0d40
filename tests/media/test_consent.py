"""Consent to send, held against aioice's own STUN."""

from __future__ import annotations

import os
import random

import pytest
from aioice import stun

from janusload.media.consent import Consent, Credentials

OURS, THEIRS = Credentials("near", "the near side's password"), Credentials("far", "the far side's password")
ADDRESSES = [("10.1.2.3", 40_001), ("fd00::17", 40_001)]


def near(controlling: bool = True, address: tuple[str, int] = ADDRESSES[0]) -> Consent:
    return Consent(
        local=OURS, remote=THEIRS, controlling=controlling, tie_breaker=7, priority=0x6E0001FF, address=address
    )


def message(kind: stun.Class, **attributes: object) -> stun.Message:
    return stun.Message(
        stun.Method.BINDING, kind, attributes={key.replace("_", "-"): attributes[key] for key in attributes}
    )


def request(password: str = OURS.password, **attributes: object) -> stun.Message:
    """As the far end asks."""
    asked = message(stun.Class.REQUEST, **{"USERNAME": "near:far", "PRIORITY": 1, "ICE_CONTROLLED": 9} | attributes)
    asked.add_message_integrity(password.encode())
    return asked


@pytest.mark.parametrize("controlling", [True, False])
def test_what_it_asks_is_what_aioice_would_take(controlling: bool) -> None:
    asked = stun.parse_message(near(controlling).ask())
    role = "ICE-CONTROLLING" if controlling else "ICE-CONTROLLED"
    signature, fingerprint = (asked.attributes.pop(name) for name in ("MESSAGE-INTEGRITY", "FINGERPRINT"))
    assert asked.attributes == {"USERNAME": "far:near", "PRIORITY": 0x6E0001FF, role: 7}
    assert (asked.message_method, asked.message_class) == (stun.Method.BINDING, stun.Class.REQUEST)
    asked.add_message_integrity(THEIRS.password.encode())
    assert (asked.attributes["MESSAGE-INTEGRITY"], asked.attributes["FINGERPRINT"]) == (signature, fingerprint)


@pytest.mark.parametrize("address", ADDRESSES)
def test_its_answer_is_aioices_byte_for_byte(address: tuple[str, int]) -> None:
    asked = request()
    answer = message(stun.Class.RESPONSE)
    answer.transaction_id = asked.transaction_id
    answer.attributes["XOR-MAPPED-ADDRESS"] = address
    answer.add_message_integrity(OURS.password.encode())
    assert near(address=address).take(bytes(asked)) == bytes(answer)


def test_no_two_requests_are_alike() -> None:
    ours = near()
    assert len({stun.parse_message(ours.ask()).transaction_id for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "asked",
    [
        request(password="guessed"),
        request(USERNAME="near:other"),
        request(USERNAME="other:far"),
        # who has our role wants to be told of the conflict (RFC 8445 section 7.3.1.1)
        request(ICE_CONTROLLING=9),
        message(stun.Class.REQUEST, USERNAME="near:far"),
        message(stun.Class.RESPONSE),
        message(stun.Class.ERROR, ERROR_CODE=(487, "Role Conflict")),
    ],
    ids=["forged", "from another", "to another", "our role", "unsigned", "to nobody", "error"],
)
def test_what_is_out_of_the_ordinary_is_left_to_aioice(asked: stun.Message) -> None:
    ours = near()
    ours.ask()
    assert ours.take(bytes(asked)) is None


def test_a_keepalive_wants_no_answer() -> None:
    assert near().take(bytes(message(stun.Class.INDICATION))) == b""


def test_garbage_and_what_was_changed_on_the_way_is_never_taken() -> None:
    ours, source = near(), random.Random(1)
    right = bytes(request())
    for at in range(len(right)):
        for bit in (1, 0x80):
            changed = right[:at] + bytes([right[at] ^ bit]) + right[at + 1 :]
            # a request and an indication differ by one bit, and an indication is nobody's business
            assert ours.take(changed) in (None, b""), at
            assert ours.take(changed) is None or changed[:2] == b"\x00\x11"
    for size in range(len(right)):
        assert ours.take(right[:size]) is None
        assert ours.take(right[:2] + max(0, size - 20).to_bytes(2, "big") + right[4:size]) is None
    for _ in range(2_000):
        noise = source.randbytes(source.randrange(120))
        assert ours.take(noise) is None
        head = b"\x00\x01" + len(noise).to_bytes(2, "big") + right[4:8] + os.urandom(12)
        assert ours.take(head + noise) is None


def answer(asked: bytes, password: str = THEIRS.password) -> bytes:
    """The far end's."""
    said = message(stun.Class.RESPONSE, XOR_MAPPED_ADDRESS=("10.1.2.4", 9))
    said.transaction_id = stun.parse_message(asked).transaction_id
    said.add_message_integrity(password.encode())
    return bytes(said)


def test_consent_lasts_as_long_as_the_far_end_answers() -> None:
    ours = near()
    for _ in range(10):
        assert 4.0 <= ours.pause_s() <= 6.0
        said = answer(ours.ask())
        assert ours.take(said) == b""
        assert ours.take(said) is None, "answered once"
    asked = [ours.ask() for _ in range(4)]
    assert not ours.over
    # one that was late, as this side was
    assert ours.take(answer(asked[1])) == b""
    assert ours.take(answer(asked[2])) is None
    asked = [ours.ask() for _ in range(5)]
    assert ours.take(answer(asked[4], "guessed")) is None
    assert ours.take(answer(asked[4])[:-1]) is None
    assert ours.over
