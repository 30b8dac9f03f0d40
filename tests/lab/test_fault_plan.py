from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from janusload.errors import LabError, UsageError
from janusload.lab import Lab, faults
from janusload.lab.faults import Fault
from janusload.lab.faults.plan import PlannedFault, Timetable, planned


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `one` and `two` were told to do; `broken` cannot be done."""
    seen: list[str] = []

    def of(name: str) -> Fault:
        @contextmanager
        def inject(lab: Lab) -> Iterator[None]:
            if name == "broken":
                raise LabError("not here")
            seen.append(f"+{name}")
            try:
                yield
            finally:
                seen.append(f"-{name}")

        return Fault(inject, name, name)

    for name in ("one", "two", "broken"):
        monkeypatch.setitem(faults.FAULTS, name, of(name))
    return seen


def test_words_become_faults() -> None:
    assert planned("freeze after 10 s for 1.5 s") == PlannedFault("freeze", 10.0, 1.5)
    assert planned(" plugin-stall after 3 s ") == PlannedFault("plugin-stall", 3.0, None)
    for words in ("freeze", "freeze after 10", "freeze for 3 s", "freeze after 1 s for", "freeze after 1.2.3 s"):
        with pytest.raises(UsageError, match=r"write it like 'freeze after 10 s for 15 s'"):
            planned(words)
    with pytest.raises(UsageError, match="no fault 'fire'"):
        planned("fire after 1 s")


def test_each_comes_and_goes_at_its_time(lab: Lab, seen: list[str]) -> None:
    table = Timetable(lab, [PlannedFault("two", 5, None), PlannedFault("one", 2, 4)])
    assert table.look(1.9) == [] and table.due_s == 2
    (done,) = table.look(2.1)
    assert table.due_s == 5, "the next begins before this one ends"
    assert (done.name, done.undone) == ("one", False)
    assert [(done.name, done.undone) for done in table.look(5.0)] == [("two", False)]
    # counted from when it came, not from when it was due
    assert table.look(6.0) == [] and table.due_s == pytest.approx(6.1)
    assert [(done.name, done.undone) for done in table.look(6.2)] == [("one", True)]
    assert seen == ["+one", "+two", "-one"] and table.due_s == math.inf
    table.close()
    table.close()
    assert seen == ["+one", "+two", "-one", "-two"]


def test_what_cannot_be_done_is_said(lab: Lab, seen: list[str]) -> None:
    with pytest.raises(LabError, match="not here"):
        Timetable(lab, [PlannedFault("broken", 0, None)]).look(1.0)
