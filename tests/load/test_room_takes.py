"""What is known of the mixes that rooms record."""

from __future__ import annotations

from janusload.load.room_takes import RoomTakes
from janusload.records import MixRecord


class Rooms(RoomTakes):
    """With a clock in seconds that stands where it is put."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.told: list[MixRecord] = []
        super().__init__(self.told.append, lambda: round(self.now_s * 1e9))

    def at(self, second: float) -> Rooms:
        self.now_s = second
        return self


def test_a_mix_is_due_while_somebody_is_there_and_it_is_recorded() -> None:
    rooms = Rooms()
    rooms.made(1, recorded=True)
    rooms.at(1).come(1)
    rooms.at(2).come(1)
    rooms.at(5).go(1)
    rooms.at(6).go(1)  # 5 s
    rooms.at(8).come(1)
    rooms.at(9).end(1)  # and 1 s, with somebody still there
    rooms.at(12).begin(1, "b.wav")
    rooms.at(13).begin(1, "c.wav")  # Janus goes on with the first
    rooms.at(14).end(1)
    rooms.at(20).end(1)
    assert [tuple(each) for each in rooms.told] == [
        (9_000_000_000, 1, "janus-audioroom-1-", 6.0, 2),
        (14_000_000_000, 1, "b.wav", 2.0, 1),
    ]


def test_what_is_not_known_is_not_claimed() -> None:
    rooms = Rooms()
    rooms.made(1, recorded=True)
    rooms.come(1)
    rooms.at(3).go(1, sure=False)
    rooms.end(1)
    rooms.begin(1, "b.wav")
    rooms.at(4).end(1)
    # a room of another process: who knows what it records
    rooms.come(2)
    rooms.begin(2, "a.wav")
    rooms.go(2)
    rooms.end(2)
    assert [(each.name, each.due_s) for each in rooms.told] == [("janus-audioroom-1-", None), ("b.wav", 0.0)]
