"""What the parts of a summary are made of: quantiles and rates."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Milliseconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quantile(Part):
    """A Kaplan-Meier quantile in milliseconds; with `at_least` the value is only a lower bound (`>= T`)."""

    value: Milliseconds
    at_least: bool = False
    ci95: tuple[Milliseconds, Milliseconds] | None = None


class Quantiles(Part):
    p50: Quantile | None = None
    p95: Quantile | None = None
    p99: Quantile | None = None


class Rate(Part):
    """A timeout rate: x of n, with its one-sided Wilson bounds (as in measurement.md section 3)."""

    timeouts: int
    attempts: int
    value: Share
    lower: Share
    upper: Share
