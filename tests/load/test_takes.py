"""What a user knows of its own recordings."""

from __future__ import annotations

from janusload.load.takes import Takes
from janusload.records import TakeRecord


class Told(list[tuple[int, str, int | None, int]]):
    """Source, name, due and muted of each record."""

    def __call__(self, record: TakeRecord) -> None:
        assert record.peer == "talker-1"
        self.append((record.ssrc, record.name, record.due, record.muted))


def test_what_was_sent_while_surely_recorded_is_due() -> None:
    told = Told()
    takes = Takes("talker-1", exact=True, tell=told)
    takes.begin("a", 0)
    takes.end(7, 500)
    takes.begin("b", 512)
    takes.end(7, 612)
    assert told == [(7, "a", 500, 0), (7, "b", 100, 0)]


def test_what_was_sent_while_muted_is_not() -> None:
    told = Told()
    takes = Takes("talker-1", exact=True, tell=told)
    takes.begin("a", 10)
    takes.mute(60)
    takes.unmute(80)
    takes.mute(100)
    takes.end(7, 130)
    assert told == [(7, "a", 70, 50)]
    takes.part(7, 140)
    assert len(told) == 1


def test_what_was_muted_without_a_recording_of_its_own_is_told_when_the_peer_goes() -> None:
    told = Told()
    takes = Takes("talker-1", exact=True, tell=told)
    takes.mute(100)
    takes.unmute(150)
    takes.mute(200)
    takes.part(7, 230)
    takes.part(7, 230)
    assert told == [(7, "", None, 80)]


def test_what_is_not_known_is_not_claimed() -> None:
    told = Told()
    takes = Takes("talker-1", exact=True, tell=told)
    takes.begin("a", None)
    takes.end(7, 500)
    takes.begin("b", 500)
    takes.mute(None)
    takes.unmute(520)
    takes.end(7, 600)
    takes.begin("c", 600)
    takes.end(None, None)  # the worker is gone, or no packet has left
    lossy = Takes("talker-1", exact=False, tell=told)
    lossy.begin("d", 0)
    lossy.end(7, 100)
    assert told == [(7, "a", None, 0), (7, "b", None, 0), (7, "d", None, 0)]
