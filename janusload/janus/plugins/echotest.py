"""The EchoTest: sends back what it receives. The cheapest way through core, ICE, DTLS and SRTP with no shared room."""

from __future__ import annotations

from typing import Any

from janusload.errors import ProtocolViolation
from janusload.janus.handle import Handle


class EchoTest(Handle):
    """Facade of `janus.plugin.echotest`; its messages carry no `request` field."""

    package = "janus.plugin.echotest"
    short = "echotest"

    def start(self, jsep: dict[str, Any], *, audio: bool = True, timeout_s: float | None = None) -> dict[str, Any]:
        """Send the offer; returns the jsep answer."""
        reply = self.message({"audio": audio, "video": False}, name="start", jsep=jsep, timeout_s=timeout_s)
        if reply.jsep is None:
            raise ProtocolViolation("echotest.start: the answer carries no jsep")
        return reply.jsep
