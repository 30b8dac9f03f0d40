"""Pure schedules: when arrival k is due, which load comes next. Reads no clock, so that offered load can be proved
without running it."""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Leg(NamedTuple):
    """Load that stays the same, or changes evenly, for a while.

    Attributes:
        begin, end: load at its beginning and its end: arrivals per second, or users.
        duration_s: how long it lasts.
    """

    begin: float
    end: float
    duration_s: float

    @property
    def exact(self) -> float:
        """Arrivals in it, as a number that need not be whole."""
        return (self.begin + self.end) / 2 * self.duration_s

    @property
    def arrivals(self) -> int:
        """How many arrivals are due in it: arrival j for every whole j below `exact`."""
        whole = round(self.exact)
        # 49.99999999999999 is 50 that went through a division
        return whole if abs(self.exact - whole) < 1e-6 else int(self.exact) + 1

    def when(self, mass: float) -> float:
        """Seconds from its beginning until so many arrivals have become due."""
        if self.begin == self.end:
            return mass / self.begin
        root = self.begin**2 + 2 * (self.end - self.begin) * mass / self.duration_s
        return min(self.duration_s, 2 * mass / (self.begin + math.sqrt(max(0.0, root)))) if mass else 0.0

    def load_at(self, t_s: float) -> float:
        """Load `t_s` seconds after its beginning."""
        return self.begin + (self.end - self.begin) * min(1.0, max(0.0, t_s / self.duration_s))


def plateau(load: float, duration_s: float) -> Leg:
    """Load that stays the same."""
    return Leg(load, load, duration_s)


class Arrival(NamedTuple):
    """Arrival number `k` of all, due `due_s` seconds after the start, in leg number `leg`."""

    k: int
    due_s: float
    leg: int


class Schedule:
    """Arrivals over a row of legs.

    Evenly spaced ones: arrival k (from 0) is due `due_s(k)` seconds after the start, the first of each leg at its very
    beginning. Or those of a Poisson process with that rate, the same ones for the same seed.

    Args:
        poisson_seed: seed of the Poisson process; None for evenly spaced arrivals.
    """

    def __init__(self, legs: Sequence[Leg], *, poisson_seed: str | None = None) -> None:
        if not legs or any(min(leg) <= 0 for leg in legs):
            raise ValueError("a schedule needs legs with a load and a duration above 0")
        self.legs = tuple(legs)
        self.poisson_seed = poisson_seed
        self._first = [0, *itertools.accumulate(leg.arrivals for leg in legs)]
        self._begin_s = [0.0, *itertools.accumulate(leg.duration_s for leg in legs)]

    def __len__(self) -> int:
        """How many arrivals; of a Poisson process: how many to expect."""
        return self._first[-1]

    @property
    def duration_s(self) -> float:
        return self._begin_s[-1]

    def begin_s(self, leg: int) -> float:
        """When leg number `leg` begins; `begin_s(len(legs))` is the end of the schedule."""
        return self._begin_s[leg]

    def leg_of(self, k: int) -> int:
        """The leg in which evenly spaced arrival k is due."""
        if not 0 <= k < len(self):
            raise IndexError(k)
        return bisect.bisect_right(self._first, k) - 1

    def due_s(self, k: int) -> float:
        """When evenly spaced arrival k is due, in seconds after the start."""
        leg = self.leg_of(k)
        return self._begin_s[leg] + self.legs[leg].when(k - self._first[leg])

    def arrivals(self, worker: int = 0, of: int = 1) -> Iterator[Arrival]:
        """The arrivals of one of `of` workers, in the order in which they are due: every `of`-th of all.

        Whatever `of` is, the workers together have every arrival exactly once.
        """
        if not 0 <= worker < of:
            raise ValueError(f"worker {worker} of {of}")
        every = self._even() if self.poisson_seed is None else self._poisson(self.poisson_seed)
        return itertools.islice(every, worker, None, of)

    def _even(self) -> Iterator[Arrival]:
        for number, leg in enumerate(self.legs):
            first, begin_s = self._first[number], self._begin_s[number]
            for j in range(leg.arrivals):
                yield Arrival(first + j, begin_s + leg.when(j), number)

    def _poisson(self, seed: str) -> Iterator[Arrival]:
        """A process of rate 1 on the axis of expected arrivals, carried over to the axis of time."""
        source = random.Random(seed)
        begins = [0.0, *itertools.accumulate(leg.exact for leg in self.legs)]
        mass, number = source.expovariate(1.0), 0
        for k in itertools.count():
            while mass >= begins[number + 1]:
                number += 1
                if number == len(self.legs):
                    return
            yield Arrival(k, self._begin_s[number] + self.legs[number].when(mass - begins[number]), number)
            mass += source.expovariate(1.0)


def deal(total: int, weights: Sequence[float]) -> list[int]:
    """So many users dealt out by weight; they add up, and nobody is further than one from the exact share."""
    exact = [total * weight / sum(weights) for weight in weights]
    whole = [int(share) for share in exact]
    by_rest = sorted(range(len(weights)), key=lambda i: (whole[i] - exact[i], i))
    for i in by_rest[: total - sum(whole)]:
        whole[i] += 1
    return whole


class Search:
    """Which load to try next: grow until one is bad, then halve the bracket.

    Args:
        begin, at_most: the first load, and the highest.
        grow: factor from one load to the next while all is well.
        within: the search ends when the bracket is narrower than this share of its lower end.
        whole: whether loads are whole numbers (users).
    """

    def __init__(self, begin: float, at_most: float, *, grow: float, within: float, whole: bool) -> None:
        self.good: float | None = None
        self.bad: float | None = None
        self._begin = begin
        self._at_most = at_most
        self._grow = grow
        self._within = within
        self._whole = whole
        self._asked: float | None = None

    def next(self, was_bad: bool = False) -> float | None:
        """The next load, given what became of the one before; None when the search is over."""
        if self._asked is None:
            self._asked = self._begin
            return self._asked
        if was_bad:
            self.bad = self._asked if self.bad is None else min(self.bad, self._asked)
        elif self.bad is None or self._asked < self.bad:
            self.good = self._asked if self.good is None else max(self.good, self._asked)
        self._asked = self._further() if self.bad is None else self._between(self.bad)
        return self._asked

    def _further(self) -> float | None:
        assert self.good is not None
        if self.good >= self._at_most:
            return None
        load = self.good * self._grow
        return min(self._at_most, math.ceil(load) if self._whole else load)

    def _between(self, bad: float) -> float | None:
        if self.good is None:
            return None  # bad from the start: nothing below was asked for
        if bad - self.good <= self._within * self.good:
            return None
        # halfway on the scale of ratios, on which the steps grew
        middle = math.sqrt(self.good * bad)
        if not self._whole:
            return middle
        middle = round(middle)
        return middle if self.good < middle < bad else None
