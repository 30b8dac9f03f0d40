"""The load process, from its parent."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from janusload import load_process
from janusload.load_process import LoadProcess
from janusload.run_folder import RunFolder

#: asked to end, it does not
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


class Watcher:
    words = ""

    def heard(self, message: dict[str, Any]) -> None:
        pass

    def heard_all(self) -> None:
        pass

    def second(self) -> None:
        pass


@pytest.fixture
def stubborn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoadProcess]:
    """A load process that hangs."""
    start = subprocess.Popen

    def hanging(command: list[str], **how: Any) -> subprocess.Popen[bytes]:
        return start([sys.executable, "-c", STUBBORN], **{**how, "stdout": subprocess.PIPE})

    monkeypatch.setattr(load_process.subprocess, "Popen", hanging)
    process = LoadProcess(RunFolder.create(tmp_path / "run"), None)
    monkeypatch.undo()
    assert process._process.stdout is not None
    assert process._process.stdout.readline() == b"up\n"
    yield process
    process._process.stdout.close()
    process.kill()


def followed(process: LoadProcess, besides: Callable[[], float]) -> tuple[str | None, float]:
    process.besides = besides
    began = time.monotonic()
    failure = process.follow(lambda facts: None, Watcher(), lambda words: None)  # type: ignore[arg-type]
    return failure, time.monotonic() - began


def test_a_second_interrupt_cuts_it_short(stubborn: LoadProcess) -> None:
    interrupts = iter((1, 2))

    def besides() -> float:
        if next(interrupts, None):
            raise KeyboardInterrupt
        return time.monotonic() + 60

    failure, took_s = followed(stubborn, besides)
    assert failure is not None and "SIGKILL" in failure
    assert took_s < 10


def test_one_that_does_not_end_in_time_is_killed(stubborn: LoadProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_process, "END_WITHIN_S", 0.5)
    stubborn._ask_to_end()
    failure, took_s = followed(stubborn, lambda: time.monotonic() + 0.1)
    assert failure == "the load process did not end within 0.5 s and was killed"
    assert took_s < 10
    assert not Path(f"/proc/{stubborn.pid}").exists()
