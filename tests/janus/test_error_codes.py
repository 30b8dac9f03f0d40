from __future__ import annotations

import pytest

from janusload.janus.error_codes import code_name


@pytest.mark.parametrize(
    ("plugin", "code", "name"),
    [
        ("", 403, "UNAUTHORIZED"),
        ("", 458, "SESSION_NOT_FOUND"),
        ("", 472, "NOT_ACCEPTING_SESSIONS"),
        ("", 490, "UNKNOWN"),
        ("", 451, ""),
        ("audiobridge", 485, "NO_SUCH_ROOM"),
        ("audiobridge", 490, "ID_EXISTS"),
        ("audiobridge", 494, "NO_SUCH_GROUP"),
        ("recordplay", 420, "RECORDING_EXISTS"),
        ("recordplay", 440, "UNAUTHORIZED"),
        ("videoroom", 438, "INVALID_FEED"),
        ("echotest", 414, "INVALID_SDP"),
        ("streaming", 470, "UNKNOWN_ERROR"),
        ("textroom", 423, "NO_SUCH_USER"),
        ("videocall", 483, "INVALID_SDP"),
        ("sip", 455, "NO_SUCH_STREAM"),
        ("nosip", 451, "NO_SUCH_STREAM"),
        ("nosip", 1, ""),
        ("somebody's own", 485, ""),
    ],
)
def test_codes_mean_something_only_with_who_said_them(plugin: str, code: int, name: str) -> None:
    assert code_name(plugin, code) == name
