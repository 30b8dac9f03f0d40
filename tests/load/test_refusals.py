"""The ladder tells a refusal, which is an answer, from silence by its words alone."""

from __future__ import annotations

import pytest

from janusload.analysis import ladder
from janusload.errors import CoreError, JanusError, PluginError, TransactionTimeout
from janusload.load import probes


@pytest.mark.parametrize(
    "refused",
    [
        CoreError("janus.create", 472, "Currently not accepting new sessions"),
        CoreError("janus.create", 99999, "Something that no table knows"),
        PluginError("audiobridge.leave", "audiobridge", 487, "Can't leave (not in a room)"),
    ],
    ids=str,
)
def test_a_refusal_is_an_answer(refused: JanusError) -> None:
    assert probes._REFUSAL.search(str(refused))
    assert probes._REFUSAL.pattern == ladder._REFUSED


def test_silence_is_none() -> None:
    assert not probes._REFUSAL.search(str(TransactionTimeout("janus.create", 2.0)))
