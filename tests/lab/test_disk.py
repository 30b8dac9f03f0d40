"""Where a throttle is written on either version of control groups; what it does is shown with the faults."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from janusload.errors import LabError
from janusload.lab import disk
from janusload.lab.disk import Disk
from janusload.lab.limits import Hierarchy


class Held:
    """Stands for the limits that keep the controller where it is."""

    closed = 0

    def __init__(self, *, io: bool) -> None:
        assert io

    def close(self) -> None:
        Held.closed += 1


@pytest.fixture
def on_version_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A disk that was never mounted, on a machine whose two top groups have `io.max`, and one of theirs too."""
    for group in ("system.slice/janus.service", "janusload-1-aa", "without"):
        (tmp_path / group).mkdir(parents=True)
    for group in ("system.slice", "system.slice/janus.service", "janusload-1-aa"):
        (tmp_path / group / "io.max").write_text("")
    monkeypatch.setattr(disk, "_version_1", lambda: None)
    monkeypatch.setattr(disk, "hierarchies", lambda controller: [Hierarchy(controller, 2, tmp_path, tmp_path)])
    monkeypatch.setattr(disk, "Limits", Held)
    made = Disk.__new__(Disk)
    made.folder, made._io = tmp_path, None
    return made


def test_on_version_2_each_group_right_below_the_top_is_throttled(on_version_2: Disk) -> None:
    top = on_version_2.folder
    number = on_version_2.device_number
    on_version_2.slow(200_000)
    texts = {str(path.parent.relative_to(top)): path.read_text() for path in top.rglob("io.max")}
    slow = f"{number} wbps=200000"
    assert texts == {"system.slice": slow, "system.slice/janus.service": "", "janusload-1-aa": slow}
    on_version_2.slow(None)
    assert (top / "system.slice/io.max").read_text() == f"{number} wbps=max"
    assert Held.closed == 0
    on_version_2.close()
    assert Held.closed == 1


def test_without_either_it_is_said(on_version_2: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "hierarchies", lambda controller: [])
    with pytest.raises(LabError, match=r"cannot be throttled: that needs control groups \(blkio of v1, io of v2\)"):
        on_version_2.slow(1)
    assert os.path.isdir(on_version_2.folder)
