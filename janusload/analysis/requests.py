"""Every request by its name, over the whole run."""

from __future__ import annotations

import numpy as np
import pandas as pd

from janusload.analysis.attempts import attempts_of, is_any
from janusload.analysis.quantiles import curve_ms, latency_ms
from janusload.records import Outcome, Source
from janusload.summary import RequestSummary


def requests_of(request: pd.DataFrame) -> dict[str, RequestSummary]:
    """One entry per name, of all sources but the ladder, whose questions are told apart; the most frequent first."""
    found = {str(name): _summary(request, str(name)) for name in request["name"].cat.categories}
    return dict(sorted(((name, each) for name, each in found.items() if each.count), key=lambda item: -item[1].count))


def _summary(request: pd.DataFrame, name: str) -> RequestSummary:
    attempts = attempts_of(request, name)
    judged = attempts.judged
    longest_s = max(attempts.timeouts_s, default=None)
    rows = is_any(request["name"], {name}) & ~is_any(request["source"], {Source.PROBES})
    return RequestSummary(
        count=len(attempts),
        outcomes=attempts.outcomes(),
        latency_ms=latency_ms(attempts.wait_s[judged], attempts.timed_out[judged], longest_s),
        curve=curve_ms(attempts.wait_s[judged], attempts.timed_out[judged], longest_s),
        late=int((rows & request["late_ns"].notna().to_numpy()).sum()),
        errors=_errors(request[rows & is_any(request["outcome"], {Outcome.API_ERROR})]),
    )


def _errors(refused: pd.DataFrame) -> dict[str, int]:
    """`audiobridge 485` for a plugin's refusal, `janus 458` for the core's: codes overlap between plugins."""
    by_plugin = (refused["layer"] == "plugin").to_numpy()
    who = np.where(by_plugin, refused["plugin"].astype(str).replace("", "plugin"), "janus")
    code = refused["code"].map(lambda value: "without a code" if pd.isna(value) else f"{value:.0f}").astype(str)
    keys = pd.Series(who, index=refused.index, dtype=str) + " " + code
    return {str(key): int(count) for key, count in keys.value_counts().items()}
