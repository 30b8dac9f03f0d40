"""Debian's own janus.service under systemd and journald, on control groups of version 2: run by `run` beside this file.

Not collected with the other tests, which run on machines that have neither.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from janusload.lab import Lab, LabOptions, faults
from janusload.lab.disk import Disk
from janusload.lab.limits import Limits
from janusload.server.cgroup import ControlGroups, groups_of
from janusload.server.find import find
from janusload.server.remote import AgentWatch
from janusload.server.watch import Look

ROOT = Path(__file__).parents[2]
UNIT = "janus.service"
TOKEN = "a token of the right length"
JANUSLOAD = [sys.executable, "-m", "tests.vm.patience"]

#: the machine is emulated: what takes a second elsewhere takes ten here
PATIENCE_S = 90.0


def systemctl(*words: str) -> str:
    return subprocess.run(["systemctl", *words], check=True, capture_output=True, text=True).stdout.strip()


def wait_until(true: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.2)


@pytest.fixture(autouse=True)
def janus_runs() -> None:
    systemctl("start", UNIT)


def test_this_is_the_machine_that_was_missing() -> None:
    own = Path("/proc/self/cgroup").read_text()
    assert own.startswith("0::/") and len(own.splitlines()) == 1, "version 2 alone"
    assert {group.version for group in groups_of(os.getpid()).values()} == {2}
    assert Path("/run/systemd/system").is_dir()


def test_what_systemd_allows_a_unit_is_read() -> None:
    pid = find(UNIT)
    groups = ControlGroups(groups_of(pid), pid)
    assert groups.facts["memory"] == f"version 2, /sys/fs/cgroup/system.slice/{UNIT}"
    before = groups.memory()
    assert before.limit_bytes is None and before.anon_bytes and before.kernel_bytes and before.slab_bytes
    systemctl("set-property", "--runtime", UNIT, "MemoryMax=500M", "CPUQuota=70%", "TasksMax=345")
    try:
        after = groups.memory()
        assert (after.limit_bytes, after.limit_hits, after.oom_kills) == (500 << 20, 0, 0)
        assert after.used_bytes and after.anon_bytes and after.anon_bytes < after.used_bytes
        assert groups.cpu().limit_percent == 70 and groups.cpu().periods is not None
        assert groups.threads_limit() == 345
    finally:
        systemctl("revert", UNIT)
        systemctl("set-property", "--runtime", UNIT, "MemoryMax=infinity", "CPUQuota=", "TasksMax=4000")


def test_systemd_leaves_the_labs_limits_alone() -> None:
    """It takes controllers from the top that none of its own units needs, when one that did need them goes."""
    limits = Limits(cpu_percent=33, memory_bytes=77 << 20)
    try:
        assert limits.cpu is not None and limits.memory is not None
        scope = ["systemd-run", "--wait", "--quiet", "--property=CPUQuota=50%", "--property=IOWeight=50", "true"]
        subprocess.run(scope, check=True)
        systemctl("daemon-reload")
        assert (limits.cpu / "cpu.max").read_text().split() == ["33000", "100000"]
        assert (limits.memory / "memory.max").read_text().strip() == str(77 << 20)
    finally:
        limits.close()


def test_a_fault_adds_to_the_limits_that_the_lab_has(tmp_path: Path) -> None:
    with Lab(LabOptions(memory_bytes=200 << 20), tmp_path / "janus.log") as lab:
        groups = ControlGroups(groups_of(lab.pid), lab.pid)
        assert groups.cpu().limit_percent is None
        with faults.cpu(lab, percent=50), faults.few_threads(lab, more=3):
            assert groups.cpu().limit_percent == 50
            assert groups.memory().limit_bytes == 200 << 20
            assert groups.threads_limit() == len(os.listdir(f"/proc/{lab.pid}/task")) + 3
        assert groups.cpu().limit_percent is None and groups.threads_limit() != 3
        memory = groups.memory()
        assert memory.limit_bytes == 200 << 20 and memory.anon_bytes and memory.dirty_limit_bytes
    assert list(Path("/sys/fs/cgroup").rglob(f"janusload-{os.getpid()}-*")) == []


def test_a_slow_disk_holds_a_writer_up_before_the_limit_is_full(tmp_path: Path) -> None:
    """What the report goes by must be what the kernel does to who writes; here not Janus."""
    (tmp_path / "disk").mkdir()
    disk, limits = Disk(tmp_path / "disk", 100 << 20), Limits(memory_bytes=48 << 20)
    write = "import sys; file = open(sys.argv[1], 'wb', 0)\nwhile True: file.write(bytes(65536))"
    try:
        disk.slow(400_000)
        join = ["sh", "-c", 'echo $$ > "$0"; exec "$@"', str(limits.procs[0])]
        writer = subprocess.Popen([*join, sys.executable, "-c", write, str(tmp_path / "disk/file")])
        try:
            groups = ControlGroups(groups_of(writer.pid), writer.pid)
            proc = Path(f"/proc/{writer.pid}")
            wait_until(lambda: (proc / "wchan").read_text() == "balance_dirty_pages")
            time.sleep(3)
            memory = groups.memory()
            assert memory.used_bytes and memory.limit_bytes and memory.used_bytes < 0.8 * memory.limit_bytes
            assert memory.dirty_bytes is not None and memory.writeback_bytes and memory.dirty_limit_bytes
            assert memory.dirty_bytes + memory.writeback_bytes > 0.75 * memory.dirty_limit_bytes
            assert (proc / "wchan").read_text() == "balance_dirty_pages"
        finally:
            disk.slow(None)
            writer.kill()
            writer.wait()
    finally:
        disk.close()
        limits.close()


@contextmanager
def agent() -> Iterator[AgentWatch]:
    """The command as its help shows it, and who listens to it."""
    command = [*JANUSLOAD, "agent", "--janus", UNIT, "--log", f"journal:{UNIT}", "--listen", "127.0.0.1:7089"]
    environment = {**os.environ, "JANUSLOAD_AGENT_TOKEN": TOKEN}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            assert f"Watching process {find(UNIT)};" in process.stdout.readline()
            watch = AgentWatch("http://127.0.0.1:7089", TOKEN)
            try:
                yield watch
            finally:
                watch.close()
        finally:
            process.terminate()


def test_an_agent_follows_unit_and_journal_through_a_restart() -> None:
    with agent() as watch:
        looks: list[Look] = []

        def look() -> Look:
            looks.append(watch.look())
            return looks[-1]

        wait_until(lambda: look().seen)
        before = find(UNIT)
        systemctl("restart", UNIT)
        after = find(UNIT)
        assert after != before
        wait_until(lambda: any("has become process" in note for note in look().notes))
        # what Janus says at its start: two transports without configuration, so warnings and errors
        wait_until(lambda: look().log or any(each.log for each in looks))
        notes = [note for each in looks for note in each.notes]
        assert f"the agent: process {before} has become process {after}: it was started anew" in notes
        assert any(each.seen and each.seen.server.state == "" for each in looks), "its end is seen"
        evidence = watch.remote_evidence()
        assert UNIT in evidence["agent-cgroup.txt"] and "Janus" in evidence["agent-log-tail.txt"]


def test_a_run_against_the_unit(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["run", "scenarios/smoke.toml", "--host", "ws://127.0.0.1:8188", "--out", str(out)]
    words += ["--janus-process", UNIT, "--janus-log", f"journal:{UNIT}", "--set", "users.0.count=1"]
    done = subprocess.run([*JANUSLOAD, *words], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (out / "summary.json").exists(), done.stdout + done.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert summary["memory"]["source"] == "control group"
