from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from janusload.media import clips, messages
from janusload.media.carried import PeerState
from janusload.media.quality import Reception
from janusload.media.rtcp import ReportBlock
from janusload.media.telling import NO_MEDIA_S, Telling
from janusload.records import PeerEventKind
from tests.media.flows import flow_and_far

S = 1_000_000_000


class Someone:
    """A connected peer whose counters are set by hand."""

    def __init__(self, codec: str = "opus") -> None:
        self.number = 7
        self.state = PeerState.CONNECTED
        self.codec = codec
        self.clip = clips.make("silence")
        self.receives = True
        self.paused = False
        self.answered_unix_ns: int | None = 5 * S
        self.setup_ms, self.ice_ms, self.dtls_ms = 12.0, 8.0, 4.0
        self.reception = Reception(48_000)
        self.flow: Any = SimpleNamespace(
            reception=self.reception,
            sent=0,
            sent_bytes=0,
            received_bytes=0,
            late=0,
            rtt_ms=None,
            remote_lost_share=None,
            reported=None,
            dropped=0,
            ssrc=9,
            used=0,
        )
        self._next = 0

    def hears(self, packets: int, lost: int = 0) -> None:
        self._next += lost
        for _ in range(packets):
            self.reception.packet(1, self._next, self._next * 960, 6 * S + self._next * 20_000_000)
            self._next += 1


def told(someone: Any) -> Telling:
    return Telling(someone)


def row(telling: Telling, t_ns: int = 0) -> dict[str, Any]:
    return dict(zip(messages.MEDIA_FIELDS, telling.row(t_ns), strict=True))


def test_a_row_has_every_field_before_and_after_the_flow() -> None:
    someone = Someone()
    someone.hears(10)
    found = row(told(someone), 3)
    assert (found["number"], found["t_ns"], found["received"]) == (7, 3, 10)
    assert (found["setup_ms"], found["ice_ms"], found["dtls_ms"]) == (12.0, 8.0, 4.0)
    assert found["first_packet_ms"] == 1000.0
    someone.flow = None
    found = row(told(someone), 3)
    assert (found["received"], found["first_packet_ms"], found["mos"], found["dropped"]) == (0, None, None, 0)


def test_rows_of_a_real_flow_fit() -> None:
    with flow_and_far() as (flow, _):
        someone = Someone()
        someone.flow = flow
        assert row(told(someone))["sent"] == 0


def test_scores_are_of_what_came_since_the_row_before() -> None:
    someone = Someone()
    telling = told(someone)
    assert row(telling)["mos"] is None
    someone.hears(50)
    whole = row(telling)["mos"]
    assert whole == pytest.approx(4.37, abs=0.05)
    someone.hears(40, lost=10)
    assert row(telling)["mos"] < 2.2
    assert row(telling)["mos"] is None
    someone.hears(50)
    assert row(telling)["mos"] == whole
    someone.flow.rtt_ms = 700.0
    someone.hears(50)
    assert row(telling)["mos"] < 3.7


def test_what_was_sent_is_scored_by_the_servers_reports() -> None:
    someone = Someone()
    telling = told(someone)

    def reports(highest: int, lost: int, jitter: int = 0) -> float | None:
        someone.flow.reported = ReportBlock(9, 0, lost, highest, jitter, 0, 0)
        found: float | None = row(telling)["mos_sent"]
        return found

    assert row(telling)["mos_sent"] is None
    # where its count begins
    assert reports(1_000, 3) is None
    whole = reports(1_050, 3)
    assert whole == pytest.approx(4.37, abs=0.05)
    # nothing new was said
    assert row(telling)["mos_sent"] is None
    lossy = reports(1_100, 13)
    assert lossy is not None and lossy < 2.2
    assert reports(1_150, 13) == whole
    shaken = reports(1_200, 13, jitter=48 * 200)
    assert shaken is not None and shaken < 3.5
    # all of it was lost: no score, as for who hears nothing
    assert reports(1_250, 63) is None
    # duplicates
    assert reports(1_300, 60) == whole
    someone.hears(50)
    assert row(telling)["mos"] == whole


def test_g711_bears_loss_better() -> None:
    scores = {}
    for codec in ("opus", "pcma"):
        someone = Someone(codec)
        someone.hears(1)
        someone.hears(47, lost=2)
        scores[codec] = row(told(someone))["mos"]
    assert 4.1 > scores["pcma"] > scores["opus"]


def test_audio_that_stays_away_is_told_once_and_so_is_its_return() -> None:
    someone = Someone()
    telling = told(someone)
    assert telling.event(0) is None
    someone.hears(50)
    assert [telling.event(second * S) for second in (1, 2)] == [None, None]
    assert telling.event(3 * S) == (PeerEventKind.NO_MEDIA, 2.0)
    assert telling.event(4 * S) is None
    someone.hears(1)
    assert telling.event(5 * S) == (PeerEventKind.MEDIA_AGAIN, 4.0)
    assert telling.event(6 * S) is None


def test_audio_that_never_came_is_told() -> None:
    telling = told(Someone())
    assert [telling.event(second * S) for second in (0, 1)] == [None, None]
    assert telling.event(2 * S) == (PeerEventKind.NO_MEDIA, NO_MEDIA_S)


@pytest.mark.parametrize("why", ["connecting", "nothing to receive", "paused", "no flow"])
def test_audio_that_is_not_due_is_not_missed(why: str) -> None:
    someone = Someone()
    if why == "connecting":
        someone.state = PeerState.CONNECTING
    someone.receives = why != "nothing to receive"
    someone.paused = why == "paused"
    if why == "no flow":
        someone.flow = None
    telling = told(someone)
    assert [telling.event(second * S) for second in range(6)] == [None] * 6


def test_the_wait_begins_anew_when_audio_becomes_due_again() -> None:
    someone = Someone()
    telling = told(someone)
    telling.event(0)
    someone.paused = True
    telling.event(5 * S)
    someone.paused = False
    assert [telling.event(second * S) for second in (6, 7)] == [None, None]
    assert telling.event(8 * S) == (PeerEventKind.NO_MEDIA, 2.0)


def test_who_was_silent_before_a_pause_is_so_until_something_comes() -> None:
    someone = Someone()
    telling = told(someone)
    telling.event(0)
    assert telling.event(3 * S) == (PeerEventKind.NO_MEDIA, 3.0)
    someone.paused = True
    assert telling.event(4 * S) is None
    someone.paused = False
    assert [telling.event(second * S) for second in (5, 6, 9)] == [None, None, None]
    assert someone.flow is not None
    someone.flow.reception.received += 1
    assert telling.event(10 * S) == (PeerEventKind.MEDIA_AGAIN, 5.0)
