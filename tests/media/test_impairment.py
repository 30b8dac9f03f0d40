from __future__ import annotations

from itertools import islice

import pytest

from janusload.errors import MediaError
from janusload.media.impairment import losses


def taken(pattern: str, count: int, seed: int = 1) -> list[bool]:
    found = losses(pattern, seed)
    assert found is not None
    return list(islice(found, count))


def test_no_pattern_is_no_loss() -> None:
    assert losses("", 1) is None


def test_every_other_packet() -> None:
    assert taken("every:2", 6) == [False, True] * 3


def test_every_fourth_packet() -> None:
    assert taken("every:4", 8) == [False, False, False, True] * 2


def test_random_loss_has_its_share_and_can_be_repeated() -> None:
    lost = taken("random:0.1", 10_000)
    assert 0.08 < sum(lost) / len(lost) < 0.12
    assert lost == taken("random:0.1", 10_000)
    assert lost != taken("random:0.1", 10_000, seed=2)


@pytest.mark.parametrize("pattern", ["always", "every", "every:1", "every:x", "random:0", "random:1", "random:nan"])
def test_an_unknown_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(MediaError, match="no loss pattern") as caught:
        losses(pattern, 1)
    assert caught.value.phase == "media"
