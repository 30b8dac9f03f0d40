"""Addresses: IPv6, a path, no proxy, and one deadline over all phases."""

from __future__ import annotations

import socket
import time

import gevent
import gevent.socket
import pytest

from janusload.errors import ConnectFailed, UsageError
from janusload.janus.connection import Connection
from tests.fake_janus import FakeJanus


def test_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        # a machine without IPv6: then at least the address is understood, and the error says so
        with pytest.raises(ConnectFailed, match=r"ws://\[::1\]:1: ") as failed:
            Connection("ws://[::1]:1").open()
        assert failed.value.phase in ("dns", "tcp")
        return
    with FakeJanus(host="::1") as janus, Connection(janus.url) as connection:
        assert "[::1]" in janus.url and connection.ping()["janus"] == "pong"


def test_a_path_and_a_query_go_to_the_server() -> None:
    with FakeJanus() as janus, Connection(janus.url + "/behind/a?proxy=1") as connection:
        connection.ping()
        assert janus.paths == ["/behind/a?proxy=1"]


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "ws_proxy", "all_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with FakeJanus() as janus, Connection(janus.url) as connection:
        connection.ping()


def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(ConnectFailed) as failed:
        Connection("ws://no-such-host.invalid:1", connect_timeout_s=10).open()
    assert failed.value.phase == "dns"
    with pytest.raises(ConnectFailed) as failed:
        Connection(f"ws://{'x' * 70}.invalid:1").open()
    assert failed.value.phase == "dns"


def test_names_that_are_resolved_too_slowly_meet_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gevent.socket, "getaddrinfo", lambda *_: gevent.sleep(10))
    began = time.monotonic()
    with pytest.raises(ConnectFailed, match=r"no name resolution within 0\.1 s") as failed:
        Connection("ws://janus.example", connect_timeout_s=0.1).open()
    assert failed.value.phase == "dns" and time.monotonic() - began < 5


def test_the_second_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeJanus() as janus:
        port = int(janus.url.rpartition(":")[2])
        infos = [(2, 1, 6, "", ("127.0.0.2", port)), (2, 1, 6, "", ("127.0.0.1", port))]
        monkeypatch.setattr(gevent.socket, "getaddrinfo", lambda *_: infos)
        with Connection(f"ws://janus.example:{port}") as connection:
            connection.ping()


def test_a_name_without_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gevent.socket, "getaddrinfo", lambda *_: [])
    with pytest.raises(ConnectFailed, match="no address"):
        Connection("ws://janus.example").open()


def test_every_address_of_a_name_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gevent.socket, "getaddrinfo", lambda *_: [(2, 1, 6, "", ("192.88.99.1", 1))])
    with pytest.raises(UsageError, match="--allow-public"):
        Connection("ws://janus.example").open()


def test_a_foreign_timeout_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gevent.socket, "getaddrinfo", lambda *_: gevent.sleep(10))
    with pytest.raises(gevent.Timeout) as foreign, gevent.Timeout(0.05) as timeout:
        Connection("ws://janus.example", connect_timeout_s=5).open()
    assert foreign.value is timeout


def test_passwords_do_not_belong_into_addresses() -> None:
    with pytest.raises(UsageError) as refused:
        Connection("ws://me:hush@127.0.0.1")
    assert "hush" not in str(refused.value)
