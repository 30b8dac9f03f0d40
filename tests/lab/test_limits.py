from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
from pathlib import Path

import pytest

from janusload.errors import LabError
from janusload.lab import Lab, LabOptions, limits
from janusload.lab.limits import Limits, cpu_knobs, hierarchies, memory_knobs, sweep

HYBRID = """\
25 20 0:21 / {root}/cpu rw - cgroup cgroup rw,cpu,cpuacct
26 20 0:22 /outer {root}/memory rw,relatime shared:9 - cgroup cgroup rw,memory
27 20 0:23 / {root}/uni\\040fied rw - cgroup2 cgroup2 rw
28 20 8:1 / / rw - ext4 /dev/vda rw
"""


def machine(root: Path, mounts: str, own: str) -> Path:
    """A /proc/self of a machine with these mounts, whose processes are in the groups `own`."""
    proc = root / "proc"
    proc.mkdir()
    (proc / "mountinfo").write_text(mounts.replace("{root}", str(root)))
    (proc / "cgroup").write_text(own)
    return proc


def test_quota_is_a_share_of_one_core() -> None:
    assert cpu_knobs(20)[1] == {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "20000"}
    assert cpu_knobs(150.5)[2] == {"cpu.max": "150500 100000"}
    with pytest.raises(LabError, match="below the 1 %"):
        cpu_knobs(0.5)


def test_memory_limit_shuts_off_swap_where_there_is_the_knob() -> None:
    assert memory_knobs(64)[1] == {"memory.limit_in_bytes": "64", "memory.memsw.limit_in_bytes?": "64"}
    assert memory_knobs(64)[2] == {"memory.max": "64", "memory.swap.max?": "0"}


def test_hybrid_machine_has_its_controllers_in_version_1(tmp_path: Path) -> None:
    for folder in ("cpu/a", "memory/inner", "uni fied"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "uni fied/cgroup.controllers").write_text("\n")
    proc = machine(tmp_path, HYBRID, "2:memory:/outer/inner\n1:cpu,cpuacct:/a\n0::/x\n")
    (cpu,) = hierarchies("cpu", proc)
    (memory,) = hierarchies("memory", proc)
    assert (cpu.version, cpu.mount, cpu.own) == (1, tmp_path / "cpu", tmp_path / "cpu/a")
    # the mount shows the tree from /outer downwards
    assert memory.own == tmp_path / "memory/inner"


def test_own_group_that_cannot_be_seen_is_replaced_by_the_mount(tmp_path: Path) -> None:
    for folder in ("cpu", "memory", "uni fied"):
        (tmp_path / folder).mkdir()
    (tmp_path / "uni fied/cgroup.controllers").write_text("cpuset cpu memory pids\n")
    proc = machine(tmp_path, HYBRID, "2:memory:/elsewhere\n1:cpu,cpuacct:/docker/1\n0::/../../system.slice\n")
    assert [(found.version, found.own.name) for found in hierarchies("cpu", proc)] == [(1, "cpu"), (2, "uni fied")]
    assert hierarchies("memory", proc)[0].own == tmp_path / "memory"


class Version2:
    """A version 2 tree as plain files, so that no kernel interferes: what a group may have, the one above passes on.

    Attributes:
        own: the group of this process, below `app`, which passes cpu and memory on.
        janus: that of process 4711.
    """

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.top = top
        self.own = top / "app" / "unit"
        self.janus = self.own
        self._real_mkdir = Path.mkdir
        for group, passed_on in ((top, "cpu memory pids"), (top / "app", "cpu memory"), (self.own, "")):
            self._real_mkdir(group)
            (group / "cgroup.controllers").write_text("cpu memory pids" if group == top else "cpu memory")
            (group / "cgroup.subtree_control").write_text(passed_on)
        monkeypatch.setattr(limits, "hierarchies", self.hierarchies)
        monkeypatch.setattr(limits, "_remove", self.remove)
        monkeypatch.setattr(limits, "_pass_on", self.pass_on)
        monkeypatch.setattr(Path, "mkdir", lambda group: self.mkdir(group))

    def hierarchies(self, controller: str, process: Path = Path("/proc/self")) -> list[limits.Hierarchy]:
        groups = {Path("/proc/self"): self.own, Path("/proc/4711"): self.janus}
        return [limits.Hierarchy(controller, 2, self.top, groups[process])]

    def mkdir(self, group: Path) -> None:
        self._real_mkdir(group)
        given = (group.parent / "cgroup.subtree_control").read_text().replace("+", "")
        for controller in given.split():
            (group / f"{controller}.max").write_text("max")
        (group / "cgroup.controllers").write_text(given)
        (group / "cgroup.subtree_control").write_text("")

    def pass_on(self, group: Path, controllers: list[str]) -> None:
        if not {*controllers} <= {*(group / "cgroup.controllers").read_text().split()}:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(group / "cgroup.subtree_control"))
        (group / "cgroup.subtree_control").write_text(" ".join(controllers))

    def remove(self, group: Path) -> None:
        for knob in group.iterdir():
            knob.unlink()
        group.rmdir()


@pytest.fixture
def version_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Version2:
    return Version2(tmp_path / "cgroup", monkeypatch)


def test_version_2_takes_the_nearest_group_where_all_can_be_had(version_2: Version2) -> None:
    """More than is asked for now: a fault may want a limit of threads later."""
    made = Limits(cpu_percent=30, memory_bytes=1 << 20)
    assert made.cpu is not None and made.cpu == made.memory
    assert made.cpu.parent == version_2.top
    assert (made.cpu / "cpu.max").read_text().startswith("30000 100000")
    # what systemd takes from the top while nobody below passes it on
    assert (made.cpu / "cgroup.subtree_control").read_text() == "cpu memory pids"
    assert made.procs == [made.cpu / "janus" / "cgroup.procs"]
    made.close()
    assert list(version_2.top.rglob("janusload-*")) == []


def test_version_2_makes_do_with_what_is_passed_on(version_2: Version2) -> None:
    (version_2.top / "cgroup.controllers").write_text("cpu memory")
    made = Limits(memory_bytes=1 << 20)
    assert made.memory is not None and made.memory.parent == version_2.top / "app"
    made.close()


def test_on_version_2_a_fault_limits_inside_the_limits_that_the_lab_has(version_2: Version2) -> None:
    lab = Limits(memory_bytes=1 << 20)
    assert lab.memory is not None
    version_2.janus = lab.memory / "janus"
    fault = Limits(threads=7, pid=4711)
    (procs,) = fault.procs
    group = procs.parent.parent
    assert group.parent == lab.memory and (group / "pids.max").read_text().startswith("7")
    fault.close()
    lab.close()
    assert list(version_2.top.rglob("janusload-*")) == []


def test_no_hierarchy_is_a_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "hierarchies", lambda controller, process=None: [])
    with pytest.raises(LabError, match=r"no CPU quota can be set here \(no control groups with the cpu controller\)"):
        Limits(cpu_percent=10)


@pytest.mark.lab
def test_limits_bind_the_process_that_joins() -> None:
    made = Limits(cpu_percent=10, memory_bytes=64 << 20)
    try:
        join = "; ".join(f"echo $$ > {procs}" for procs in made.procs)
        burn = "i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done"
        subprocess.run(["sh", "-c", f"{join}; {burn}"], check=True)
        assert made.cpu_stat is not None
        stat = dict(line.split() for line in made.cpu_stat.read_text().splitlines())
        assert int(stat["nr_throttled"]) >= 1
        assert made.memory is not None
        knob = made.memory / {1: "memory.limit_in_bytes", 2: "memory.max"}[made.versions["memory"]]
        assert int(knob.read_text()) == 64 << 20
    finally:
        made.close()
        made.close()
    assert not any(procs.parent.exists() for procs in made.procs)


@pytest.mark.lab
def test_sweep_takes_groups_of_dead_owners_and_leaves_the_others() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    parent = hierarchies("cpu")[0].own
    left, kept = parent / f"janusload-{gone.pid}-00aa", parent / f"janusload-{os.getpid()}-00aa"
    left.mkdir()
    (left / "janus").mkdir()
    kept.mkdir()
    try:
        sweep()  # or another lab of this machine at the same moment
        assert not left.exists()
        assert kept.is_dir()
    finally:
        kept.rmdir()


@pytest.mark.lab
def test_a_lab_goes_on_without_a_memory_limit_only_where_that_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(limits, "memory_knobs", lambda _: {1: {"memory.no_such": "1"}, 2: {"memory.no_such": "1"}})
    options = LabOptions(cpu_percent=50, memory_bytes=64 << 20)
    with pytest.raises(LabError, match="no memory limit"), Lab(options, tmp_path / "log"):
        pass
    with Lab(dataclasses.replace(options, memory_optional=True), tmp_path / "log") as lab:
        assert "no memory limit" in lab.not_limited and "can be set here" in lab.not_limited
        assert (lab.facts()["memory_bytes"], lab.facts()["cpu_percent"]) == (None, 50)
        assert lab.cgroup is not None and (lab.cgroup.memory, lab.cgroup.cpu is None) == (None, False)
        assert lab.alive()


@pytest.mark.lab
def test_a_failure_half_way_leaves_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    real = limits.hierarchies
    monkeypatch.setattr(limits, "memory_knobs", lambda _: {1: {"memory.no_such": "1"}, 2: {"memory.no_such": "1"}})
    with pytest.raises(LabError, match="no memory limit can be set here"):
        Limits(cpu_percent=10, memory_bytes=1 << 20)
    mounts = {found.mount for name in ("cpu", "memory") for found in real(name)}
    assert [path for mount in mounts for path in mount.rglob(f"janusload-{os.getpid()}-*")] == []
