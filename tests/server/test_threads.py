"""What threads of a real Janus wait for, told without debug symbols."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from janusload.lab import Lab
from janusload.records import ThreadRecord
from janusload.server.threads import Modules, ThreadWatch, kind_of, parse_maps
from tests.server.stalls import fifo_stall


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("janus", "janus"),
        ("hloop 123456789", "hloop"),
        ("mixer 1234", "mixer"),
        ("mixer 12345 678", "participant"),
        ("rtp 12345 6789", "rtp"),
        ("pool-janus", "pool-janus"),
        ("pool-spawner", "pool"),
        ("ws thread", "ws thread"),
        ("SCTP iterator", "sctp"),
        ("SCTP/IP4 rcv", "sctp"),
        ("\x1b[31m", "other"),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    assert kind_of(name) == kind


MAPS = """\
55d0c0000000-55d0c0080000 r-xp 00000000 fe:00 100  /usr/bin/janus
7f8a5c480000-7f8a5c48d000 r-xp 00005000 fe:00 101  /usr/lib/janus/plugins/libjanus_audiobridge.so.2.0.3
7f8a5c48d000-7f8a5c48e000 rw-p 00012000 fe:00 101  /usr/lib/janus/plugins/libjanus_audiobridge.so.2.0.3 (deleted)
7f8a5c48e000-7f8a5c48f000 rw-p 00000000 00:00 0
7f8a60000000-7f8a60100000 rw-p 00000000 00:00 0
nonsense
"""


def test_a_static_lock_belongs_to_its_plugin_also_behind_its_file() -> None:
    starts, spans = parse_maps(MAPS)
    assert len(starts) == 5
    modules = Modules(os.getpid())
    modules._starts, modules._spans = starts, spans
    assert modules._find(0x7F8A5C48E120) == "libjanus_audiobridge.so"
    assert modules._find(0x7F8A5C48D010) == "libjanus_audiobridge.so"
    assert modules._find(0x7F8A60000010) == "heap"
    assert modules._find(0x1000) == "?"


def read(lab: Lab) -> list[ThreadRecord]:
    table = ThreadWatch(lab.pid).read(time.monotonic_ns())
    assert not table.blind
    return table.records()


def locks(records: list[ThreadRecord]) -> dict[str, int]:
    found: dict[str, int] = {}
    for record in records:
        if record.waits_for.startswith("lock "):
            found[record.waits_for] = found.get(record.waits_for, 0) + record.threads
    return found


@pytest.mark.lab
def test_a_healthy_janus_shows_no_lock_and_a_stalled_one_does(lab: Lab) -> None:
    for _ in range(20):
        assert locks(read(lab)) == {}
    with fifo_stall(lab) as stall:
        stall.plugin()
        stall.core()
        stuck = read(lab)
        assert any(waits.endswith("libjanus_audiobridge.so") for waits in locks(stuck)), stuck
        assert max(locks(stuck).values()) >= 2
        assert ("pool-janus", "open wait_for_partner") in {(each.kind, each.waits_for) for each in stuck}
    assert locks(read(lab)) == {}
    assert {"hloop", "ws thread", "sctp"} <= {record.kind for record in stuck}


@contextmanager
def sleeper(script: str) -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def test_stopped_and_sleeping_threads() -> None:
    with sleeper("import time; print(flush=True); time.sleep(60)") as pid:
        time.sleep(0.05)
        watch = ThreadWatch(pid)
        assert [(thread.state, thread.waits_for) for thread in watch.read(0).threads] == [("S", "sleep")]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.05)
        assert [thread.state for thread in watch.read(0).threads] == ["T"]


def test_threads_that_vanish_and_names_that_lie_are_survived() -> None:
    script = (
        "import threading, ctypes\n"
        "def name():\n"
        "    ctypes.CDLL(None).prctl(15, b') R 1 (\\x1b[2J', 0, 0, 0)\n"
        "def spawn():\n"
        "    while True:\n"
        "        thread = threading.Thread(target=name); thread.start(); thread.join()\n"
        "print(flush=True)\n"
        "name(); spawn()\n"
    )
    with sleeper(script) as pid:
        watch = ThreadWatch(pid)
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            for thread in watch.read(0).threads:
                assert "\x1b" not in thread.name and thread.kind in ("other", "janus")
    with pytest.raises(OSError):
        watch.read(0)
