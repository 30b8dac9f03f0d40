"""Signed tokens, checked with the arithmetic spelt out."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

import pytest

from janusload.errors import UsageError
from janusload.janus.tokens import signed_token


def test_form_and_signature() -> None:
    token = signed_token("hush", descriptors=["janus.plugin.echotest", "janus.plugin.sip"], valid_s=60)
    signed, _, signature = token.partition(":")
    expiry, *rest = signed.split(",")
    assert rest == ["janus", "janus.plugin.echotest", "janus.plugin.sip"]
    assert 55 < int(expiry) - time.time() <= 60
    assert base64.b64decode(signature) == hmac.new(b"hush", signed.encode(), hashlib.sha1).digest()


def test_another_realm() -> None:
    assert ",janus.plugin.videoroom,room=1:" in signed_token(
        "hush", realm="janus.plugin.videoroom", descriptors=["room=1"]
    )


@pytest.mark.parametrize("bad", ["a,b", "a:b"])
def test_parts_that_would_shift_the_others(bad: str) -> None:
    with pytest.raises(UsageError):
        signed_token("hush", descriptors=[bad])
