from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from janusload.errors import LabError
from janusload.lab.commands import find, run, uninterrupted


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, also where a shell has started the tests with `&` and so ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interruption_waits_for_the_step_to_end() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_failure_is_not_hidden_by_the_interruption_handling() -> None:
    with pytest.raises(ValueError, match="as it was"), uninterrupted():
        raise ValueError("as it was")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_have_nothing_to_hold_back() -> None:
    ran = []

    def step() -> None:
        with uninterrupted():
            ran.append(True)

    thread = threading.Thread(target=step)
    thread.start()
    thread.join()
    assert ran == [True]


def test_errors_say_what_was_being_done() -> None:
    assert run(["echo", "x"], doing="saying x") == "x\n"
    with pytest.raises(LabError, match=r"making it: `sh -c echo no >&2; false` failed: no"):
        run(["sh", "-c", "echo no >&2; false"], doing="making it")
    with pytest.raises(LabError, match=r"took longer than 0\.1 s"):
        run(["sleep", "5"], doing="waiting", timeout_s=0.1)


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("janusload.lab.commands.which", lambda program: None)
    with pytest.raises(LabError, match="`ip` is missing: install the Debian package iproute2"):
        find("ip")
