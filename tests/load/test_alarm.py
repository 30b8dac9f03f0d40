"""The alarm rings not before its moment, lets others run meanwhile, and leaves no descriptor behind."""

from __future__ import annotations

import os
import time

import gevent

from janusload.load.alarm import Alarm


def test_not_before_the_moment_and_others_run_meanwhile() -> None:
    alarm = Alarm()
    ran: list[int] = []
    other = gevent.spawn(lambda: ran.append(1))
    for wait_ns in (50_000, 400_000, 3_000_000, 20_000_000):
        moment_ns = time.monotonic_ns() + wait_ns
        alarm.wait_until(moment_ns)
        assert time.monotonic_ns() >= moment_ns
    assert ran and other.ready()
    before_ns = time.monotonic_ns()
    alarm.wait_until(before_ns)
    alarm.close()
    alarm.close()


def test_whoever_waits_can_be_killed_and_the_next_one_waits_its_own_time() -> None:
    before = len(os.listdir("/proc/self/fd"))
    alarm = Alarm()
    waiting = gevent.spawn(alarm.wait_until, time.monotonic_ns() + 20_000_000)
    gevent.sleep(0.001)
    waiting.kill()
    gevent.sleep(0.03)  # it rings for nobody
    moment_ns = time.monotonic_ns() + 5_000_000
    alarm.wait_until(moment_ns)
    assert time.monotonic_ns() >= moment_ns
    alarm.close()
    assert len(os.listdir("/proc/self/fd")) == before
