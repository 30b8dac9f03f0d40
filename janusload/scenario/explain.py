"""What a scenario would do, in plain words and in a picture of load over time."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from janusload.pacing import Leg
from janusload.scenario import shapes
from janusload.scenario.life import Act, Choose, Repeat, Verb
from janusload.scenario.model import Impair, RoomsTable, Scenario, Users
from janusload.scenario.quantities import duration

_BLOCKS = " ▁▂▃▄▅▆▇█"

_WORDS = {
    Verb.CONNECT: "connect",
    Verb.CREATE: "create a session",
    Verb.JOIN: "join a room",
    Verb.PUBLISH: "publish audio",
    Verb.JOIN_PUBLISH: "join a room with audio",
    Verb.SUBSCRIBE: "subscribe to somebody",
    Verb.PLAY: "play the newest recording",
    Verb.MUTE: "be muted",
    Verb.UNMUTE: "be unmuted",
    Verb.STAY: "stay until the load ends",
    Verb.RECORD: "be recorded",
    Verb.STOP_RECORDING: "end the recording",
    Verb.RECORD_ROOM: "have the room recorded",
    Verb.STOP_RECORDING_ROOM: "end the room's recording",
    Verb.RECORD_ALL: "have everybody in the room recorded",
    Verb.STOP_RECORDING_ALL: "end the recordings of everybody",
    Verb.CHANGEROOM: "change to the next room",
    Verb.LIST: "ask who is there",
    Verb.LEAVE: "leave the room",
    Verb.HANGUP: "hang up",
    Verb.DETACH: "detach",
    Verb.DESTROY: "destroy the session",
    Verb.DISCONNECT: "disconnect",
    Verb.VANISH: "vanish without a word",
    Verb.PING: "ping",
    Verb.INFO: "ask for info",
}


def explain(scenario: Scenario) -> list[str]:
    """A paragraph per part."""
    lines = [scenario.asks, ""]
    lines += [f"Where: {_where(scenario)}"]
    lines += [f"Rooms: {_rooms(rooms)}" for rooms in scenario.every_room]
    for group in scenario.users:
        lines.append(f"Users: {_group(scenario, group)}")
        lines.append(f"       {_life(group.steps, _Setting(group.plugin, _place(scenario, group)))}")
    if scenario.stream is not None:
        stream = scenario.stream
        how = "as a Poisson process" if stream.arrivals == "poisson" else "evenly spaced"
        often = f"{stream.rate:g}/s, " if stream.rate is not None else ""
        lines.append(
            f"Asked: {stream.request}, {often}{how}, over {stream.connections} connections, whatever became of those"
            f" before; one that is not answered within {duration(stream.timeout)} has timed out."
        )
    lines.append(f"Load:  {_load(scenario)}")
    lines.append(f"Beside: every {duration(scenario.probes.every)} a probe of each layer, to tell stuck from slow.")
    lines.append(
        f"Then:  load off for at most {duration(scenario.recovery.at_most)}: does the server come back?"
        f" A server that answers nothing for {duration(scenario.recovery.silent_for)} is loaded no further."
    )
    lines += [f"Must hold: {limit.text}" for limit in scenario.limits]
    return lines


class _Setting(NamedTuple):
    """Where a life is lived: the plugin of `attach`, and which rooms, where there are several kinds."""

    plugin: str
    place: str


def _place(scenario: Scenario, group: Users) -> str:
    rooms = scenario.rooms_of(group)
    return f" of {rooms.name!r}" if rooms is not None and len(scenario.every_room) > 1 else ""


def _where(scenario: Scenario) -> str:
    if scenario.server is not None:
        return scenario.server.url
    lab = scenario.lab
    if lab is None:
        return "the Janus named with --host, or a private one with --lab"
    limits = [f"{lab.cpu:.0%} of a core"] if lab.cpu is not None else []
    limits += [f"{lab.memory / 1e6:g} MB of memory"] if lab.memory is not None else []
    if lab.recordings_disk is not None:
        takes = "" if lab.recordings_disk_speed is None else f" that takes {lab.recordings_disk_speed / 1e6:g} MB/s"
        limits.append(f"a disk of {lab.recordings_disk / 1e6:g} MB for recordings{takes}")
    which = f"Janus {lab.janus}" if lab.janus else "the installed Janus"
    return f"a private lab with {which}" + (f", {' and '.join(limits)}" if limits else "") + ", or the Janus of --host"


def _rooms(rooms: RoomsTable) -> str:
    count = "one room" if rooms.count == 1 else f"{rooms.count} rooms"
    facts = [f"{rooms.sampling_rate // 1000} kHz"] if rooms.plugin == "audiobridge" else []
    facts += ["recorded"] if rooms.record else []
    facts += ["each participant recorded"] if rooms.mjrs else []
    facts += ["with talk events"] if rooms.talk_events else []
    facts += ["nobody joins them"] if rooms.idle else []
    facts += [f"at most {rooms.users_each} users each"] if rooms.users_each else []
    return f"{count} of {rooms.plugin} called {rooms.name!r}" + (f" ({', '.join(facts)})" if facts else "")


def _group(scenario: Scenario, group: Users) -> str:
    most = scenario.most_of(group)
    count = f"{most} x {group.name!r}" if group.count is not None else f"up to {most} x {group.name!r}"
    media = {"webrtc": "WebRTC", "plain_rtp": "plain RTP", "none": "no audio"}[group.media]
    loss = "".join(f", {words}" for words in _impaired(group.impair))
    says = "" if not group.has_audio else f" saying {group.clip!r}"
    again = " One life each." if group.lives == 1 else f" {group.lives} lives each." if group.lives is not None else ""
    pause = f" {group.pause} between two lives." if group.pause is not None else ""
    return f"{count}, {media}{says}{loss}, arriving {group.spawn_rate:g} a second.{again}{pause} Each life:"


def _impaired(impair: Impair) -> list[str]:
    """What a bad network does to their packets."""
    found = []
    for key, words in (("loss", "lost"), ("duplicate", "sent twice"), ("reorder", "overtaken by the next")):
        if (which := getattr(impair, key)) is not None:
            found.append(_packets(which, words))
    if impair.delay is not None:
        found.append(f"packets held back {duration(impair.delay)}")
    if impair.jitter is not None:
        found.append(f"up to {duration(impair.jitter)} of jitter")
    return found


def _packets(which: str, words: str) -> str:
    """`every:2`, `random:0.1` or `bursts:0.05:3` of the packets are lost, say."""
    kind, value, *length = which.split(":")
    if kind == "every":
        return f"every other packet {words}" if value == "2" else f"one packet of {value} {words}"
    how = "at random" if kind == "random" else f"in bursts of {float(length[0]):g}"
    return f"{float(value) * 100:g} % of packets {words} {how}"


def _life(steps: Sequence[Act | Repeat | Choose], setting: _Setting) -> str:
    return ", ".join(_step(step, setting) for step in steps)


def _step(step: Act | Repeat | Choose, setting: _Setting) -> str:
    if isinstance(step, Repeat):
        often = "over and over" if step.repeat.low >= 1_000_000 else f"{step.repeat} times"
        return f"{often} ({_life(step.steps, setting)})"
    if isinstance(step, Choose):
        total = sum(way.weight for way in step.choose)
        ways = [f"{way.weight / total:.0%} {_life(way.steps, setting) or 'nothing'}" for way in step.choose]
        return f"either ({' | '.join(ways)})"
    if step.span is not None:
        return f"{step.verb} {step.span}"
    if step.verb is Verb.ATTACH:
        return f"attach to {step.plugin or setting.plugin}"
    place = setting.place if step.verb in (Verb.JOIN, Verb.JOIN_PUBLISH, Verb.CHANGEROOM) else ""
    return _WORDS[step.verb].replace(" room", f" room{place}", 1) + (
        ", recorded from the beginning" if step.record else ""
    )


def _load(scenario: Scenario) -> str:
    legs = scenario.legs()
    total = duration(round(sum(leg.duration_s for leg in legs), 1))
    unit = f" {scenario.axis}" if scenario.by_users else "/s"
    match scenario.shape:
        case shapes.Steps():
            loads = ", ".join(f"{leg.begin:g}" for leg in legs)
            if len(legs) == 1:
                return f"{loads}{unit} for {total}."
            return f"in {len(legs)} steps: {loads}{unit}; {total} in all. Two bad steps in a row end it."
        case shapes.Ramp():
            return f"climbs evenly from {legs[0].begin:g} to {legs[0].end:g}{unit} in {total}."
        case shapes.Search() as search:
            return (
                f"grows {search.grow:g}-fold from {search.begin} to at most {search.at_most} until a step is bad, then"
                f" halves the bracket until it is {search.within:.0%} wide; the server comes back between the steps."
            )
        case shapes.Spike() as spike:
            times = "one spike" if spike.times == 1 else f"{spike.times} spikes"
            return f"{spike.low}, with {times} of {spike.high} for {duration(spike.high_for)}; {total} in all."
        case shapes.Churn() as churn:
            people = scenario.user_count
            return (
                f"{churn.lives:g} lives begin per second, among {people} users, for {total}; one that no user is free"
                " for within a second is dropped and counted."
            )
        case shapes.Soak() as soak:
            return f"{soak.load} for {total}."
    return f"all of that for {total}."


def picture(scenario: Scenario, width: int = 72, height: int = 8) -> list[str]:
    """Load over time as text, `height` rows high; of a search what is known before its first answer."""
    legs = scenario.legs()
    ends = list(itertools.accumulate(leg.duration_s for leg in legs))
    total_s = ends[-1]
    most = max(max(leg.begin, leg.end) for leg in legs)
    columns = [_at(legs, ends, (column + 0.5) / width * total_s) / most * height for column in range(width)]
    label = f"{most:g}{'' if scenario.by_users else '/s'}"
    rows = []
    for row in range(height - 1, -1, -1):
        cells = "".join(_BLOCKS[round(min(1.0, max(0.0, value - row)) * 8)] for value in columns)
        margin = label if row == height - 1 else "0" if row == 0 else ""
        rows.append(f"{margin:>8} │{cells}".rstrip())
    end = duration(round(total_s, 1))
    rows.append(f"{'':>8} └{'─' * width}")
    rows.append(f"{'':>8}  0 s{end:>{width - 3}}")
    return rows


def _at(legs: Sequence[Leg], ends: Sequence[float], t_s: float) -> float:
    number = min(bisect.bisect_right(ends, t_s), len(legs) - 1)
    return legs[number].load_at(t_s - (ends[number - 1] if number else 0.0))
