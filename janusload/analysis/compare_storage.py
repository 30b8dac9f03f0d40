"""Memory and recordings of two runs held against each other.

Page cache that the kernel can take back is neither good nor bad: it is better only where it is a fifth less, and it
never makes a run worse. What cannot be taken back, and what is missing in recordings, does.
"""

from __future__ import annotations

from janusload.comparison import Aspect, Change
from janusload.summary import Memory, Recordings, Summary
from janusload.wording import number, percent

#: of the larger one, from which a difference counts
_LEAST_SHARE = 0.2
_LEAST_FIRM_MB = 2.0
_LEAST_FILE_MB = 5.0
_LEAST_MISSING = 0.001


def storage(base: Summary, new: Summary) -> list[Aspect]:
    """What memory and recordings differ in; nothing where one of the runs does not know."""
    aspects = []
    if base.memory is not None and new.memory is not None:
        aspects += _memory(base.memory, new.memory)
    if base.recordings is not None and new.recordings is not None:
        aspects += _recordings(base.recordings, new.recordings)
    return aspects


def _memory(base: Memory, new: Memory) -> list[Aspect]:
    aspects = []
    why = f"{_LEAST_SHARE:.0%} and {_LEAST_FIRM_MB:g} MB count"
    change = _less(base.firm_mb, new.firm_mb, _LEAST_FIRM_MB)
    aspects.append(_mb("memory that cannot be taken back", base.firm_mb, new.firm_mb, change, why))
    for name, one, other in (
        ("page cache, at most", base.file_mb_max, new.file_mb_max),
        ("recordings in the page cache, at most", base.recordings_resident_mb_max, new.recordings_resident_mb_max),
    ):
        if one is not None and other is not None:
            change = _less(one, other, _LEAST_FILE_MB)
            # more of it is no harm by itself
            change = Change.SAME if change is Change.WORSE else change
            aspects.append(_mb(name, one, other, change, f"{_LEAST_SHARE:.0%} and {_LEAST_FILE_MB:g} MB less count"))
    if base.state is not None and new.state is not None:
        order = list(type(base.state))
        one_rank, other_rank = (max(0, order.index(state) - 1) for state in (base.state, new.state))
        change = Change.SAME if one_rank == other_rank else Change.WORSE if other_rank > one_rank else Change.BETTER
        said = [state.value.replace("_", " ") for state in (base.state, new.state)]
        aspects.append(Aspect(name="memory limit", base=said[0], new=said[1], change=change))
    return aspects


def _recordings(base: Recordings, new: Recordings) -> list[Aspect]:
    damaged = [sum(each.states.values()) - each.whole for each in (base, new)]
    change = Change.SAME if damaged[0] == damaged[1] else Change.WORSE if damaged[1] > damaged[0] else Change.BETTER
    aspects = [Aspect(name="recordings not whole", base=str(damaged[0]), new=str(damaged[1]), change=change)]
    one, other = base.missing_share, new.missing_share
    if one is not None and other is not None:
        differs = abs(other - one) >= _LEAST_MISSING
        change = (Change.WORSE if other > one else Change.BETTER) if differs else Change.SAME
        name, why = "packets missing in recordings", f"{percent(_LEAST_MISSING)} of the packets counts"
        aspects.append(Aspect(name=name, base=percent(one), new=percent(other), change=change, why=why))
    return aspects


def _mb(name: str, one: float, other: float, change: Change, why: str) -> Aspect:
    return Aspect(name=name, base=f"{number(one)} MB", new=f"{number(other)} MB", change=change, why=why)


def _less(base: float, new: float, least: float) -> Change:
    if abs(new - base) < max(least, _LEAST_SHARE * max(base, new)):
        return Change.SAME
    return Change.WORSE if new > base else Change.BETTER
