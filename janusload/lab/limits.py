"""How much CPU, memory and threads the lab's Janus may use: control groups, whichever version has the controller.

Hybrid machines mount version 2 without controllers beside version 1 with them, and in a container the group of
`/proc/self/cgroup` may not be visible. So nothing is deduced: from this process's own group upwards, the first place
where a group can be made and the limit really be written is taken.

On version 2, where no group passes the controller on and only the top could, it is switched on there
(`cgroup.subtree_control`). That stays: another lab may have come to rely on it meanwhile. A group of ours passes its
controllers on in turn, to one group inside it that the processes join. systemd takes from the top what none of its own
units needs any more, limits of ours with it, and the kernel refuses that while somebody below passes it on. And further
limits, as of a fault, find a place inside the first: a process can be in one group only, and would escape them.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from janusload.errors import LabError
from janusload.lab.commands import uninterrupted

_PERIOD_US = 100_000  # the kernel's own default
_SMALLEST_QUOTA_US = 1_000  # the kernel refuses less
_NAME = re.compile(r"janusload-(\d+)-[0-9a-f]+")
#: what processes join on version 2, inside the group with the limits
_INNER = "janus"
#: what a group of version 2 is to pass on besides what it needs itself, where that can be had
_PASSED_ON = ("cpu", "memory", "pids")
_REMOVE_WITHIN_S = 3.0


@dataclass(frozen=True)
class Hierarchy:
    """A mounted cgroup file system that holds a controller.

    Attributes:
        controller: `cpu`, `memory` or `pids`.
        version: 1 or 2.
        mount: where it is mounted.
        own: this process's group in it as a path below `mount`; `mount` itself where that cannot be seen.
    """

    controller: str
    version: int
    mount: Path
    own: Path


class Limits:
    """Control groups with a CPU quota, a memory limit, a limit of threads, or several; empty until a process joins.

    Attributes:
        cpu: the group with the quota; None without one.
        memory: the group with the memory limit; None without one. On version 2 the same as `cpu`.
        versions: controller -> 1 or 2.
    """

    def __init__(
        self,
        *,
        cpu_percent: float | None = None,
        memory_bytes: int | None = None,
        threads: int | None = None,
        io: bool = False,
        pid: int | None = None,
    ) -> None:
        """Make the groups, after sweeping away what killed labs have left.

        Args:
            cpu_percent: of one core, at least 1.
            memory_bytes: page cache included, as the kernel counts it; swap is shut off where the kernel can.
            threads: of all that join, together.
            io: whether the groups right below the top of version 2 are to have `io.max`; nothing is limited by that.
            pid: in whose groups these are made, so that the limits it has already go on to count; this process's if
                not given.

        Raises:
            LabError: a limit cannot be set on this machine.
        """
        self.cpu: Path | None = None
        self.memory: Path | None = None
        self.versions: dict[str, int] = {}
        self._name = f"janusload-{os.getpid()}-{secrets.token_hex(4)}"
        self._made: list[Path] = []
        self._groups: dict[str, Path] = {}
        self._process = Path("/proc/self" if pid is None else f"/proc/{pid}")
        self._taken: list[tuple[int, Path]] = []
        sweep()
        try:
            wanted: dict[str, dict[int, dict[str, str]]] = {}
            if cpu_percent is not None:
                wanted["cpu"] = cpu_knobs(cpu_percent)
            if memory_bytes is not None:
                wanted["memory"] = memory_knobs(memory_bytes)
            if threads is not None:
                wanted["pids"] = {1: {"pids.max": str(threads)}, 2: {"pids.max": str(threads)}}
            if io:
                wanted["io"] = {2: {}}
            groups = self._make(wanted)
        except BaseException:
            self.close()
            raise
        self._groups = {name: group / _INNER if self.versions[name] == 2 else group for name, group in groups.items()}
        self.cpu = groups.get("cpu")
        self.memory = groups.get("memory")

    @property
    def procs(self) -> list[Path]:
        """The files that a process writes its number to in order to join."""
        return [group / "cgroup.procs" for group in sorted(set(self._groups.values()))]

    def take(self, pid: int) -> None:
        """Move a running process in, all its threads with it, until `release`.

        Raises:
            LabError: it cannot be moved.
        """
        proc = Path(f"/proc/{pid}")
        for controller, group in self._groups.items():
            here = hierarchies(controller, process=proc)
            before = next(each.own for each in here if group.is_relative_to(each.mount))
            if before == group:
                continue
            try:
                with uninterrupted():
                    (group / "cgroup.procs").write_text(str(pid))
                    self._taken.append((pid, before))
            except OSError as error:
                raise LabError(f"Janus cannot be moved to {group}: {error.strerror}") from error

    def release(self) -> None:
        """Move what was taken back to where it was; may be called again."""
        with uninterrupted():
            while self._taken:
                pid, before = self._taken.pop()
                # It may have ended meanwhile.
                with suppress(OSError):
                    (before / "cgroup.procs").write_text(str(pid))

    @property
    def cpu_stat(self) -> Path | None:
        """The file with `nr_periods` and `nr_throttled`; None without a quota."""
        return None if self.cpu is None else self.cpu / "cpu.stat"

    def close(self) -> None:
        """Remove the groups; may be called again.

        Raises:
            LabError: somebody is still inside.
        """
        with uninterrupted():
            while self._made:
                _remove(self._made[-1])
                self._made.pop()

    def _make(self, wanted: dict[str, dict[int, dict[str, str]]]) -> dict[str, Path]:
        """Controller -> its group; controllers of one hierarchy share one, for a process can be in one only."""
        places: dict[Path, tuple[Hierarchy, dict[str, str]]] = {}
        controllers: dict[str, Path] = {}
        for controller, knobs in wanted.items():
            found = hierarchies(controller, process=self._process)
            if not found:
                raise LabError(f"{_refusal(controller)} (no control groups with the {controller} controller)")
            hierarchy = found[0]
            self.versions[controller] = hierarchy.version
            controllers[controller] = hierarchy.mount
            _, together = places.setdefault(hierarchy.mount, (hierarchy, {}))
            together.update(knobs[hierarchy.version])
        groups: dict[Path, Path] = {}
        for mount, (hierarchy, knobs_here) in places.items():
            here = [controller for controller in wanted if controllers[controller] == mount]
            groups[mount] = self._make_in(hierarchy, knobs_here, here)
        return {controller: groups[mount] for controller, mount in controllers.items()}

    def _make_in(self, hierarchy: Hierarchy, knobs: dict[str, str], controllers: list[str]) -> Path:
        reason = ""
        for passed_on in _offers(hierarchy, controllers):
            for parent in _upwards(hierarchy):
                group = parent / self._name
                try:
                    self._mkdir(group)
                    if hierarchy.version == 2 and parent == hierarchy.mount:
                        _pass_on(parent, passed_on)
                    _turn(group, knobs)
                    if hierarchy.version == 2:
                        _pass_on(group, passed_on)
                        self._mkdir(group / _INNER)
                except OSError as error:
                    reason = f"{error.filename or group}: {error.strerror}"
                    if group in self._made:
                        _remove(group)
                        self._made.remove(group)
                else:
                    return group
        raise LabError(f"{_refusal(*controllers)} ({reason})")

    def _mkdir(self, group: Path) -> None:
        with uninterrupted():
            group.mkdir()
            self._made.append(group)


def cpu_knobs(percent: float) -> dict[int, dict[str, str]]:
    """Version -> file -> value for a quota of `percent` of one core.

    Raises:
        LabError: less than the kernel takes.
    """
    quota_us = round(percent * _PERIOD_US / 100)
    if quota_us < _SMALLEST_QUOTA_US:
        raise LabError(f"a CPU quota of {percent:g} % is below the 1 % that the kernel takes")
    return {
        1: {"cpu.cfs_period_us": str(_PERIOD_US), "cpu.cfs_quota_us": str(quota_us)},
        2: {"cpu.max": f"{quota_us} {_PERIOD_US}"},
    }


def memory_knobs(limit_bytes: int) -> dict[int, dict[str, str]]:
    """Version -> file -> value for a memory limit; a `?` marks a file that not every kernel has."""
    limit = str(limit_bytes)
    return {
        1: {"memory.limit_in_bytes": limit, "memory.memsw.limit_in_bytes?": limit},
        2: {"memory.max": limit, "memory.swap.max?": "0"},
    }


def hierarchies(
    controller: str, proc: Path = Path("/proc/self"), process: Path = Path("/proc/self")
) -> list[Hierarchy]:
    """The mounted hierarchies that hold `controller`, version 1 first: where both are mounted, it is the one in use.

    Args:
        proc: whose mounts are meant; `process`: whose group `own` is.
    """
    own = _own_groups(((process if proc == Path("/proc/self") else proc) / "cgroup").read_text())
    found: list[Hierarchy] = []
    for line in (proc / "mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        root, mount = (Path(_unescaped(field)) for field in left.split()[3:5])
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup" and controller in options.split(","):
            version, path = 1, own.get(controller, "/")
        elif kind == "cgroup2" and controller in _words(mount / "cgroup.controllers"):
            version, path = 2, own.get("", "/")
        else:
            continue
        # The mount shows the tree from `root` downwards.
        below = os.path.relpath(path, root)
        group = mount if below.startswith("..") else mount / below
        found.append(Hierarchy(controller, version, mount, group if group.is_dir() else mount))
    return sorted(found, key=lambda hierarchy: hierarchy.version)


def sweep() -> list[Path]:
    """Remove the groups of labs whose owner is gone (kill -9); returns what was removed.

    Nothing is killed: a group with somebody inside refuses to go.
    """
    removed: list[Path] = []
    for mount in {hierarchy.mount for controller in ("cpu", "memory", "pids") for hierarchy in hierarchies(controller)}:
        # from the innermost outwards
        for folder, _, _ in os.walk(mount, topdown=False):
            owners = [match[1] for part in Path(folder).relative_to(mount).parts if (match := _NAME.fullmatch(part))]
            if owners and not os.path.exists(f"/proc/{owners[-1]}"):
                with suppress(OSError):
                    os.rmdir(folder)
                    removed.append(Path(folder))
    return removed


def _own_groups(text: str) -> dict[str, str]:
    """Controller -> path, of `/proc/self/cgroup`; version 2 under the empty name (cgroups(7))."""
    groups: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), path))
    return groups


def _upwards(hierarchy: Hierarchy) -> Iterator[Path]:
    yield hierarchy.own
    for parent in hierarchy.own.parents:
        if not parent.is_relative_to(hierarchy.mount):
            return
        yield parent


def _offers(hierarchy: Hierarchy, controllers: list[str]) -> list[list[str]]:
    """What a group with `controllers` passes on, the best first; version 1 does not know such a thing."""
    if hierarchy.version == 1:
        return [controllers]
    there = _words(hierarchy.mount / "cgroup.controllers")
    more = [name for name in _PASSED_ON if name in there and name not in controllers]
    return [[*controllers, *more], controllers] if more else [controllers]


def _pass_on(group: Path, controllers: list[str]) -> None:
    """Let the groups below have `controllers`; only the top of version 2 may do so with processes of its own."""
    switch = group / "cgroup.subtree_control"
    missing = [controller for controller in controllers if controller not in _words(switch)]
    if missing:
        switch.write_text(" ".join(f"+{controller}" for controller in missing))


def _refusal(*controllers: str) -> str:
    kinds = {"cpu": "CPU quota", "memory": "memory limit", "pids": "limit of threads", "io": "limit of a disk"}
    return f"no {' and no '.join(kinds[controller] for controller in controllers)} can be set here"


def _turn(group: Path, knobs: dict[str, str]) -> None:
    for name, value in knobs.items():
        knob = group / name.removesuffix("?")
        if name.endswith("?") and not knob.exists():
            continue
        # Not created: on version 2 a missing file means that the controller is not passed on to this group.
        with open(knob, "r+", encoding="ascii") as file:
            file.write(value)


def _remove(group: Path) -> None:
    deadline = time.monotonic() + _REMOVE_WITHIN_S
    while True:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            # The kernel lets go of an ended process a moment after its parent has seen it end.
            if time.monotonic() > deadline:
                raise LabError(f"the control group {group} cannot be removed: {error.strerror}") from error
            time.sleep(0.01)
        else:
            return


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _unescaped(field: str) -> str:
    """A field of mountinfo, where blanks are written in octal (proc(5))."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
