"""People who join and leave a real AudioBridge, as `make bench-media` counts them: nothing of them stays."""

from __future__ import annotations

import pytest

from janusload.lab import Lab
from tests.benchmarks.setups import BATCH, open_and_close


@pytest.mark.lab
def test_who_joined_and_left_leaves_nothing_and_costs_little(lab: Lab) -> None:
    found = open_and_close(lab, 2 * BATCH)
    assert found["peers"] == 2 * BATCH
    assert found["fds"] == 0
    # 100 per second and core are wanted; CPU time of a machine that others use is up to twice as long
    assert 50 < found["per_core_s"] < 1000
