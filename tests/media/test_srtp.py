from __future__ import annotations

import pylibsrtp
import pytest

from janusload.media import srtp


def test_the_handle_does_what_pylibsrtp_does() -> None:
    policy = pylibsrtp.Policy(key=bytes(30), ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    packet = bytes.fromhex("806f0001000000000000000a") + b"payload"
    buffer, length = srtp.ffi.new("char[]", 200), srtp.ffi.new("int *", len(packet))
    srtp.ffi.buffer(buffer)[: len(packet)] = packet
    session = pylibsrtp.Session(policy)
    assert srtp.lib.srtp_protect(srtp.pointer(session), buffer, length) == 0
    protected = bytes(srtp.ffi.buffer(buffer)[: length[0]])
    assert protected == pylibsrtp.Session(policy).protect(packet)


def test_another_pylibsrtp_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pylibsrtp, "lib")
    with pytest.raises(ImportError, match="is not as the media pump needs it"):
        srtp._handle()
