from __future__ import annotations

import sys

import pytest

from janusload.errors import MediaError
from janusload.media.launch import describe_exit, launch


def test_an_interpreter_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(MediaError, match="cannot be started") as caught:
        launch(0, 0, public_targets=False, tick="auto")
    assert caught.value.phase == "worker"


def test_exits_in_words() -> None:
    assert describe_exit(-9) == "killed by SIGKILL"
    assert describe_exit(3) == "exit status 3"
    assert describe_exit(None) == "it does not end"
