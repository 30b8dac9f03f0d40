"""This machine: can it carry the load that is planned, and can it hold a lab?"""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import psutil

from janusload import __version__
from janusload.doctor.finding import Finding, Level, Plans
from janusload.errors import LabError
from janusload.lab import limits, privilege
from janusload.lab.commands import which
from janusload.lab.installation import find_janus, own_version
from janusload.media.process import take_real_time

#: clocks that are read without asking the hypervisor
_QUICK_CLOCKS = ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page")

#: a p99 of oversleeping beyond this would be charged to the server (measurement.md section 4)
_LATEST_WAKE_MS = 5.0

_MB_PER_PEER = 0.5
_MB_PER_USER = 0.15


def examine(plans: Plans) -> Iterator[Finding]:
    """Every finding about this machine, as soon as it is known."""
    yield _versions()
    yield _cores(plans)
    yield _busy()
    yield _open_files(plans)
    yield _udp_ports(plans)
    yield _memory(plans)
    yield _clock()
    yield _wakes()
    yield _real_time()
    yield _debugger()
    yield from _lab()


def _versions() -> Finding:
    packages = ", ".join(f"{name} {version(name)}" for name in ("locust", "gevent", "aiortc", "pyarrow"))
    words = f"janusload {__version__} on Python {platform.python_version()}, Linux {platform.release()}; {packages}"
    return Finding(Level.OK, "versions", words)


def _cores(plans: Plans) -> Finding:
    there = len(os.sched_getaffinity(0))
    words = f"{there} cores{plans.needs(f'{plans.cores:.1f}')}"
    if plans.cores > 0.8 * there:
        return Finding(
            Level.FAIL, "cores", words, "spread it over machines (--master, --worker), or ask for less at a time"
        )
    if plans.rate_per_s and 0.0002 * plans.rate_per_s + 0.0005 * plans.users > 0.8:
        return Finding(Level.WARN, "cores", words, "more than one process can signal: add --processes 2")
    if there < 2:
        return Finding(Level.WARN, "cores", words, "signalling and media share one core: expect a limited generator")
    return Finding(Level.OK, "cores", words)


def _busy() -> Finding:
    percent = psutil.cpu_percent(interval=0.3)
    steal = getattr(psutil.cpu_times_percent(interval=0.2), "steal", 0.0)
    words = f"{percent:.0f} % of all cores are in use now, {steal:.0f} % are taken by other guests of the host"
    if steal > 5:
        return Finding(Level.WARN, "busy", words, "latencies will hold the host's pauses: use a machine of its own")
    if percent > 50:
        return Finding(Level.WARN, "busy", words, "end what else runs here, or its pauses are measured too")
    return Finding(Level.OK, "busy", words)


def _open_files(plans: Plans) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    words = f"{soft} open files allowed (at most {hard}){plans.needs(str(plans.files))}"
    if plans.files > hard:
        return Finding(Level.FAIL, "open files", words, "raise the hard limit in /etc/security/limits.conf (nofile)")
    if plans.files > soft:
        return Finding(Level.FAIL, "open files", words, f"run `ulimit -n {min(hard, 2 * plans.files)}` first")
    return Finding(Level.OK, "open files", words)


def _udp_ports(plans: Plans) -> Finding:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    there = high - low + 1
    needed = max(plans.peers, plans.users + plans.connections)
    words = f"ports {low} to {high} are given out ({there}){plans.needs(f'{needed} at a time')}"
    if needed > 0.8 * there:
        return Finding(
            Level.FAIL, "ports", words, 'widen them: sysctl net.ipv4.ip_local_port_range="10000 65000", or add machines'
        )
    return Finding(Level.OK, "ports", words)


def _memory(plans: Plans) -> Finding:
    there_mb = psutil.virtual_memory().available / 1e6
    needed_mb = 300 + _MB_PER_PEER * plans.peers + _MB_PER_USER * plans.users
    words = f"{there_mb:,.0f} MB free{plans.needs(f'{needed_mb:,.0f} MB')}"
    if needed_mb > there_mb:
        return Finding(Level.FAIL, "memory", words, "free some, ask for fewer users, or add machines")
    return Finding(Level.OK, "memory", words)


def _clock() -> Finding:
    source = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    name = source.read_text().strip() if source.exists() else "unknown"
    resolution_ns = time.clock_getres(time.CLOCK_MONOTONIC) * 1e9
    words = f"monotonic clock from {name}, resolution {resolution_ns:.0f} ns"
    if name not in _QUICK_CLOCKS or resolution_ns > 1000:
        return Finding(Level.WARN, "clock", words, "moments cost more or are coarser than they should be: see dmesg")
    return Finding(Level.OK, "clock", words)


def _wakes() -> Finding:
    late_ms = []
    for _ in range(200):
        began = time.monotonic()
        time.sleep(0.001)
        late_ms.append((time.monotonic() - began - 0.001) * 1e3)
    p99 = sorted(late_ms)[197]
    words = f"a sleep of 1 ms ends {p99:.2f} ms late at p99"
    if p99 > _LATEST_WAKE_MS:
        return Finding(Level.WARN, "wakes", words, "the machine is too busy to send on time: see `busy`")
    return Finding(Level.OK, "wakes", words)


def _real_time() -> Finding:
    # of a thread that ends with it
    with ThreadPoolExecutor(1) as thread:
        allowed = thread.submit(take_real_time).result()
    if not allowed:
        words = "media workers may not have real-time priority: beside a Janus on this machine audio leaves late"
        helps = "raise RLIMIT_RTPRIO (rtprio in /etc/security/limits.conf), grant CAP_SYS_NICE, or use two machines"
        return Finding(Level.WARN, "priority", words, helps)
    return Finding(Level.OK, "priority", "media workers get real-time priority: no Janus beside them holds them up")


def _debugger() -> Finding:
    found = next((name for name in ("eu-stack", "gdb") if which(name) is not None), None)
    if found is None:
        words = "neither eu-stack nor gdb is here: the evidence of a Janus that is stuck lacks backtraces"
        return Finding(Level.WARN, "backtraces", words, "for a Janus on this machine: apt-get install elfutils")
    return Finding(Level.OK, "backtraces", f"{found} takes them of a Janus on this machine that is stuck")


# -- the lab ----------------------------------------------------------------------------------------------------------


def _lab() -> Iterator[Finding]:
    try:
        find_janus("janus")
        yield Finding(Level.OK, "lab: Janus", f"{own_version() or 'of unknown version'} is installed")
    except LabError as error:
        yield Finding(Level.WARN, "lab: Janus", str(error), "only needed for --lab: `janusload lab install`")
    yield _namespaces()
    yield _control_groups()


def _namespaces() -> Finding:
    try:
        inside = privilege.needs_reexec()
    except LabError as error:
        return Finding(Level.WARN, "lab: network", str(error), "only needed for --lab: run it as root elsewhere")
    if which("ip") is None:
        return Finding(Level.WARN, "lab: network", "there is no `ip`", "apt-get install iproute2")
    words = "in an unprivileged user namespace" if inside else "network namespaces can be made"
    return Finding(Level.OK, "lab: network", words)


def _control_groups() -> Finding:
    usable = [
        name
        for name in ("cpu", "memory")
        if any(os.access(hierarchy.own, os.W_OK) for hierarchy in limits.hierarchies(name))
    ]
    words = f"control groups for {' and '.join(usable)} can be made" if usable else "no control group can be made"
    if len(usable) < 2:
        return Finding(
            Level.WARN,
            "lab: limits",
            words,
            "a lab's cpu and memory limits need root or a delegated group (systemd-run)",
        )
    return Finding(Level.OK, "lab: limits", words)
