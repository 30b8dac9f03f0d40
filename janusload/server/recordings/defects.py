"""What can be wrong with a recording."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from janusload.errors import JanusloadError


class DefectKind(StrEnum):
    """Kinds of fault of a file itself; packets that never arrived are no fault of the file."""

    EMPTY = "empty"  # 0 bytes: what a full disk leaves behind, without a line in the log
    NO_PACKETS = "no_packets"  # opened and never written to
    TRUNCATED = "truncated"  # the end was never written
    HEADER = "header"  # the header is not what its format asks for
    DAMAGED = "damaged"  # bytes inside that are no frame
    NOT_RTP = "not_rtp"  # frames that hold no RTP packet
    SEQUENCE_JUMP = "sequence_jump"  # a sender that started over: what is missing there is not known
    NOT_FINISHED = "not_finished"  # the header's sizes were not brought up to date: still open, or Janus died
    GIVEN_UP = "given_up"  # too damaged to go on


class Defect(NamedTuple):
    """One fault: what kind, at which byte of the file (0: of the file as a whole), and in words."""

    kind: DefectKind
    offset: int
    words: str


class RecordingUnreadable(JanusloadError):
    """A file that cannot be read, or is no recording. Its text names the file and the reason."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")
