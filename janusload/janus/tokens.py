"""Signed tokens: what Janus accepts instead of a stored one where it has a `token_auth_secret`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterable

from janusload.errors import UsageError


def signed_token(secret: str, *, realm: str = "janus", descriptors: Iterable[str] = (), valid_s: float = 3600.0) -> str:
    """Make a signed token, for `Connection(token=...)`; secret and token belong into no log.

    Its form is `EXPIRY,REALM[,DESCRIPTOR...]:BASE64(HMAC-SHA1(secret, what stands before the colon))`
    (janus-gateway, auth.c).

    Args:
        secret: Janus's `token_auth_secret`.
        realm: `janus` for the API; a plugin's package where that checks tokens itself (VideoRoom's `signed_tokens`).
        descriptors: the packages of the plugins that may be attached to, for the core; `room=ID` for VideoRoom.
        valid_s: from now; the expiry is rounded down to whole seconds.

    Raises:
        UsageError: a realm or descriptor with a comma or a colon, which separate the parts.
    """
    parts = [str(int(time.time() + valid_s)), realm, *descriptors]
    if any("," in part or ":" in part for part in parts):
        raise UsageError("realm and descriptors of a signed token hold neither commas nor colons")
    signed = ",".join(parts)
    digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha1).digest()
    return f"{signed}:{base64.b64encode(digest).decode()}"
