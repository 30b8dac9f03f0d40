"""A plugin handle: what every plugin has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import gevent.event

from janusload.errors import JanusError
from janusload.janus.protocol import Notification, plugin_data

if TYPE_CHECKING:
    from janusload.janus.session import Session


class Reply(NamedTuple):
    """A plugin's answer: its own data, and the jsep that came with it, if any."""

    data: dict[str, Any]
    jsep: dict[str, Any] | None


class Handle:
    """A handle attached to a plugin; the facades in `plugins/` derive from it.

    Attributes:
        package: the plugin's package name, as in `janus.plugin.audiobridge`.
        short: what stands for it in names of requests, as in `audiobridge`.
        id: the id that Janus gave it (`handle_id` in requests, `sender` in answers).
        webrtc_up: set when Janus says that ICE and DTLS are done.
        hung_up: why Janus tore the PeerConnection down; None while it has not.
        on_event: called with every notification for this handle. Must not block.
    """

    package: ClassVar[str]
    short: ClassVar[str]

    def __init__(self, session: Session, handle_id: int) -> None:
        self.session = session
        self.id = handle_id
        self.webrtc_up = gevent.event.Event()
        self.hung_up: str | None = None
        self.on_event: Callable[[Notification], None] | None = None
        self.ended: JanusError | None = None

    def message(
        self, body: dict[str, Any], *, name: str, jsep: dict[str, Any] | None = None, timeout_s: float | None = None
    ) -> Reply:
        """Send a plugin request and wait for what ends it: the success, or the event behind the ack.

        Args:
            name: the verb for records; the plugin's short name is put before it.

        Raises:
            PluginError: the plugin refused it.
            TransactionTimeout: with `acked` if the request was queued and its handler never came to it.
        """
        fields: dict[str, Any] = {"body": body} if jsep is None else {"body": body, "jsep": jsep}
        reply = self._request("message", name=f"{self.short}.{name}", timeout_s=timeout_s, **fields)
        jsep_back = reply.get("jsep")
        return Reply(plugin_data(reply) or {}, jsep_back if isinstance(jsep_back, dict) else None)

    def trickle(self, candidate: dict[str, Any] | list[dict[str, Any]] | None, timeout_s: float | None = None) -> None:
        """Send one ICE candidate, several, or (None) the end of candidates (RFC 8838)."""
        if isinstance(candidate, list):
            self._request("trickle", timeout_s=timeout_s, candidates=candidate)
        else:
            self._request("trickle", timeout_s=timeout_s, candidate=candidate or {"completed": True})

    def hangup(self, timeout_s: float | None = None) -> None:
        """Close the PeerConnection. Janus answers at once and tears it down afterwards: see the `hangup` event."""
        self._request("hangup", timeout_s=timeout_s)

    def detach(self, timeout_s: float | None = None) -> None:
        """Detach the handle."""
        self._request("detach", timeout_s=timeout_s)
        self.session.handles.pop(self.id, None)

    def take(self, notification: Notification) -> None:
        """Called by the session with every notification that names this handle."""
        if notification.kind == "webrtcup":
            self.webrtc_up.set()
            self.hung_up = None
        elif notification.kind == "hangup":
            self.webrtc_up.clear()
            self.hung_up = str(notification.message.get("reason", "no reason given"))
        if self.on_event is not None:
            self.on_event(notification)

    def lost(self, cause: JanusError) -> None:
        """The session is no more."""
        self.ended = cause

    def _request(self, verb: str, *, name: str = "", timeout_s: float | None = None, **fields: Any) -> dict[str, Any]:
        return self.session.connection.request(
            verb,
            name=name,
            plugin=self.short,
            timeout_s=timeout_s,
            fields={"session_id": self.session.id, "handle_id": self.id, **fields},
        )
