from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from janusload.load.assembly import make_recorder, media_workers
from janusload.records import Source
from tests.scenario.files import plan


@pytest.mark.parametrize(
    ("cores", "users", "processes", "workers"),
    [
        (1, 500, 1, 1),
        (2, 500, 1, 1),
        (8, 500, 1, 7),
        # fewer people than would need them
        (8, 4, 1, 1),
        (8, 120, 1, 3),
        # several signalling processes share what they leave
        (8, 500, 2, 3),
        (8, 100, 4, 1),
        (2, 500, 3, 1),
    ],
)
def test_media_has_the_cores_that_signalling_leaves(
    cores: int, users: int, processes: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
    scenario: Any = SimpleNamespace(user_count=users)
    assert media_workers(scenario, processes) == workers


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ('[stream]\nrate = "1/s"\n', Source.ARRIVALS),
        ('[[users]]\nname = "u"\ncount = 1\nplugin = "echotest"\nmedia = "none"\n', Source.USERS),
    ],
)
def test_what_is_under_test_is_counted_live(text: str, source: Source) -> None:
    """The users' requests where there is no stream, as in the report."""
    recorder = make_recorder(plan(f'run_time = "5 s"\n{text}'), None)  # type: ignore[arg-type]
    assert (recorder._source, recorder.request) == (source, "janus.create")
