"""The Janus to be loaded: who it is, what is known against it, and whether one call goes through."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from typing import Any

from janusload.doctor.finding import Finding, Level, Plans
from janusload.errors import ConnectFailed, CoreError, JanusError, JanusloadError, MediaError, TransactionTimeout
from janusload.janus.admin_http import HttpAdmin
from janusload.janus.connection import Connection
from janusload.media.engine import Engine
from janusload.server import advisories

#: how long the call through EchoTest lasts
CALL_S = 1.5

_WITHIN_S = 5.0

#: phase that a connection did not get beyond -> what to do
_MEND = {
    "dns": "check the name, or give an address",
    "tcp": "is Janus up, does its WebSocket transport listen there (8188 as it comes), and is no firewall between?",
    "tls": "name the authority that signed its certificate (--ca FILE), or trust anybody (--insecure)",
    "ws_upgrade": "is that the WebSocket port of Janus (8188 as it comes), and not the HTTP one (8088)?",
}


class Patient:
    """A Janus to be examined.

    Args:
        api_secret, admin_secret: from the environment; they appear in no finding.
        admin_url: its Admin API over HTTP; None if that is not to be asked.
        tls: for `wss://` and `https://`; by default the system's authorities, and the name is verified.

    Raises UsageError for an address that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        api_secret: str | None = None,
        admin_url: str | None = None,
        admin_secret: str | None = None,
        allow_public: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._connection = Connection(
            url, timeout_s=_WITHIN_S, api_secret=api_secret, allow_public=allow_public, tls=tls
        )
        self._admin = (
            HttpAdmin(admin_url, admin_secret, timeout_s=_WITHIN_S, allow_public=allow_public, tls=tls)
            if admin_url is not None
            else None
        )
        self._allow_public = allow_public

    def examine(self, plans: Plans) -> Iterator[Finding]:
        """Every finding about it, as soon as it is known; nothing beyond the connection where that fails."""
        began = time.monotonic()
        connection = self._connection
        try:
            connection.open()
        except ConnectFailed as error:
            yield Finding(Level.FAIL, "connection", str(error), _MEND.get(error.phase, "mend that first"))
            return
        with connection:
            yield Finding(Level.OK, "connection", f"a WebSocket after {(time.monotonic() - began) * 1e3:.1f} ms")
            info = self._info(connection)
            if isinstance(info, Finding):
                yield info
                return
            yield from _facts(info, plans)
            yield _session(connection)
            yield self._sessions()
            if "janus.plugin.echotest" in _plugins(info):
                yield _call(connection, self._allow_public)
            else:
                yield Finding(Level.WARN, "call", "no EchoTest here to call", "load janus.plugin.echotest")

    def _info(self, connection: Connection) -> dict[str, Any] | Finding:
        began = time.monotonic()
        try:
            info = connection.info()
        except JanusError as error:
            return Finding(Level.FAIL, "info", str(error), "is that the Janus API, and is it well?")
        if info.get("janus") != "server_info":
            return Finding(Level.FAIL, "info", "it answers, but not as Janus does", "is that the Janus API's port?")
        return {**info, "_took_ms": (time.monotonic() - began) * 1e3}

    def _sessions(self) -> Finding:
        todo = "leaks are then only known from our own side; name it: --admin http://HOST:7088/admin"
        if self._admin is None:
            return Finding(Level.WARN, "admin API", "not named", f"{todo}, JANUS_ADMIN_SECRET in the environment")
        try:
            sessions = len(self._admin.list_sessions())
        except JanusError:
            return Finding(Level.WARN, "admin API", "no answer, or our secret is refused", todo)
        if sessions:
            return Finding(Level.WARN, "admin API", f"answers; {sessions} sessions are there already", "others use it")
        return Finding(Level.OK, "admin API", "answers; no session is there")


def _plugins(info: dict[str, Any]) -> dict[str, Any]:
    plugins = info.get("plugins")
    return plugins if isinstance(plugins, dict) else {}


def _facts(info: dict[str, Any], plans: Plans) -> Iterator[Finding]:
    version = str(info.get("version_string", "of unknown version"))
    there = frozenset(name.removeprefix("janus.plugin.") for name in _plugins(info))
    yield Finding(Level.OK, "Janus", f"{version}, answers `info` after {info['_took_ms']:.1f} ms")
    for advisory in advisories.known(version, plugins=there & plans.plugins if plans.plugins else there):
        fixed = f"fixed in {advisory.fixed_in}" if advisory.fixed_in else "not fixed yet"
        yield Finding(
            Level.WARN,
            f"known {advisory.effect}",
            f"{advisory.where}: {advisory.title} ({fixed})",
            f"beware of: {advisory.provoked_by}",
        )
    absent = sorted(plans.plugins - there)
    if absent:
        yield Finding(Level.FAIL, "plugins", f"lacks {', '.join(absent)}", "the scenario needs them: load them")
    elif plans.plugins:
        yield Finding(Level.OK, "plugins", f"has {', '.join(sorted(plans.plugins))}")
    if info.get("accepting-new-sessions") is False:
        yield Finding(Level.FAIL, "sessions", "it accepts no new ones", "admin API: accept_new_sessions")


def _session(connection: Connection) -> Finding:
    began = time.monotonic()
    try:
        session = connection.create()
        took_ms = (time.monotonic() - began) * 1e3
        session.destroy()
    except CoreError as error:
        todo = "set JANUS_API_SECRET in the environment" if error.code == 403 else "see its log"
        return Finding(Level.FAIL, "create", str(error), todo)
    except TransactionTimeout as error:
        return Finding(Level.FAIL, "create", f"before any load: {error}", "it is stuck already: restart it")
    except JanusError as error:
        return Finding(Level.FAIL, "create", str(error), "see its log")
    return Finding(Level.OK, "create", f"answered after {took_ms:.1f} ms")


def _call(connection: Connection, public: bool) -> Finding:
    """One real call: ICE, DTLS, SRTP, and our own audio back."""
    engine = Engine(workers=1, public_targets=public)
    try:
        engine.start()
        began = time.monotonic()
        with connection.create() as session, engine.peer("doctor", clip="tone:440") as peer:
            handle = session.attach("janus.plugin.echotest")
            reply = handle.message({"audio": True, "video": False}, name="start", jsep=peer.offer())
            peer.accept(reply.jsep or {})
            took_s = time.monotonic() - began
            peer.ended.wait(CALL_S)
            record = peer.record
            handle.detach()
    except MediaError as error:
        ours = error.phase == "worker"
        todo = "this machine is too busy" if ours else "UDP to the server's RTP ports must be open"
        return Finding(Level.FAIL, "call", f"{error} (at {error.phase})", todo)
    except JanusloadError as error:
        return Finding(Level.FAIL, "call", str(error), "see Janus's log")
    finally:
        engine.stop()
    if record is None or not record.received:
        return Finding(
            Level.FAIL, "call", "connected, but no audio came back", "UDP from the server to here must be open"
        )
    rtt = "" if record.rtt_ms is None else f", round trip {record.rtt_ms:.1f} ms"
    words = f"audio through EchoTest {took_s * 1e3:.0f} ms after it was asked for{rtt}"
    if record.lost:
        return Finding(
            Level.WARN, "call", f"{words}, {record.lost} packets lost", "the network loses packets at no load"
        )
    return Finding(Level.OK, "call", words)
