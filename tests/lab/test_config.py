from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from janusload.lab.config import Settings, libconfig, render

SETTINGS = Settings(
    folder=Path("/tmp/lab/config"),
    libraries=Path("/usr/lib/janus"),
    recordings=Path("/tmp/lab/recordings"),
    address="198.18.4.2",
    admin_secret="adm",
    api_secret=None,
    rtp_ports=(23000, 23003),
    session_timeout_s=20,
    plugins_left_out=("libjanus_sip.so", "libjanus_lua.so"),
)


def test_values_are_written_as_libconfig_reads_them() -> None:
    text = libconfig({"general": {"yes": True, "no": False, "n": -3, "s": "a", "l": ["/etc", "/usr"], "g": {"k": 1}}})
    assert text == (
        'general: {\n\tyes = true\n\tno = false\n\tn = -3\n\ts = "a"\n\tl = ["/etc", "/usr"]\n'
        "\tg = {\n\t\tk = 1\n\t}\n}\n"
    )


def test_strings_cannot_leave_their_quotes() -> None:
    assert libconfig({"s": 'a"; admin_secret = "x\\'}) == 's: "a\\"; admin_secret = \\"x\\\\"\n'
    for text in ("a\nb", "a\x00", "\x1b[0m"):
        with pytest.raises(ValueError, match="not printable"):
            libconfig({"s": text})


def test_listens_on_the_lab_address_and_nowhere_else() -> None:
    files = render(SETTINGS)
    addresses = re.findall(r"(?:_ip|interface|ice_enforce_list) = \"(.*)\"", "".join(files.values()))
    assert addresses == ["198.18.4.2"] * 7
    for off in ("\twss = false", "admin_wss = false"):
        assert off in files["janus.transport.websockets.jcfg"]
    for off in ("\thttp = false", "https = false", "admin_https = false"):
        assert off in files["janus.transport.http.jcfg"]


def test_options_reach_the_files() -> None:
    janus = render(SETTINGS)["janus.jcfg"]
    assert 'rtp_port_range = "23000-23003"' in janus
    assert "session_timeout = 20" in janus
    assert 'disable = "libjanus_sip.so,libjanus_lua.so"' in janus
    assert "api_secret" not in janus
    others = render(replace(SETTINGS, janus={"general": {"session_timeout": 3, "token_auth": True}, "own": {"n": 1}}))
    assert "session_timeout = 3\n" in others["janus.jcfg"]
    assert "session_timeout = 20" not in others["janus.jcfg"]
    assert "token_auth = true" in others["janus.jcfg"]
    assert "own: {\n\tn = 1\n}" in others["janus.jcfg"]
    assert 'api_secret = "s3"' in render(replace(SETTINGS, api_secret="s3"))["janus.jcfg"]
