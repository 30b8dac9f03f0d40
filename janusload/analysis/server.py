"""The Janus process over the run, where it could be seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from janusload.analysis.plan import part
from janusload.analysis.readings import grown, last, most
from janusload.summary import Server

_CPU_OVER_S = 5


def server_of(server: pd.DataFrame, meta: Mapping[str, Any]) -> Server | None:
    """Sum up the server's readings; None if nothing is known of it."""
    info = part(meta, "server")
    version = info.get("version_string") or info.get("version") or part(meta, "versions").get("janus")
    if server.empty and version is None:
        return None
    rss = server.sort_values("t_ns", kind="stable")["rss_bytes"].dropna()
    throttled = most(server["throttled_share"])
    threads, fds, fds_limit = most(server["threads"]), most(server["fds"]), last(server["fds_limit"])
    return Server(
        version=None if version is None else str(version),
        cpu_percent_max=most(_over_seconds(server)),
        cpu_limit_percent=cpu_limit_percent(meta),
        throttled_share_max=None if throttled is None else min(1.0, max(0.0, throttled)),
        rss_mb_first=float(rss.iloc[0]) / 1e6 if len(rss) else None,
        rss_mb_max=float(rss.max()) / 1e6 if len(rss) else None,
        threads_max=None if threads is None else int(threads),
        fds_max=None if fds is None else int(fds),
        fds_limit=None if fds_limit is None else int(fds_limit),
        udp_drops=grown(server.sort_values("t_ns", kind="stable")["udp_drops"]),
        cannot_see=_texts(part(meta, "watched").get("cannot_see")),
        known=_texts(meta.get("advisories")),
    )


def cpu_limit_percent(meta: Mapping[str, Any]) -> float | None:
    """The CPU quota that the lab set, percent of a core; None without one."""
    limit = part(meta, "lab").get("cpu_percent")
    return float(limit) if isinstance(limit, int | float) else None


def log_of(log: pd.DataFrame) -> dict[str, int] | None:
    """Lines of each category that the server logged; None if its log was not read."""
    if log.empty:
        return None
    counts = log.groupby("category", observed=True)["lines"].sum().sort_values(ascending=False)
    return {str(category): int(count) for category, count in counts.items() if count}


def _over_seconds(server: pd.DataFrame) -> pd.Series[float]:
    """CPU at each reading as the mean of the last seconds: one reading counts clock ticks of 10 ms, and so few of them
    under a quota of some percent that it may show twice what was used."""
    known = server.dropna(subset=["cpu_percent"]).sort_values("t_ns", kind="stable")
    at = pd.to_datetime(known["t_ns"].to_numpy())
    means = pd.Series(known["cpu_percent"].to_numpy(float), index=at).rolling(f"{_CPU_OVER_S}s").mean()
    return means[at >= min(at[0] + pd.Timedelta(seconds=_CPU_OVER_S - 1), at[-1])] if len(at) else means


def _texts(values: object) -> list[str]:
    return [str(value) for value in values] if isinstance(values, list) else []
