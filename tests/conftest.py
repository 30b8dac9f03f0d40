"""Fixtures that more than one room needs."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import gevent.monkey
import pytest
from hypothesis import HealthCheck, settings

from janusload.lab import Lab, LabOptions

# Cores are shared and noisy, and the first text of a fresh clone takes a second of Unicode tables: no property is about
# time.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure() -> None:
    """A shell that starts the tests with `&` has them ignore SIGINT, and so would every process that they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Importing locust patches the standard library of this process: media's tests need it as it is."""
    if gevent.monkey.is_module_patched("select"):
        raise pytest.UsageError("a test module imports locust, or something of ours that does: run it in a process")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A real Janus without limits, shared by all tests that leave it as they found it.

    Tests that kill it, stop it or need other options open a `Lab` of their own. Where no lab can be had this fails, and
    the tests with it: a green run must mean that they ran.
    """
    with Lab(LabOptions(), tmp_path_factory.mktemp("lab") / "janus.log") as lab:
        yield lab


@pytest.fixture(scope="session")
def fixed_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The same with Janus 1.4.1, in which the AudioBridge's locks are mended."""
    with Lab(LabOptions(janus="1.4.1"), tmp_path_factory.mktemp("fixed-lab") / "janus.log") as lab:
        yield lab


@pytest.fixture(params=["lab", "fixed_lab"], ids=["installed", "1.4.1"])
def each_lab(request: pytest.FixtureRequest) -> Lab:
    """Both of them, one after the other."""
    lab: Lab = request.getfixturevalue(request.param)
    return lab
