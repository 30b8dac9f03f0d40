"""A plugin handle: what every plugin has in common, and all that a plugin without a facade needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import gevent.event

from janusload.errors import ConnectionLost, JanusError
from janusload.janus.events import Hangup, Listeners, Notification, WebrtcUp
from janusload.janus.protocol import Transaction, plugin_data

if TYPE_CHECKING:
    from janusload.janus.session import Session


class Reply(NamedTuple):
    """A plugin's answer: its own data, and the jsep that came with it, if any."""

    data: dict[str, Any]
    jsep: dict[str, Any] | None


class Handle(Listeners):
    """A handle attached to a plugin; the facades in `plugins/` derive from it.

    For a plugin without a facade: `session.attach("janus.plugin.sip")`, and `message` with bodies of one's own.

    Attributes:
        package: the plugin's package name, as in `janus.plugin.audiobridge`.
        short: what stands for it in names of requests, as in `audiobridge`.
        id: the id that Janus gave it (`handle_id` in requests, `sender` in answers).
        webrtc_up: set when Janus says that ICE and DTLS are done.
        hung_up: why Janus tore the PeerConnection down; None while it has not.
        ended: why the handle is no more; None while it lives.
    """

    package: str = ""
    short: str = ""

    def __init__(self, session: Session, handle_id: int, package: str | None = None) -> None:
        super().__init__()
        if package is not None:
            self.package = package
            self.short = package.rpartition(".")[2]
        self.session = session
        self.id = handle_id
        self.webrtc_up = gevent.event.Event()
        self.hung_up: str | None = None
        self.ended: JanusError | None = None

    def message(
        self,
        body: dict[str, Any],
        *,
        name: str = "",
        jsep: dict[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> Reply:
        """Send a plugin request and wait for what ends it: the success, or the event behind the ack.

        Args:
            name: the verb for records; the plugin's short name is put before it. By default the body's `request`.

        Raises:
            PluginError: the plugin refused it.
            TransactionTimeout: with `acked` if the request was queued and its handler never came to it.
        """
        reply = self._request("message", name=self._name(body, name), timeout_s=timeout_s, **_parts(body, jsep))
        jsep_back = reply.get("jsep")
        return Reply(plugin_data(reply) or {}, jsep_back if isinstance(jsep_back, dict) else None)

    def submit(
        self,
        body: dict[str, Any],
        *,
        name: str = "",
        jsep: dict[str, Any] | None = None,
        timeout_s: float | None = None,
        due_ns: int | None = None,
        on_done: Callable[[Transaction], None] | None = None,
        on_late: Callable[[Transaction], None] | None = None,
    ) -> Transaction:
        """Send a plugin request and return at once, as `Connection.submit` does."""
        return self.session.connection.submit(
            "message",
            name=self._name(body, name),
            plugin=self.short,
            fields={"session_id": self.session.id, "handle_id": self.id, **_parts(body, jsep)},
            timeout_s=timeout_s,
            due_ns=due_ns,
            on_done=on_done,
            on_late=on_late,
        )

    def trickle(self, candidate: dict[str, Any] | list[dict[str, Any]] | None, timeout_s: float | None = None) -> None:
        """Send one ICE candidate, several, or (None) the end of candidates (RFC 8838).

        A candidate has `candidate`, `sdpMid` and `sdpMLineIndex`. Janus keeps those that come before the offer.
        """
        if isinstance(candidate, list):
            self._request("trickle", timeout_s=timeout_s, candidates=candidate)
        else:
            self._request("trickle", timeout_s=timeout_s, candidate=candidate or {"completed": True})

    def hangup(self, timeout_s: float | None = None) -> None:
        """Close the PeerConnection. Janus answers at once and tears it down afterwards: see the `hangup` event."""
        self._request("hangup", timeout_s=timeout_s)

    def detach(self, timeout_s: float | None = None) -> None:
        """Detach the handle. Raises CoreError 459 if it is gone already."""
        self._request("detach", timeout_s=timeout_s)
        # `detached` may have come before the answer; if it comes after it, nobody listens any more
        if self.session.handles.pop(self.id, None) is not None:
            self.lost(ConnectionLost("this side detached the handle"))

    def take(self, notification: Notification) -> None:
        """Called by the session with every notification that names this handle, before its listeners are."""
        if isinstance(notification, WebrtcUp):
            self.webrtc_up.set()
            self.hung_up = None
        elif isinstance(notification, Hangup):
            self.webrtc_up.clear()
            self.hung_up = notification.reason

    def lost(self, cause: JanusError | None) -> None:
        """The handle is no more; or it is again (None), because its session was claimed."""
        self.ended = cause

    def _name(self, body: dict[str, Any], name: str) -> str:
        return f"{self.short}.{name or body.get('request', 'message')}"

    def _request(self, verb: str, *, name: str = "", timeout_s: float | None = None, **fields: Any) -> dict[str, Any]:
        return self.session.connection.request(
            verb,
            name=name,
            plugin=self.short,
            timeout_s=timeout_s,
            fields={"session_id": self.session.id, "handle_id": self.id, **fields},
        )


def _parts(body: dict[str, Any], jsep: dict[str, Any] | None) -> dict[str, Any]:
    return {"body": body} if jsep is None else {"body": body, "jsep": jsep}
