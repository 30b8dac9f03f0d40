"""The Janus process from outside: what is seen of a real one, and of one that vanishes or is replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from janusload.lab import Lab
from janusload.server.log import FileSource, LogWatch
from janusload.server.process import ProcessWatch
from janusload.server.watch import LocalWatch


@pytest.mark.lab
def test_a_real_janus_once_a_second(lab: Lab) -> None:
    watch = LocalWatch(lambda: lab.pid, LogWatch(FileSource(lab.log_path, from_start=True)), lab.recordings)
    time.sleep(0.2)
    look = watch.look()
    watch.close()
    assert look.seen is not None and look.seen.threads is not None
    server = look.seen.server
    assert server.state == "S" and server.cpu_percent is not None and server.cpu_percent < 50
    assert server.threads == len(look.seen.threads.threads) and server.threads > 10
    assert server.fds is not None and server.fds_limit is not None and 5 < server.fds < server.fds_limit
    assert server.rss_bytes is not None and server.anon_bytes is not None and server.anon_bytes < server.rss_bytes
    assert server.udp_drops == 0
    assert server.disk_bytes is not None and server.disk_free_bytes is not None
    assert server.cgroup_bytes is not None
    assert look.log, "what Janus wrote while it started is counted"
    facts = watch.facts()
    assert facts["cannot_see"] == [] and facts["log"]["lines"] > 10


def child() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def test_a_process_that_stops_goes_on_and_ends() -> None:
    with child() as process:
        watch = ProcessWatch(process.pid)
        assert watch.sample().server.state in "RSD" and watch.alive()
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        assert watch.sample().server.state == "T"
        process.kill()
        time.sleep(0.1)
        gone = watch.sample()
    assert gone.server.state == "" and gone.threads is None and not watch.alive()
    assert watch.sample().server.state == ""
    watch.close()


def test_a_recycled_number_is_not_the_same_process() -> None:
    with child() as process:
        watch = ProcessWatch(process.pid)
        watch._born = str(int(watch._born) - 1)  # as if another process had had the number before
        assert watch.sample().server.state == ""
        process.kill()
    watch.close()


def test_a_process_that_never_was() -> None:
    watch = ProcessWatch(999_999_999)
    assert watch.sample().server.state == ""
    watch.close()


def test_with_fewer_rights_less_is_seen_and_it_is_said() -> None:
    script = (
        "import os, sys, time\n"
        "from janusload.server.process import ProcessWatch\n"
        "os.getuid() or (os.setgroups([]), os.setgid(65534), os.setuid(65534))\n"
        "watch = ProcessWatch(int(sys.argv[1])); time.sleep(0.1)\n"
        "server = watch.sample().server\n"
        "assert server.state == 'S' and server.rss_bytes and server.fds is None and server.udp_drops is None, server\n"
        "print(sorted(watch.cannot_see))\n"
    )
    with child() as process:
        time.sleep(0.1)
        seen = process.pid if os.getuid() == 0 else 1  # of another user in both cases
        done = subprocess.run(
            [sys.executable, "-c", script, str(seen)],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            cwd=Path(__file__).parent.parent.parent,
        )
        process.kill()
    assert done.returncode == 0, done.stderr
    assert "what threads wait for" in done.stdout and "file descriptors" in done.stdout
