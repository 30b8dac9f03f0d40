"""Bad networks played by the sender, where no privilege for `tc netem` is needed: what becomes of each packet.

As text, parts separated by commas, or as a table with the same keys:

- `loss=PATTERN`: these packets do not leave; sequence numbers go on, so that the receiver sees gaps.
- `duplicate=PATTERN`: these leave twice.
- `reorder=PATTERN`: these are held back until the next one has overtaken them.
- `delay=MS`: every packet is held back so long.
- `jitter=MS`: every packet is held back by a further random time, uniform from 0 to this.
- `seed=NUMBER`: to play the same network again; else every peer has its own, by its number.

A PATTERN says which packets: `every:N` (N from 2: every Nth), `random:SHARE` (independently of each other), or
`bursts:SHARE:LENGTH` (that share of all, in runs of that mean length: Gilbert's channel, E. N. Gilbert, "Capacity of a
Burst-Noise Channel", 1960).

RTP alone is played with: RTCP, STUN and DTLS go their way, so that the round trip that RTCP measures has no `delay` in
it, and sender reports count what left.

The fate of a packet is decided when its turn comes and does not depend on when that is, so that fates can be taken
ahead of time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

from janusload.errors import MediaError

#: for how long the copies of a packet are held back, in ns: one copy each; none is a loss
Fate = tuple[int, ...]

#: it leaves at once: the same object every time, so that a tick may ask `is`
AT_ONCE: Fate = (0,)
LOST: Fate = ()

#: longest that a packet may be held back, in ms: memory is bounded by it
LONGEST_MS = 10_000.0

_MS = 1_000_000
_KEYS = ("loss", "duplicate", "reorder", "delay", "jitter", "seed")


class Fates:
    """For each packet in turn what becomes of it; to be gone through once.

    Attributes:
        hold: whether any of them may be held back. If not, each is sent so and so often at once.
    """

    def __init__(self, each: Iterator[Fate], *, hold: bool) -> None:
        self._each = each
        self.hold = hold

    def __iter__(self) -> Iterator[Fate]:
        return self._each


def fates(wanted: str | Mapping[str, object] | None, *, seed: int, ptime_ms: int = 20) -> Fates | None:
    """For each packet in turn what becomes of it; None if all leave at once.

    Args:
        wanted: see the module; also a loss pattern alone, as `every:2`.
        seed: of the random numbers, unless `wanted` has one.
        ptime_ms: duration of a packet, which `reorder` needs.

    Raises:
        MediaError: phase `media`; it makes no sense. The text says which part, and what would.
    """
    table = _table(wanted or {})
    source = random.Random(f"{table.pop('seed', seed)}")
    if not table:
        return None
    picks: dict[str, Callable[[], bool]] = {
        key: _pattern(key, table[key], random.Random(source.random()))
        for key in ("loss", "duplicate", "reorder")
        if key in table
    }
    delay_ns, jitter_ns = (_hold(key, table.get(key, 0.0)) for key in ("delay", "jitter"))
    # half a packet more, so that the overtaken one does not leave together with the one that overtakes it
    overtaken_ns = ptime_ms * 3 * _MS // 2
    each = _play(picks, delay_ns, jitter_ns, overtaken_ns, source)
    return Fates(each, hold=bool(delay_ns or jitter_ns or "reorder" in picks))


def _play(
    picks: dict[str, Callable[[], bool]], delay_ns: int, jitter_ns: int, overtaken_ns: int, source: random.Random
) -> Iterator[Fate]:
    never = bool
    lost, twice, overtaken = (picks.get(key, never) for key in ("loss", "duplicate", "reorder"))
    constant = (delay_ns,) if delay_ns else AT_ONCE
    while True:
        # all are asked each time, so that one pattern does not depend on another
        gone, doubled, late = lost(), twice(), overtaken()
        if gone:
            yield LOST
        elif not doubled and not late and not jitter_ns:
            yield constant
        else:
            held_ns = delay_ns + (overtaken_ns if late else 0)
            copies = 2 if doubled else 1
            yield tuple(held_ns + (int(source.random() * jitter_ns) if jitter_ns else 0) for _ in range(copies))


def _table(wanted: str | Mapping[str, object]) -> dict[str, object]:
    if isinstance(wanted, str):
        parts = [part.strip() for part in wanted.split(",")]
        if len(parts) == 1 and "=" not in parts[0]:
            return {"loss": parts[0]}
        table: dict[str, object] = {}
        for part in parts:
            key, equals, value = (each.strip() for each in part.partition("="))
            if not equals or key in table:
                _refuse(f"{part!r} is not of the form KEY=VALUE, or there twice")
            table[key] = value
    else:
        table = dict(wanted)
    for key in table:
        if key not in _KEYS:
            _refuse(f"there is no {key!r}; known are {', '.join(_KEYS)}")
    return table


def _pattern(key: str, value: object, source: random.Random) -> Callable[[], bool]:
    kind, *arguments = str(value).split(":")
    try:
        match kind, arguments:
            case "every", [text] if int(text) >= 2:
                return _Every(int(text))
            case "random", [text] if 0 < float(text) < 1:
                share = float(text)
                return lambda: source.random() < share
            case "bursts", [text, length] if 0 < float(text) < 1 and 1 <= float(length) < math.inf:
                return _bursts(key, float(text), float(length), source)
    except ValueError:
        pass
    known = "every:N (N from 2), random:SHARE (between 0 and 1), bursts:SHARE:LENGTH (LENGTH from 1, in packets)"
    _refuse(f"{key} has no pattern {value!r}; known are {known}")


class _Every:
    """True every Nth time."""

    def __init__(self, n: int) -> None:
        self._n = self._left = n

    def __call__(self) -> bool:
        self._left -= 1
        if self._left:
            return False
        self._left = self._n
        return True


def _bursts(key: str, share: float, length: float, source: random.Random) -> Callable[[], bool]:
    # two states; the bad one is left with probability r and entered with p, and share = p / (p + r)
    leave = 1 / length
    enter = leave * share / (1 - share)
    if enter > 1:
        _refuse(f"{key} cannot have {share:g} of all packets in bursts of {length:g}: longer ones could")
    bad = False

    def picked() -> bool:
        nonlocal bad
        bad = source.random() >= leave if bad else source.random() < enter
        return bad

    return picked


def _hold(key: str, value: object) -> int:
    text = str(value).removesuffix("ms").strip()
    try:
        hold_ms = float(text)
    except ValueError:
        hold_ms = math.nan
    if not 0 <= hold_ms <= LONGEST_MS:
        _refuse(f"{key} is {value!r}, not a time from 0 to {LONGEST_MS:g} ms")
    return int(hold_ms * _MS)


def _refuse(reason: str) -> NoReturn:
    raise MediaError(f"no such impairment: {reason}", phase="media")
