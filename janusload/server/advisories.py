"""What is known about versions of Janus: stalls, deadlocks and crashes, who fixed them, and what provokes them.

From Janus's own change log and pull requests, and from what was seen on real servers. A version is given as Janus's
`info` has it (`version_string`, as in `1.1.2`). What is not known of a version is not listed; an empty list is no proof
of health.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

_PULLS = "https://github.com/meetecho/janus-gateway/pull/"
_ISSUES = "https://github.com/meetecho/janus-gateway/issues/"

Version = tuple[int, int, int]


class Effect(StrEnum):
    DEADLOCK = "deadlock"
    CRASH = "crash"
    STALL = "stall"


class Advisory(NamedTuple):
    """One defect.

    Attributes:
        effect: an `Effect`.
        where: `core`, or the plugin's short name.
        title: what happens, in one sentence.
        provoked_by: what clients or operators do that brings it about.
        pull: number of the pull request (or issue) that is about it; None where there is none.
        affected: (first, last) affected version, both included; None for an open end.
        fixed_in: the first version that is free of it; None if that is not known.
        seen: how it is known: `seen` on a real server, or `read` in the source and the change log.
        note: what else matters; may be empty.
    """

    effect: Effect
    where: str
    title: str
    provoked_by: str
    pull: int | None
    affected: tuple[Version | None, Version | None]
    fixed_in: str | None
    seen: str
    note: str = ""

    @property
    def url(self) -> str | None:
        """Where to read on."""
        if self.pull is None:
            return None
        return f"{_ISSUES if self.pull == _THE_ISSUE else _PULLS}{self.pull}"

    @property
    def sentence(self) -> str:
        """All of it in one or two sentences, for a report."""
        source = f" (PR {self.pull})" if self.pull is not None and self.pull != _THE_ISSUE else ""
        source = f" (issue {self.pull})" if self.pull == _THE_ISSUE else source
        fixed = f"fixed in {self.fixed_in}" if self.fixed_in else "no fixed version known"
        note = f" {self.note}" if self.note else ""
        return f"{self.where}: {self.title}{source}, {fixed}. Provoked by {self.provoked_by}.{note}"


_THE_ISSUE = 3358

_ALL: tuple[Advisory, ...] = (
    Advisory(
        Effect.DEADLOCK,
        "audiobridge",
        "the participant thread owns the decoding flag and wants the queue's lock, while a hangup owns the lock and"
        " waits for the flag; the next attach to the AudioBridge then blocks the core's request thread",
        "participants with Opus FEC (useinbandfec=1) that lose single packets of voiced audio and hang up while audio"
        " still flows",
        3387,
        ((1, 2, 0), (1, 2, 2)),
        "1.2.3",
        "seen",
        "Every API on every transport is dead afterwards and only kill -9 ends it; WebSocket pings are still answered.",
    ),
    Advisory(
        Effect.DEADLOCK,
        "audiobridge",
        "the same pair of locks as PR 3387, between the receiving thread of a plain-RTP participant and a detach",
        "plain-RTP participants (join with `rtp` and fec) with packet loss that come and go; WebRTC participants are"
        " decoded in the thread that also hangs up, and do not race",
        _THE_ISSUE,
        ((1, 1, 0), (1, 1, 4)),
        "1.2.3",
        "seen",
        "On 1.1.2 it came after 7-82 s of such churn in 6 of 6 runs; other 1.1 versions share the code.",
    ),
    Advisory(
        Effect.DEADLOCK,
        "audiobridge",
        "talk events lock the room while the decoding flag is held, and a hangup holds the room while it waits for that"
        " flag",
        "audiolevel_event=true and participants that hang up at the moment in which they begin or stop talking",
        3312,
        ((1, 2, 2), (1, 4, 1)),
        None,
        "read",
        "Commit 0f04abcb (1.2.3) narrowed a related part only. Not reproduced.",
    ),
    Advisory(
        Effect.STALL,
        "audiobridge",
        "recordings are opened, written and closed while locks are held, so a recordings disk that does not answer"
        " blocks the plugin, and with the next attach every API",
        "participants that hang up or begin to record while the disk of the recordings is frozen or very slow",
        None,
        (None, None),
        None,
        "seen",
        "The same picture as a deadlock, on every version tried (1.1.2, 1.4.1); threads in state D tell the two apart.",
    ),
    Advisory(
        Effect.STALL,
        "core",
        "recordings fill the page cache up to the control group's memory limit, and once dirty pages have to be written"
        " to a slow disk nothing is answered",
        "long recordings under a memory limit with a slow disk",
        _THE_ISSUE,
        (None, None),
        None,
        "seen",
        "Usage at the limit alone is harmless; dirty and writeback pages and threads in state D are the sign.",
    ),
    Advisory(
        Effect.CRASH,
        "audiobridge",
        "a configure that is blocked while it opens a recording goes on with a room that a hangup has taken away",
        "a hangup while configure(record) waits for the disk",
        None,
        ((1, 1, 2), (1, 1, 2)),
        None,
        "seen",
        "SIGSEGV in 2 of 2 tries on 1.1.2; later versions were not checked.",
    ),
    Advisory(
        Effect.CRASH,
        "audiobridge",
        "an Opus encoder or decoder is used by two threads at once",
        "participants that join and leave quickly while audio flows",
        3606,
        ((1, 2, 0), (1, 4, 1)),
        None,
        "seen",
        "Fixed after 1.4.1. Seen on 1.4.1 in one of four runs of 90 s: SIGSEGV of a mixer thread inside libopus.",
    ),
    Advisory(
        Effect.CRASH,
        "audiobridge",
        "changeroom races with other requests",
        "participants that change rooms under load",
        3356,
        (None, (1, 2, 2)),
        "1.2.3",
        "read",
    ),
    Advisory(
        Effect.CRASH,
        "audiobridge",
        "notifications race with participants that leave",
        "joining and leaving under load",
        3589,
        (None, (1, 3, 2)),
        "1.3.3",
        "read",
    ),
    Advisory(
        Effect.DEADLOCK,
        "core",
        "a handle's lock is not released on a malformed msid in an SDP that a plugin made",
        "plugin-made SDPs that fail to parse",
        3513,
        (None, (1, 3, 0)),
        "1.3.1",
        "read",
    ),
    Advisory(
        Effect.CRASH,
        "core",
        "the medium is looked up without care when RTCP is relayed",
        "RTCP during renegotiation",
        3515,
        (None, (1, 3, 0)),
        "1.3.1",
        "read",
    ),
    Advisory(
        Effect.STALL,
        "core",
        "one thread serves create, attach, detach, destroy, hangup, trickle, keepalive and the Admin API; what"
        " blocks there blocks every API (a plugin's attach, handle_info, a slow DNS name in resolve_address)",
        "attach to, or Admin API handle_info on, a plugin that is stuck",
        None,
        (None, None),
        None,
        "seen",
    ),
    Advisory(
        Effect.CRASH,
        "core",
        "out of file descriptors GLib aborts the process (`Creating pipes for GWakeup`)",
        "more participants than the open-files limit allows: about 3 descriptors each",
        None,
        (None, None),
        None,
        "seen",
        "1.3.0 and later can check the limit at their start (check_openfiles_limit).",
    ),
    Advisory(
        Effect.DEADLOCK,
        "videoroom",
        "streams and room are locked in different orders",
        "publishers and subscribers that come and go",
        3446,
        (None, (1, 2, 4)),
        "1.3.0",
        "read",
        "1.3.0 at the latest; see also PR 3474.",
    ),
    Advisory(
        Effect.DEADLOCK,
        "videoroom",
        "a lock stays held after a UDP socket error in rtp_forward",
        "rtp_forward when sockets run out",
        3468,
        (None, (1, 2, 4)),
        "1.3.0",
        "read",
        "See also PR 3469.",
    ),
    Advisory(
        Effect.DEADLOCK,
        "videoroom",
        "a participant's lock races with its departure",
        "publishers and subscribers that come and go",
        3361,
        (None, (1, 2, 2)),
        "1.2.3",
        "read",
        "See also PRs 3331, 3219, 3247 and 3167, fixed by 1.2.3 at the latest.",
    ),
    Advisory(
        Effect.CRASH,
        "streaming",
        "the list of viewers is changed while it is walked",
        "viewers that come and go",
        3250,
        (None, (1, 1, 4)),
        "1.2.0",
        "read",
    ),
    Advisory(
        Effect.CRASH,
        "streaming",
        "`disable` of an RTP mountpoint that is not being recorded ends the process (SIGSEGV)",
        "a single `disable` request that does not say `stop_recording: false`, which is not the default",
        None,
        ((1, 1, 2), (1, 4, 1)),
        None,
        "seen",
        "Seen with Debian's 1.1.2 and 1.4.1, each time.",
    ),
)


def known(version: str | None, *, plugins: frozenset[str] | None = None) -> list[Advisory]:
    """What is known about a version, what was seen on real servers first.

    Args:
        version: as in `1.1.2`; anything behind the third number is ignored. None or nonsense gives nothing.
        plugins: short names of the plugins that are loaded; None for all.
    """
    number = parse(version)
    if number is None:
        return []
    found = [each for each in _ALL if _affects(each, number)]
    if plugins is not None:
        found = [each for each in found if each.where == "core" or each.where in plugins]
    return sorted(found, key=lambda each: each.seen != "seen")


def parse(version: str | None) -> Version | None:
    """`1.1.2` or Janus's own number (`1102`) as three numbers; None if it is neither."""
    if version is None:
        return None
    match = re.match(r"\s*v?(\d{1,3})\.(\d{1,3})\.(\d{1,3})", version)
    if match:
        return int(match[1]), int(match[2]), int(match[3])
    if re.fullmatch(r"\d{4}", version.strip()):
        digits = int(version)
        return digits // 1000, digits // 100 % 10, digits % 100
    return None


def _affects(advisory: Advisory, version: Version) -> bool:
    first, last = advisory.affected
    return (first is None or first <= version) and (last is None or version <= last)
