"""Locust's web UI, guarded: whoever can send it a request can start load, and choose against whom.

Locust takes requests from every page that a browser has open, under any name. Here those of other pages are refused (by
`Origin` and `Sec-Fetch-Site`), and so are names that do not belong to this machine's loopback (DNS rebinding). Beyond
loopback it wants a login and TLS.
"""

from __future__ import annotations

import logging
import sys
from typing import Any
from urllib.parse import urlsplit

from flask import abort, request
from locust.env import Environment

from janusload import exit_codes
from janusload.addresses import is_loopback

log = logging.getLogger("locust.janusload")

_READS = ("GET", "HEAD", "OPTIONS")


def guard(environment: Environment, **_: Any) -> None:
    """A listener for Locust's `init`, which comes before the web server starts. Ends the process if it may not."""
    ui, options = environment.web_ui, environment.parsed_options
    if ui is None:
        return
    local = is_loopback(ui.host)
    if not local and not (options.web_login and options.tls_cert and options.tls_key):
        log.error(
            "the web UI would listen on %s, where others can start load from it: give it --web-login, --tls-cert and "
            "--tls-key, or leave it on 127.0.0.1 and reach it through a tunnel (ssh -L %d:127.0.0.1:%d HOST)",
            ui.host or "every interface",
            ui.port,
            ui.port,
        )
        sys.exit(exit_codes.USAGE)

    @ui.app.before_request  # type: ignore[untyped-decorator]  # locust ships no types
    def check() -> None:
        name = urlsplit(f"//{request.host}").hostname or ""
        if local and not is_loopback(name):
            abort(403, f"this is not {request.host}")
        if request.method in _READS:
            return
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            abort(403, "another page sent this")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            abort(403, "another page sent this")
