"""wss:// with an authority of one's own: verified by default, by name and by signature; one explicit way around it."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import gevent
import pytest

from janusload.errors import ConnectFailed, ConnectionLost
from janusload.janus import tls
from janusload.janus.connection import Connection
from janusload.janus.plugins.audiobridge import AudioBridge
from janusload.janus.protocol import Transaction
from janusload.records import Outcome
from tests.fake_janus import FakeJanus
from tests.janus.authority import Authority
from tests.janus.hostile import HostileServer, acceptance, read_request, upgraded
from tests.janus.wire import text


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_a_life_over_tls(authority: Authority) -> None:
    context = tls.context(ca=str(authority.certificate))
    with (
        FakeJanus(tls=authority.server_context("127.0.0.1")) as janus,
        Connection(janus.url, tls=context) as connection,
    ):
        assert janus.url.startswith("wss://")
        with connection.create() as session:
            assert session.attach(AudioBridge).join(1, display="ä" * 40_000).room == 1
            session.destroy()
        assert connection.ws_ping(2.0) > 0
        assert [r["janus"] for r in janus.requests] == ["create", "attach", "message", "destroy"]


def test_nobody_is_trusted_by_default(authority: Authority) -> None:
    with FakeJanus(tls=authority.server_context("127.0.0.1")) as janus, pytest.raises(ConnectFailed) as failed:
        Connection(janus.url).open()
    assert failed.value.phase == "tls" and "not trusted" in str(failed.value)


def test_another_name_is_not_trusted(authority: Authority) -> None:
    context = tls.context(ca=str(authority.certificate))
    with FakeJanus(tls=authority.server_context("janus.example")) as janus, pytest.raises(ConnectFailed) as failed:
        Connection(janus.url, tls=context).open()
    assert failed.value.phase == "tls" and "not trusted" in str(failed.value)


def test_insecure_is_an_explicit_word(authority: Authority) -> None:
    with (
        FakeJanus(tls=authority.server_context("janus.example")) as janus,
        Connection(janus.url, tls=tls.context(insecure=True)) as connection,
    ):
        assert connection.ping()["janus"] == "pong"


def test_no_tls_on_the_other_side() -> None:
    with FakeJanus() as janus, pytest.raises(ConnectFailed) as failed:
        Connection(janus.url.replace("ws://", "wss://"), connect_timeout_s=2).open()
    assert failed.value.phase == "tls"


def test_silence_during_the_handshake() -> None:
    def silent(client: socket.socket) -> None:
        client.recv(1)
        server.stop.wait(5)

    server = HostileServer(silent)
    with server, pytest.raises(ConnectFailed, match="no TLS handshake within") as failed:
        Connection(server.url.replace("ws://", "wss://"), connect_timeout_s=0.2).open()
    assert failed.value.phase == "tls"


def test_an_end_during_the_handshake() -> None:
    with HostileServer(lambda client: None) as server, pytest.raises(ConnectFailed) as failed:
        Connection(server.url.replace("ws://", "wss://")).open()
    assert failed.value.phase == "tls"


def test_frames_in_the_record_of_the_upgrade_and_an_orderly_end(authority: Authority) -> None:
    server_context = authority.server_context("127.0.0.1")
    notes: list[object] = []

    def eager(client: socket.socket) -> None:
        with server_context.wrap_socket(client, server_side=True) as secure:
            request = read_request(secure)
            secure.sendall(acceptance(request) + text("nonsense"))
            secure.recv(1000)
            secure.unwrap().close()

    with (
        HostileServer(eager) as server,
        Connection(
            server.url.replace("ws://", "wss://"),
            tls=tls.context(ca=str(authority.certificate)),
            on_fault=notes.append,
        ) as connection,
    ):
        assert len(notes) == 1
        with pytest.raises(ConnectionLost, match="without a closing handshake"):
            connection.ping()


def test_garbage_in_the_place_of_records_ends_the_connection(authority: Authority) -> None:
    server_context = authority.server_context("127.0.0.1")

    def garbled(client: socket.socket) -> None:
        secure = server_context.wrap_socket(client, server_side=True, suppress_ragged_eofs=True)
        upgraded(lambda _: secure.recv(1000))(secure)
        with socket.socket(fileno=secure.detach()) as raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            raw.recv(1000)

    with (
        HostileServer(garbled) as server,
        Connection(server.url.replace("ws://", "wss://"), tls=tls.context(ca=str(authority.certificate))) as connection,
        pytest.raises(ConnectionLost),
    ):
        connection.ping(timeout_s=5)


def test_what_waits_is_encrypted_in_order(authority: Authority) -> None:
    server_context = authority.server_context("127.0.0.1")
    received: list[int] = []
    go = threading.Event()

    def reads_later(client: socket.socket) -> None:
        def slowly(secure: socket.socket) -> None:
            go.wait(5)
            while data := secure.recv(65536):
                received.append(len(data))

        with server_context.wrap_socket(client, server_side=True) as secure:
            upgraded(slowly)(secure)

    server = HostileServer(reads_later, receive_bytes=4096)
    ended: list[Transaction] = []
    with server:
        with Connection(
            server.url.replace("ws://", "wss://"), tls=tls.context(ca=str(authority.certificate))
        ) as connection:
            big = {"body": "x" * 300_000}
            sent = [connection.submit("message", fields=big, timeout_s=9, on_done=ended.append)]
            while sent[-1].sent_ns is not None or len(sent) < 3:  # until the kernel takes no more
                sent.append(connection.submit("message", fields=big, timeout_s=9, on_done=ended.append))
            sent.append(connection.submit("message", fields=big, timeout_s=9, on_done=ended.append))
            go.set()
            with gevent.Timeout(9):
                while any(t.sent_ns is None for t in sent):
                    gevent.sleep(0.01)
            gevent.sleep(0.2)
        assert [t.outcome for t in ended] == [Outcome.CUT] * len(sent)
    assert sum(received) > len(sent) * 300_000


def test_the_default_context_is_made_once_and_verifies() -> None:
    assert tls.verifying() is tls.verifying()
    assert tls.verifying().verify_mode is ssl.CERT_REQUIRED and tls.verifying().check_hostname
