from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from janusload.lab import launch
from janusload.lab.launch import EXIT_NOT_STARTED
from janusload.lab.network import Network
from janusload.lab.process import JanusProcess

pytestmark = pytest.mark.lab

Start = Callable[..., JanusProcess]


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.close()


@pytest.fixture
def start(network: Network, tmp_path: Path) -> Iterator[Start]:
    """Starts a shell script the way Janus is started."""
    started: list[JanusProcess] = []

    def start(script: str, *, groups: tuple[Path, ...] = (), open_files: int | None = None) -> JanusProcess:
        process = JanusProcess(
            ["/bin/sh", "-c", script],
            namespace=network.path,
            groups=groups,
            open_files=open_files,
            folder=tmp_path,
            log=tmp_path / "log",
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.stop(within_s=0.0)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 3.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_runs_in_the_namespace_with_its_limits_and_a_group_of_its_own(
    start: Start, network: Network, tmp_path: Path
) -> None:
    process = start("ulimit -n; ip -br address; ps -o pgid=,sid= -p $$", open_files=77)
    wait_for(lambda: process.returncode is not None)
    log = (tmp_path / "log").read_text()
    assert process.returncode == 0
    assert log.splitlines()[0] == "77"
    assert str(network.address) in log
    assert log.splitlines()[-1].split() == [str(process.pid)] * 2


def test_ended_process_keeps_its_number_until_stop(start: Start) -> None:
    process = start("kill -SEGV $$")
    wait_for(lambda: process.returncode is not None)
    assert process.returncode == -signal.SIGSEGV
    os.kill(process.pid, 0)  # unreaped: the number is still ours
    process.signal(signal.SIGTERM)
    process.stop()
    process.stop()
    assert process.returncode == -signal.SIGSEGV
    assert not os.path.exists(f"/proc/{process.pid}")


def test_the_whole_group_goes_even_if_it_ignores_sigterm(start: Start, tmp_path: Path) -> None:
    process = start("trap '' TERM; sleep 60 & echo $!; wait")
    wait_for(lambda: (tmp_path / "log").read_text() != "")
    child = int((tmp_path / "log").read_text())
    process.stop(within_s=0.1)
    assert process.returncode == -signal.SIGKILL
    wait_for(lambda: not os.path.exists(f"/proc/{child}"))


def test_a_stopped_process_still_ends_by_sigterm(start: Start, tmp_path: Path) -> None:
    process = start("trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done")
    wait_for(lambda: (tmp_path / "log").read_text() != "")
    process.signal(signal.SIGSTOP)
    began = time.monotonic()
    process.stop()
    assert process.returncode == 3
    assert time.monotonic() - began < 2.0


def test_a_refused_step_is_in_the_log(start: Start, tmp_path: Path) -> None:
    process = start("true", groups=(tmp_path / "nowhere" / "cgroup.procs",))
    wait_for(lambda: process.returncode is not None)
    assert process.returncode == EXIT_NOT_STARTED
    assert "Janus could not be started: [Errno 2] No such file" in (tmp_path / "log").read_text()


def test_no_process_without_its_owner(tmp_path: Path) -> None:
    spec = f'{{"owner": 1, "namespace": "/proc/{os.getpid()}/ns/net", "groups": [], "command": ["/bin/true"]}}'
    done = subprocess.run(["python3", launch.__file__, spec], capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_NOT_STARTED
    assert "the process that wanted Janus is gone" in done.stderr
