"""A worker's records on their way to the master: whole, in order, and kept until they have arrived."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from janusload.load import shipping
from janusload.load.clocks import ClockOffset, best
from janusload.load.shipping import Shipper


class Master:
    """Keeps pieces as the fleet does; may lose some on the way, or their acknowledgement."""

    def __init__(self, folder: Path, lossy: float) -> None:
        self.folder = folder
        self.lossy = lossy
        self.source = random.Random(3)
        self.shipper: Shipper | None = None

    def take(self, piece: dict[str, Any]) -> None:
        if self.source.random() < self.lossy:
            return
        path = self.folder / piece["file"]
        there = path.stat().st_size if path.exists() else 0
        if piece["at"] == there:
            with path.open("ab") as file:
                file.write(piece["data"])
        if self.source.random() >= self.lossy:
            assert self.shipper is not None
            self.shipper.kept(piece["file"], path.stat().st_size if path.exists() else 0)


@pytest.mark.parametrize("lossy", [0.0, 0.3])
def test_files_that_grow_arrive_whole(tmp_path: Path, lossy: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "_PIECE", 1000)
    monkeypatch.setattr(shipping, "_AGAIN_S", 0.01)
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    master = Master(there, lossy)
    shipper = master.shipper = Shipper(here, master.take)
    for _ in range(20):
        for name in ("request-load-1.arrows", "health-load-1.arrows"):
            with (here / name).open("ab") as file:
                file.write(random.Random(name).randbytes(777))
        shipper.ship()
    assert shipper.hand_over()
    for name in ("request-load-1.arrows", "health-load-1.arrows"):
        assert (there / name).read_bytes() == (here / name).read_bytes()


def test_a_master_that_takes_nothing_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "_HAND_OVER_S", 0.2)
    (tmp_path / "request-load-1.arrows").write_bytes(b"records")
    assert not Shipper(tmp_path, lambda piece: None).hand_over()
    assert (tmp_path / "request-load-1.arrows").exists(), "they stay where they are"


def test_the_quickest_round_trip_tells_the_offset() -> None:
    ahead = 5_000_000_000
    # (sent, seen there, back): the second trip took 2 ms evenly, the others were held up one way
    samples = [
        (0, ahead + 9_000_000, 10_000_000),
        (100_000_000, ahead + 101_000_000, 102_000_000),
        (200_000_000, ahead + 201_000_000, 209_000_000),
    ]
    assert best(samples) == ClockOffset(ahead, 1_000_000)
    assert best([]) is None
