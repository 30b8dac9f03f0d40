"""Faults of the path to Janus: the veth pair, and what the kernel's queueing disciplines do to it (tc(8))."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from janusload.errors import LabError
from janusload.lab.commands import find, run, uninterrupted
from janusload.lab.instance import Lab


@contextmanager
def path_cut(lab: Lab) -> Iterator[None]:
    """Take the veth pair down: nothing arrives either way, and nobody is told."""
    # The inner end: with ours down, its route would go, and what is meant for Janus would leave by the default route.
    command = lab.network.inside(find("ip"), "link", "set", "dev", lab.network.inner_interface)
    try:
        run([*command, "down"], doing="cutting the path to Janus")
        yield
    finally:
        run([*command, "up"], doing="joining the path to Janus again")


@contextmanager
def path_loss(lab: Lab, percent: float = 20.0) -> Iterator[None]:
    """Lose packets both ways, each independently."""
    with _discipline(lab, "netem", "loss", f"{percent:g}%"):
        yield


@contextmanager
def path_delay(lab: Lab, each_way_ms: float = 100.0) -> Iterator[None]:
    """Delay packets both ways."""
    with _discipline(lab, "netem", "delay", f"{each_way_ms:g}ms"):
        yield


@contextmanager
def path_narrow(lab: Lab, kbit_per_s: float = 200.0) -> Iterator[None]:
    """A narrow path both ways: packets queue for up to 400 ms, and are lost beyond."""
    with _discipline(lab, "tbf", "rate", f"{kbit_per_s:g}kbit", "burst", "4kb", "latency", "400ms"):
        yield


@contextmanager
def _discipline(lab: Lab, kind: str, *parameters: str) -> Iterator[None]:
    doing = f"putting {kind} on the path to Janus"
    tc = find("tc")
    network = lab.network
    with ExitStack() as stack:
        for command, device in (([tc], network.interface), (network.inside(tc), network.inner_interface)):
            with uninterrupted():
                stack.callback(_remove, [*command, "qdisc", "del", "dev", device, "root"])
            try:
                run([*command, "qdisc", "add", "dev", device, "root", kind, *parameters], doing=doing)
            except LabError as error:
                if "qdisc kind is unknown" not in str(error):
                    raise
                instead = "; let the senders lose packets instead (`loss` of users)" if kind == "netem" else ""
                raise LabError(f"{doing}: this kernel has no sch_{kind}{instead}") from error
        yield


def _remove(command: list[str]) -> None:
    # never put there, or gone with the device: both are as wanted
    with suppress(LabError):
        run(command, doing="freeing the path to Janus")
