"""Servers with a known truth, as the steps that a run against them would have measured.

Every law knows the load at which its timeout rate crosses p0, and, where the law is smooth, the latency there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtr

from janusload.analysis.onset import Rule
from janusload.analysis.plan import Plan
from janusload.analysis.steps import Measured
from janusload.analysis.windows import Window

T_S = 2.0
PLAN = Plan("janus.create", "janus.create per second", T_S, 0.0, Rule(), 0, True, "completed")
STEPS = 12
STEP_S = 12.0
_FAST_MU, _FAST_SIGMA = float(np.log(0.03)), 0.4


def tied_scores(due_s: np.ndarray, memory_s: float, random: np.random.Generator) -> np.ndarray:
    """Standard normal scores whose correlation falls by e within `memory_s`; shape as `due_s`, equal distances."""
    keep = float(np.exp(-(due_s[1] - due_s[0]) / memory_s))
    noise = random.normal(size=len(due_s)) * np.sqrt(1 - keep * keep)
    noise[0] = random.normal()
    return np.asarray(lfilter([1.0], [1.0, -keep], noise))


def _fast_quantile_s(quantile: float, background: float) -> float:
    return float(np.exp(_FAST_MU + _FAST_SIGMA * NormalDist().inv_cdf(quantile / (1 - background))))


@dataclass(frozen=True)
class Law(ABC):
    """A server; `background` is the share of requests that it loses at any load."""

    background: float = 0.0

    @abstractmethod
    def service_s(self, load: float, due_s: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """How long each request due at these moments takes; infinity for never. Shape as `due_s`."""

    @abstractmethod
    def first_bad(self) -> int | None:
        """The first step (loads are 1 to 12 times a unit) whose true timeout rate exceeds p0; None without one."""

    def onset_latency_s(self, _quantile: float) -> tuple[float, float] | None:
        """The true latency quantile where the timeout rate crosses p0, from below and from above (twice the same if
        it does not jump there), at most T; None without an onset."""
        return None

    def steps(self, samples: int, random: np.random.Generator) -> list[Measured]:
        """A run of twelve steps of equal length and count, at loads 1 to 12."""
        return [self._step(k, samples, random) for k in range(STEPS)]

    def _step(self, k: int, samples: int, random: np.random.Generator) -> Measured:
        due_s = np.arange(samples) * STEP_S / samples
        service_s = self.service_s(k + 1.0, due_s, random)
        service_s = np.where(random.random(samples) < self.background, np.inf, service_s)
        timed_out = service_s > T_S
        service_s = np.where(timed_out, np.inf, service_s)
        return Measured(
            window=Window(k, k + 1.0, 0, 0, round(STEP_S * 1e9), None),
            achieved=k + 1.0,
            due_ns=(due_s * 1e9).astype(np.int64),
            wait_s=np.minimum(service_s, T_S),
            service_s=service_s,
            timed_out=timed_out,
            outcomes={},
            participants=None,
            server_cpu_percent=None,
            obstacle=None,
            words="",
        )


@dataclass(frozen=True)
class Lognormal(Law):
    """The median grows by a factor per step, the shape stays."""

    growth: float = 1.5
    sigma: float = 0.6
    onset: float = 6.5  # load at which 1 % takes longer than T

    def _mu(self, load: float) -> float:
        at_onset = np.log(T_S) - NormalDist().inv_cdf(0.99) * self.sigma
        return float(at_onset + np.log(self.growth) * (load - self.onset))

    def service_s(self, load: float, due_s: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return random.lognormal(self._mu(load), self.sigma, len(due_s))

    def onset_load(self) -> float:
        """Where timeouts of the law and of the background together are p0."""
        own = (PLAN.rule.p0 - self.background) / (1 - self.background)
        at = np.log(T_S) - NormalDist().inv_cdf(1 - own) * self.sigma
        return float(self.onset + (at - self._mu(self.onset)) / np.log(self.growth))

    def first_bad(self) -> int:
        return int(np.floor(self.onset_load()))

    def onset_latency_s(self, quantile: float) -> tuple[float, float]:
        z = NormalDist().inv_cdf(quantile / (1 - self.background))
        truth = float(np.exp(self._mu(self.onset_load()) + z * self.sigma))
        return truth, truth


@dataclass(frozen=True)
class Remembering(Lognormal):
    """As `Lognormal`, but neighbouring requests fare alike: normal scores that an autoregression ties together."""

    memory_s: float = 0.4

    def service_s(self, load: float, due_s: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return np.exp(self._mu(load) + self.sigma * tied_scores(due_s, self.memory_s, random))


@dataclass(frozen=True)
class Queue(Law):
    """M/G/1: one server with exponential service beside the measured stream; neighbours wait for the same backlog.

    The sojourn time is exponential with mean service / (1 - load / capacity).
    """

    mean_s: float = 0.02
    capacity: float = 8.0
    memory_s: float = 0.3

    def service_s(self, load: float, due_s: np.ndarray, random: np.random.Generator) -> np.ndarray:
        if load >= self.capacity:
            excess = load / self.capacity - 1.0
            return 0.5 + due_s * excess * 4 + random.exponential(self.mean_s, len(due_s))
        scores = tied_scores(due_s, self.memory_s, random)
        below = ndtr(scores)
        return -np.log1p(-below) * self.mean_s / (1.0 - load / self.capacity)

    def first_bad(self) -> int:
        return int(self.capacity)

    def onset_latency_s(self, quantile: float) -> tuple[float, float]:
        own = (PLAN.rule.p0 - self.background) / (1 - self.background)
        truth = T_S * float(np.log(1 - quantile / (1 - self.background)) / np.log(own))
        return truth, truth


@dataclass(frozen=True)
class Bimodal(Law):
    """Fast, but from a load on a share of the requests waits for a lock that is held for longer than T."""

    onset_step: int = 6
    share: float = 0.06

    def service_s(self, load: float, due_s: np.ndarray, random: np.random.Generator) -> np.ndarray:
        fast = random.lognormal(_FAST_MU, _FAST_SIGMA, len(due_s))
        slow = (random.random(len(due_s)) < self.share) & (load > self.onset_step)
        return np.where(slow, 3.0, fast)

    def first_bad(self) -> int:
        return self.onset_step

    def onset_latency_s(self, quantile: float) -> tuple[float, float]:
        return _fast_quantile_s(quantile, self.background), T_S


@dataclass(frozen=True)
class Bursts(Law):
    """From a load on everything stands still for a while, several times a step."""

    onset_step: int = 6
    every_s: float = 6.0
    lasts_s: float = 2.6

    def service_s(self, load: float, due_s: np.ndarray, random: np.random.Generator) -> np.ndarray:
        fast = random.lognormal(_FAST_MU, _FAST_SIGMA, len(due_s))
        if load <= self.onset_step:
            return fast
        into_s = (due_s + random.uniform(0, self.every_s)) % self.every_s
        return np.where(into_s < self.lasts_s, self.lasts_s - into_s, 0.0) + fast

    def first_bad(self) -> int:
        return self.onset_step

    def onset_latency_s(self, quantile: float) -> tuple[float, float]:
        above = self.lasts_s - (1 - quantile) * self.every_s  # standing still alone
        return _fast_quantile_s(quantile, self.background), min(T_S, above)


@dataclass(frozen=True)
class Flat(Law):
    """No onset at any load, whatever the background."""

    def service_s(self, load: float, due_s: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return random.lognormal(_FAST_MU, _FAST_SIGMA, len(due_s))

    def first_bad(self) -> None:
        return None
