"""badge.json: the run as a shields.io endpoint (https://shields.io/badges/endpoint-badge)."""

from __future__ import annotations

import json

from janusload import wording
from janusload.summary import Summary, Verdict

_COLOURS = {Verdict.PASSED: "brightgreen", Verdict.FAILED: "red", Verdict.INCONCLUSIVE: "lightgrey"}


def render(summary: Summary) -> str:
    onset = summary.onset
    label = wording.one_line(f"{wording.request(onset.request)} onset, T {wording.seconds(onset.timeout_s)}")
    badge = {
        "schemaVersion": 1,
        "label": label,
        "message": wording.one_line(wording.onset_in_short(onset)),
        "color": _COLOURS[summary.verdict],
    }
    return json.dumps(badge, indent=1, ensure_ascii=False) + "\n"
