"""The Admin/Monitor API (https://janus.conf.meetecho.com/docs/admin.html): its verbs, whatever carries them.

`admin_http.HttpAdmin` and `admin_ws.WsAdmin` carry them. The Admin API is no independent health check: Janus answers it
in the same thread and from the same queue as everything that is no plugin message, over either transport.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from janusload.errors import CoreError, PluginError, ProtocolViolation
from janusload.janus.error_codes import code_name

if TYPE_CHECKING:
    from janusload.janus.plugins.verb import Verb

P = ParamSpec("P")
R = TypeVar("R")

_REASON_KEPT = 500


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token that may be used with the Janus API, and for which plugins (package names)."""

    token: str
    plugins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """An event loop of Janus's, and how many handles run in it."""

    id: int
    handles: int


class AdminApi(ABC):
    """The verbs. Each raises CoreError if Janus refuses it (403: wrong admin secret), and what `request` raises.

    `timeout_s` is one deadline over all that a request takes; None for that of the transport.
    """

    @abstractmethod
    def request(self, verb: str, *, timeout_s: float | None = None, **fields: Any) -> dict[str, Any]:
        """Send any request, and return Janus's answer to it.

        Raises:
            CoreError: Janus refused it.
            TransactionTimeout: no answer in time.
            ConnectFailed, ConnectionLost: it could not be asked.
            ProtocolViolation: what came back is no answer of a Janus.
        """

    # -- what is there ----------------------------------------------------------------------------------------------

    def ping(self, *, timeout_s: float | None = None) -> None:
        """Have Janus's request thread answer; needs no secret."""
        self.request("ping", timeout_s=timeout_s)

    def info(self, *, timeout_s: float | None = None) -> dict[str, Any]:
        """Janus's `server_info`: version, plugins, timeouts; needs no secret."""
        return self.request("info", timeout_s=timeout_s)

    def get_status(self, *, timeout_s: float | None = None) -> dict[str, Any]:
        """The settings that can be changed while Janus runs, as `session_timeout` and `log_level`."""
        return _object(self.request("get_status", timeout_s=timeout_s), "status", "get_status")

    def list_sessions(self, *, timeout_s: float | None = None) -> tuple[int, ...]:
        """The ids of all sessions."""
        return _ids(self.request("list_sessions", timeout_s=timeout_s), "sessions", "list_sessions")

    def list_handles(self, session_id: int, *, timeout_s: float | None = None) -> tuple[int, ...]:
        """The ids of the handles of a session. CoreError 458 if it is gone."""
        return _ids(self.request("list_handles", timeout_s=timeout_s, session_id=session_id), "handles", "list_handles")

    def loops_info(self, *, timeout_s: float | None = None) -> tuple[Loop, ...]:
        """The event loops; none if Janus has one thread per handle (`event_loops = 0`)."""
        loops = self.request("loops_info", timeout_s=timeout_s).get("loops")
        if not isinstance(loops, list):
            raise _lacking("loops_info", "loops")
        return tuple(
            Loop(loop["id"], loop["handles"])
            for loop in loops
            if isinstance(loop, dict) and isinstance(loop.get("id"), int) and isinstance(loop.get("handles"), int)
        )

    def handle_info(
        self, session_id: int, handle_id: int, *, plugin_only: bool = False, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """All about a handle: flags, SDPs, ICE and DTLS states, counters, and what its plugin says of it.

        **Beware: this can turn the stall of one plugin into that of all of Janus.** It is answered in the only thread
        that answers requests, and asks the plugin, which waits for the plugin's locks; if those are stuck, then so is
        everything from now on, on every transport (janus-gateway 1.1.2 and 1.4.1). Never poll it, and never ask for a
        handle of a plugin that may be stuck. Nothing in this tool calls it by itself.
        """
        fields = {"plugin_only": True} if plugin_only else {}
        reply = self.request("handle_info", timeout_s=timeout_s, session_id=session_id, handle_id=handle_id, **fields)
        return _object(reply, "info", "handle_info")

    # -- plugins ----------------------------------------------------------------------------------------------------

    def message_plugin(self, verb: Verb[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Ask a plugin without a session, as in `admin.message_plugin(AudioBridge.exists, 1234)`.

        Only what a plugin answers at once can be asked: of the AudioBridge everything but join, configure, changeroom,
        leave and hangup. Waits for the plugin's locks, though not in the thread that answers other requests.

        Raises:
            PluginError: the plugin refused it.
        """
        parameters = verb.parameters(*args, **kwargs)
        answer = self.request(
            "message_plugin", timeout_s=parameters.timeout_s, plugin=verb.package, request=verb.body_of(parameters)
        )
        data = _object(answer, "response", "message_plugin")
        code = data.get("error_code")
        if isinstance(code, int):
            reason = str(data.get("error", ""))[:_REASON_KEPT]
            raise PluginError(f"admin.{verb.short}.{verb.name}", verb.short, code, reason, code_name(verb.short, code))
        return verb.read_data(data)

    # -- what can be changed ----------------------------------------------------------------------------------------

    def accept_new_sessions(self, accept: bool, *, timeout_s: float | None = None) -> None:
        """Refuse `create` with 472 from now on, or accept it again; sessions that there are live on."""
        self.request("accept_new_sessions", timeout_s=timeout_s, accept=accept)

    def set_session_timeout(
        self, seconds: int, *, session_id: int | None = None, timeout_s: float | None = None
    ) -> None:
        """After how much silence sessions are dropped, 0 for never: all that have no timeout of their own, or one."""
        fields = {} if session_id is None else {"session_id": session_id}
        self.request("set_session_timeout", timeout_s=timeout_s, timeout=seconds, **fields)

    def custom_logline(self, line: str, *, level: int = 4, timeout_s: float | None = None) -> None:
        """Write a line into Janus's log, as a marker; level 1 is FATAL, 2 ERR, 3 WARN, 4 INFO (the default setting)."""
        self.request("custom_logline", timeout_s=timeout_s, line=line, level=level)

    def destroy_session(self, session_id: int, *, timeout_s: float | None = None) -> None:
        """Destroy somebody's session."""
        self.request("destroy_session", timeout_s=timeout_s, session_id=session_id)

    def detach_handle(self, session_id: int, handle_id: int, *, timeout_s: float | None = None) -> None:
        """Detach somebody's handle."""
        self.request("detach_handle", timeout_s=timeout_s, session_id=session_id, handle_id=handle_id)

    def hangup_webrtc(self, session_id: int, handle_id: int, *, timeout_s: float | None = None) -> None:
        """Close somebody's PeerConnection."""
        self.request("hangup_webrtc", timeout_s=timeout_s, session_id=session_id, handle_id=handle_id)

    # -- stored tokens: CoreError 490 unless Janus runs with `token_auth` -------------------------------------------

    def list_tokens(self, *, timeout_s: float | None = None) -> tuple[StoredToken, ...]:
        """The tokens that may be used with the Janus API."""
        data = _object(self.request("list_tokens", timeout_s=timeout_s), "data", "list_tokens")
        tokens = data.get("tokens")
        if not isinstance(tokens, list):
            raise _lacking("list_tokens", "tokens")
        return tuple(
            StoredToken(token["token"], _texts(token.get("allowed_plugins")))
            for token in tokens
            if isinstance(token, dict) and isinstance(token.get("token"), str)
        )

    def add_token(
        self, token: str, plugins: list[str] | None = None, *, timeout_s: float | None = None
    ) -> tuple[str, ...]:
        """Let a token in, for some plugins (package names) or all; returns for which."""
        return self._token("add_token", token, plugins, timeout_s)

    def allow_token(self, token: str, plugins: list[str], *, timeout_s: float | None = None) -> tuple[str, ...]:
        """Let a token use further plugins; returns all that it may use."""
        return self._token("allow_token", token, plugins, timeout_s)

    def disallow_token(self, token: str, plugins: list[str], *, timeout_s: float | None = None) -> tuple[str, ...]:
        """Forbid a token some plugins; returns those that are left."""
        return self._token("disallow_token", token, plugins, timeout_s)

    def remove_token(self, token: str, *, timeout_s: float | None = None) -> None:
        """Let a token in no longer."""
        self.request("remove_token", timeout_s=timeout_s, token=token)

    def _token(self, verb: str, token: str, plugins: list[str] | None, timeout_s: float | None) -> tuple[str, ...]:
        fields = {} if plugins is None else {"plugins": plugins}
        reply = self.request(verb, timeout_s=timeout_s, token=token, **fields)
        return _texts(_object(reply, "data", verb).get("plugins"))


def answer_of(verb: str, message: object) -> dict[str, Any]:
    """The answer in a message that came over HTTP.

    Raises:
        CoreError: it is a refusal.
        ProtocolViolation: it is no answer of a Janus.
    """
    if not isinstance(message, dict) or not isinstance(message.get("janus"), str):
        raise ProtocolViolation(f"admin.{verb}: what came back is no answer of a Janus")
    if message["janus"] != "error":
        return message
    error = message.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    reason = str(error.get("reason", ""))[:_REASON_KEPT] if isinstance(error, dict) else "no reason given"
    number = code if isinstance(code, int) else -1
    raise CoreError(f"admin.{verb}", number, reason, code_name("", number))


def _object(reply: dict[str, Any], key: str, verb: str) -> dict[str, Any]:
    value = reply.get(key)
    if not isinstance(value, dict):
        raise _lacking(verb, key)
    return value


def _ids(reply: dict[str, Any], key: str, verb: str) -> tuple[int, ...]:
    value = reply.get(key)
    if not isinstance(value, list) or not all(isinstance(each, int) for each in value):
        raise _lacking(verb, key)
    return tuple(value)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _lacking(verb: str, key: str) -> ProtocolViolation:
    return ProtocolViolation(f"admin.{verb}: the answer lacks {key!r}")
