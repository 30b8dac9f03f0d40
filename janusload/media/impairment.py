"""Bad networks played by the sender: which packets do not leave, so that the receiver sees gaps in the sequence.

Patterns, as text: `every:N` withholds every Nth packet, `random:SHARE` that share of them, independently.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from janusload.errors import MediaError


def losses(pattern: str, seed: int) -> Iterator[bool] | None:
    """For each packet in turn, whether it is lost; None if no packet ever is.

    Raises:
        MediaError: phase `media`; there is no such pattern.
    """
    if not pattern:
        return None
    kind, _, argument = pattern.partition(":")
    try:
        match kind:
            case "every" if int(argument) >= 2:
                return itertools.cycle([False] * (int(argument) - 1) + [True])
            case "random" if 0 < float(argument) < 1:
                return _random(float(argument), random.Random(seed))
    except ValueError:
        pass
    known = "every:N (N from 2), random:SHARE (between 0 and 1)"
    raise MediaError(f"there is no loss pattern {pattern!r}; known are {known}", phase="media")


def _random(share: float, source: random.Random) -> Iterator[bool]:
    while True:
        yield source.random() < share
