"""What lines of Janus's log are about: the words under which they are counted.

Apart from `server/log.py`, which finds them, because the analysis and the report group them and import nothing of the
server's room.
"""

from __future__ import annotations

from enum import StrEnum


class LogCategory(StrEnum):
    """Each line that is counted is of exactly one category; known harmless lines are of none."""

    SRTP_SUMMARY = "srtp_summary"  # how protect errors appear at usual levels, every 2 s for each PeerConnection
    SRTCP_PROTECT = "srtcp_protect"
    SRTP_PROTECT = "srtp_protect"
    SRTP_UNPROTECT = "srtp_unprotect"
    SRTP_MISSING = "srtp_missing"
    ICE_LOCAL = "ice_local"  # the client gets error 490
    ICE_GATHER = "ice_gather"
    ICE_IFACES = "ice_ifaces"
    ICE_FAILED = "ice_failed"
    ICE_FAILING = "ice_failing"
    DTLS_TIMEOUT = "dtls_timeout"
    DTLS_ERROR = "dtls_error"
    DTLS_ALERT = "dtls_alert"
    DTLS_OK = "dtls_ok"
    HANGUP = "hangup"
    PC_FREED = "pc_freed"
    HANGUP_REASON = "hangup_reason"
    SESSION = "session"
    SESSION_TIMEOUT = "session_timeout"
    STALE_REQUEST = "stale_request"
    LATE_PACKETS = "late_packets"  # an event loop was late by more than a second: the best sign of overload
    NO_MEDIA = "no_media"
    SEQ_JUMP = "seq_jump"
    LATE_SN = "late_sn"
    QUEUE_IN = "queue_in"
    THREAD_FAIL = "thread_fail"
    PC_STATE = "pc_state"
    EMFILE = "emfile"
    SOCKET_FAIL = "socket_fail"
    OPUS = "opus"
    REC_FAIL = "rec_fail"
    REC_DONE = "rec_done"
    WS_ERROR = "ws_error"
    WS_CLOSE = "ws_close"
    EVH = "evh"
    GLIB = "glib"  # GLib, libnice and glibc speak for themselves, on stderr
    PLUGIN_API = "plugin_api"  # errors of users, as in "No such room": no fault of the server
    OTHER_ERROR = "other_error"
    OTHER_WARNING = "other_warning"
    OTHER = "other"  # neither an error nor in the table
    GARBLED = "garbled"  # binary, or longer than a line may be


SRTP = frozenset(
    {
        LogCategory.SRTP_SUMMARY,
        LogCategory.SRTCP_PROTECT,
        LogCategory.SRTP_PROTECT,
        LogCategory.SRTP_UNPROTECT,
        LogCategory.SRTP_MISSING,
    }
)
ICE = frozenset(
    {
        LogCategory.ICE_LOCAL,
        LogCategory.ICE_GATHER,
        LogCategory.ICE_IFACES,
        LogCategory.ICE_FAILED,
        LogCategory.ICE_FAILING,
    }
)
DTLS = frozenset({LogCategory.DTLS_TIMEOUT, LogCategory.DTLS_ERROR})

#: part of a server's ordinary life
HARMLESS = frozenset(
    {
        LogCategory.DTLS_ALERT,
        LogCategory.DTLS_OK,
        LogCategory.HANGUP,
        LogCategory.PC_FREED,
        LogCategory.HANGUP_REASON,
        LogCategory.SESSION,
        LogCategory.REC_DONE,
        LogCategory.WS_CLOSE,
        LogCategory.PLUGIN_API,
        LogCategory.OTHER,
    }
)

#: what is drawn as a curve of its own, and which categories it adds up; the rest of what matters is "other"
CURVES: dict[str, frozenset[LogCategory]] = {
    "SRTP/SRTCP": SRTP,
    "ICE": ICE,
    "DTLS": DTLS,
    "other": frozenset(LogCategory) - SRTP - ICE - DTLS - HARMLESS,
}
