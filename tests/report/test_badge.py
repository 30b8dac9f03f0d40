from __future__ import annotations

import json

import pytest

from janusload.report import badge
from janusload.summary import Summary
from tests.report import sample


@pytest.mark.parametrize("summary", sample.every())
def test_badge_is_a_shields_endpoint(summary: Summary) -> None:
    made = json.loads(badge.render(summary))
    assert set(made) == {"schemaVersion", "label", "message", "color"}
    assert made["schemaVersion"] == 1
    assert made["label"] and made["message"]


def test_badge_says_the_onset_and_its_timeout() -> None:
    made = json.loads(badge.render(sample.summary()))
    assert made == {
        "schemaVersion": 1,
        "label": "create onset, T 2 s",
        "message": "239–299 requests/s",
        "color": "brightgreen",
    }
