"""A small disk of its own for the lab's recordings: an ext4 file system in a file, mounted over a loop device.

So that a full, slow or frozen disk is nobody's but the lab's. It needs root; a user namespace may mount no ext4. A slow
one also takes control groups: `blkio` of version 1, or `io` of version 2.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from janusload.errors import LabError
from janusload.lab.commands import run, uninterrupted
from janusload.lab.limits import Limits, hierarchies

#: the file that holds the file system, beside the folder that it is mounted on
IMAGE = "recordings.img"

_SMALLEST_BYTES = 4 << 20
_THROTTLE = "blkio.throttle.write_bps_device"


class Disk:
    """A file system of a given size, mounted on a folder.

    Attributes:
        folder: where it is mounted.
    """

    def __init__(self, folder: Path, size_bytes: int) -> None:
        """Make it and mount it.

        Raises:
            LabError: too small, no right to mount, or no loop devices.
        """
        doing = "giving the recordings a disk of their own"
        if size_bytes < _SMALLEST_BYTES:
            raise LabError(f"{doing}: {size_bytes} bytes are too few for a file system, at least 4 MB")
        self.folder = folder
        self._io: Limits | None = None
        image = folder.parent / IMAGE
        with open(image, "wb") as file:
            file.truncate(size_bytes)
        run(["mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", str(image)], doing=doing, timeout_s=60.0)
        with uninterrupted():
            # `loop`: the device goes with the mount
            run(["mount", "-t", "ext4", "-o", "loop,nosuid,nodev", str(image), str(folder)], doing=doing)
        folder.chmod(0o700)
        with suppress(LabError):
            # the kernel keeps the throttle of a device that is gone (a lab that was killed) for the next of its number
            self.slow(None)

    @property
    def device_number(self) -> str:
        """As `7:0`, of the loop device."""
        number = os.stat(self.folder).st_dev
        return f"{os.major(number)}:{os.minor(number)}"

    def freeze(self) -> None:
        """Make every writer wait (fsfreeze(8)).

        Raises:
            LabError: it is refused.
        """
        run(["fsfreeze", "--freeze", str(self.folder)], doing="freezing the recordings' disk")

    def thaw(self) -> None:
        """Let writers go on.

        Raises:
            LabError: it is refused.
        """
        run(["fsfreeze", "--unfreeze", str(self.folder)], doing="thawing the recordings' disk")

    def slow(self, bytes_per_s: int | None) -> None:
        """Let it take so many bytes a second; None for as many as it can.

        Writers feel it once the page cache may not grow (a memory limit).

        Raises:
            LabError: it cannot be throttled here.
        """
        if bytes_per_s is not None and self._io is None and _version_1() is None:
            # as long as it is there, nobody takes the controller from the top
            self._io = Limits(io=True)
        for knob, words in _throttles():
            try:
                knob.write_text(f"{self.device_number} {words(bytes_per_s)}")
            except FileNotFoundError:
                continue  # the group has ended
            except OSError as error:
                raise LabError(f"the recordings' disk cannot be throttled: {knob}: {error.strerror}") from error

    def close(self) -> None:
        """Unmount it; may be called again."""
        if os.path.ismount(self.folder):
            with suppress(LabError):
                self.slow(None)
        unmount(self.folder)
        if self._io is not None:
            self._io.close()


def _throttles() -> list[tuple[Path, Callable[[int | None], str]]]:
    """Where a throttle is written, and how. It holds for everybody; on a loop device of ours that is nobody else.

    On version 1 it is the top's own: written-back pages are the kernel's threads' writes, and these belong to the top.
    On version 2 they belong to the group that made them, and the top has no limits: so each group right below has it.
    """
    knob = _version_1()
    if knob is not None:
        return [(knob, lambda speed: str(speed or 0))]
    found = hierarchies("io")
    if not found:
        raise LabError("the recordings' disk cannot be throttled: that needs control groups (blkio of v1, io of v2)")
    return [(group, lambda speed: f"wbps={speed or 'max'}") for group in sorted(found[0].mount.glob("*/io.max"))]


def _version_1() -> Path | None:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        knob = Path(left.split()[4]) / _THROTTLE
        if kind == "cgroup" and "blkio" in options.split(",") and knob.exists():
            return knob
    return None


def unmount(folder: Path) -> None:
    """Take the file system away from `folder` if there is one, frozen or in use though it may be."""
    if os.path.ismount(folder):
        with suppress(LabError):
            run(["fsfreeze", "--unfreeze", str(folder)], doing="thawing the recordings' disk")
        # lazily: a file may be open in a process that is about to go
        run(["umount", "--lazy", str(folder)], doing="unmounting the recordings' disk")
