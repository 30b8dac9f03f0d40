"""libsrtp through pylibsrtp's own cffi handle, to work in place: pylibsrtp's `protect` copies every packet three times.

These names are private to pylibsrtp, so they are looked at here before anything depends on them. Its libsrtp is the
one that made the sessions; Debian's must never be mixed with them.
"""

from __future__ import annotations

from typing import Any

import pylibsrtp

_SIGNATURE = "srtp_err_status_t(*)(struct srtp_ctx_t_ *, void *, int *)"
_FUNCTIONS = ("srtp_protect", "srtp_unprotect", "srtp_protect_rtcp", "srtp_unprotect_rtcp")

#: srtp_err_status_replay_fail and srtp_err_status_replay_old
REPLAYED = (9, 10)


def _handle() -> tuple[Any, Any]:
    try:
        ffi, lib = pylibsrtp.ffi, pylibsrtp.lib
        for name in _FUNCTIONS:
            signature = ffi.typeof(getattr(lib, name)).cname
            if signature != _SIGNATURE:
                raise AttributeError(f"{name} is {signature}")
        if ffi.typeof(pylibsrtp.Session()._srtp).cname != "struct srtp_ctx_t_ * *":
            raise AttributeError("Session._srtp")
    except AttributeError as exc:
        raise ImportError(f"pylibsrtp {pylibsrtp.__version__} is not as the media pump needs it: {exc}") from exc
    return ffi, lib


ffi, lib = _handle()


def pointer(session: pylibsrtp.Session) -> Any:
    """libsrtp's own session, valid as long as `session` lives."""
    return session._srtp[0]
