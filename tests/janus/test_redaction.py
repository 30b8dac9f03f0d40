"""No secret survives, wherever it stands and however the text around it is broken."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from janusload.janus.redaction import BLOT, Redactor, is_secret

calm = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])

#: what may be a secret: anything that does not occur in the rest by chance
secrets = st.text(st.characters(exclude_categories=("Cs",)), min_size=8, max_size=24).map(lambda text: f"§{text}§")

NAMES = [
    "apisecret", "token", "secret", "admin_secret", "new_secret", "pin", "new_pin", "admin_key", "adminkey", "allowed",
    "password", "ha1_secret", "rtsp_pwd", "srtp_crypto", "usernameFragment", "ApiSecret", "room-pin", "credential",
]  # fmt: skip

harmless = st.text(st.characters(exclude_characters="§", exclude_categories=("Cs",)), max_size=12)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | harmless,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(harmless, inner, max_size=3),
    max_leaves=8,
)


def nested(value: Any, path: list[str | int]) -> Any:
    for step in reversed(path):
        value = {step: value} if isinstance(step, str) else [None] * step + [value]
    return value


@calm
@given(
    secrets,
    st.sampled_from(NAMES),
    st.lists(st.text("abc", min_size=1, max_size=3) | st.integers(0, 2), max_size=4),
    values,
    st.booleans(),
    st.sampled_from(["plain", "in a list", "in an object"]),
)
def test_no_secret_survives_in_what_parsed(
    secret: str, name: str, path: list[str | int], beside: Any, ascii_only: bool, form: str
) -> None:
    inner: Any = {"plain": secret, "in a list": [1, secret], "in an object": {"x": [secret]}}[form]
    message = {"janus": "message", "body": nested({name: inner, "beside": beside}, path), "echo": f"no such {secret}!"}
    redactor = Redactor()
    redactor.message({"first": nested({name: inner}, path)})
    written = json.dumps(redactor.message(message), ensure_ascii=ascii_only)
    for spelling in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        assert spelling not in written


@calm
@given(secrets, st.sampled_from(NAMES), values, st.integers(1, 400), st.booleans())
def test_no_secret_survives_in_what_did_not_parse(
    secret: str, name: str, beside: Any, cut: int, ascii_only: bool
) -> None:
    text = json.dumps({"a": beside, name: secret, "b": [beside]}, ensure_ascii=ascii_only)[:-1]
    broken = text[: max(cut % len(text), text.index(name) + 1)]
    written = Redactor().unparsed(broken)
    # not even the part of it that came before the cut
    assert "§" not in written and "\\u00a7" not in written


@calm
@given(secrets, st.text(max_size=50), st.text(max_size=50), st.integers(0, 50))
def test_secrets_that_are_known_are_blotted_out_of_any_text(secret: str, before: str, after: str, cut: int) -> None:
    assume(secret not in before + after)
    redactor = Redactor((secret, None))
    assert secret not in redactor.unparsed(before + secret + after)
    assert json.dumps(secret)[1:-1] not in redactor.unparsed(json.dumps(before + secret + after)[cut:])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a=ice-ufrag:abCD\r\na=ice-pwd:p4ssw0rd\r\na=mid:0", "a=ice-ufrag:***\r\na=ice-pwd:***\r\na=mid:0"),
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0 x", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 *** x"),
        ("candidate:1 1 udp 2 10.0.0.1 9 typ host ufrag abCD", "candidate:1 1 udp 2 10.0.0.1 9 typ host ufrag ***"),
        ("rtsp://me:hush@10.0.0.1/x", "rtsp://***@10.0.0.1/x"),
        ("No such room (1234)", "No such room (1234)"),
    ],
)
def test_sdp_candidates_and_addresses(text: str, left: str) -> None:
    assert Redactor().message({"sdp": text}) == {"sdp": left}


def test_facts_with_such_names_stay() -> None:
    info = {"api_secret": True, "auth_token": False, "pin": None, "token": "hush"}
    assert Redactor().message(info) == {"api_secret": True, "auth_token": False, "pin": None, "token": BLOT}


def test_sdp_in_text_that_did_not_parse() -> None:
    written = Redactor().unparsed('{"jsep": {"sdp": "v=0\\r\\na=ice-ufrag:abCD\\r\\na=ice-pwd:p4ssw0rd\\r\\na=mid:0')
    assert "abCD" not in written and "p4ssw0rd" not in written and "a=mid:0" in written


def test_short_values_do_not_blot_everything_and_memory_is_bounded() -> None:
    redactor = Redactor(("1", "from-the-start"))
    assert redactor.words("room 1") == "room 1"
    for number in range(1000):
        redactor.learn([f"secret-{number}", "2"])
    assert redactor.words("secret-999 from-the-start") == "*** ***"
    assert len(redactor._longest_first) < 300


@pytest.mark.parametrize("name", ["room", "janus", "transaction", "spinning", "keyframe", "display", "opaque_id"])
def test_names_that_hold_none(name: str) -> None:
    assert not is_secret(name)
