"""Who should hear whom: talkers and listeners of a mix, and what listeners heard held against it.

A mix is what peers hear each other in, as a room; it is a name that whoever makes the peers gives them. A peer without
one hears itself: an echo. What is heard of whom can be told for tones, and for chirps where a mix has one chirper only;
talkers of other processes are not known here, so that their tones have no name.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from janusload.media.tones import CHIRP_EVERY_S, TONES_HZ
from janusload.records import HeardRecord

#: the mix of those of whom nobody knows what they should hear
UNKNOWN = ""

#: how long a change of who talks may take to be heard, through encoders, mixer and jitter buffers
TRANSIT_NS = 1_500_000_000
#: talkers that have gone are remembered for so long: their last words may still be on their way
REMEMBERED_NS = 10_000_000_000


class Voice:
    """One peer as others hear it.

    Attributes:
        name: of the peer.
        mix: what it is heard in; None for an echo, `UNKNOWN` where nothing is known. See `Mixes.move`.
        tone_hz: of its tone, None if it has none.
        chirps: whether it is a chirper.
        audible: whether it should be heard: connected, sending, not muted.
        changed_ns: since when that is so, monotonic.
        gone: whether it is closed.
    """

    def __init__(self, name: str, mix: str | None, clip: str) -> None:
        self.name = name
        self.mix = mix
        kind, _, hertz = clip.partition(":")
        self.tone_hz = float(hertz) if kind == "tone" else None
        self.chirps = clip == "chirp"
        self.audible = False
        self.changed_ns = 0
        self.gone = False
        self._spoken: deque[int] = deque(maxlen=16)

    def set_audible(self, audible: bool) -> None:
        """It begins or ceases to be audible now."""
        if audible != self.audible:
            self.audible = audible
            self.changed_ns = time.monotonic_ns()

    def leave(self) -> None:
        """It is closed; it is remembered until its last words must have been heard."""
        self.set_audible(False)
        self.gone = True

    def spoke(self, moment_ns: int) -> None:
        """It has spoken, or is just about to speak, a rising chirp at that moment; the falling one comes after it."""
        self._spoken.append(moment_ns)

    def delay_ms(self, heard_ns: int, falling: bool) -> float | None:
        """How long the chirp that was heard then has taken; None if none that was spoken can be that one."""
        after_ns = int(falling * CHIRP_EVERY_S * 1e9)
        before = [spoken_ns + after_ns for spoken_ns in self._spoken if spoken_ns + after_ns <= heard_ns]
        if not before or heard_ns - max(before) > 2 * CHIRP_EVERY_S * 1e9:
            return None
        return (heard_ns - max(before)) / 1e6

    def due(self, from_ns: int, until_ns: int) -> bool | None:
        """Whether it should have been heard all through that span, or never in it; None if neither."""
        if self.changed_ns + TRANSIT_NS > from_ns and self.changed_ns < until_ns:
            return None
        return self.audible


class Mixes:
    """The voices of one engine."""

    def __init__(self) -> None:
        self._voices: dict[str, list[Voice]] = {}
        self._turn = -1

    def join(self, voice: Voice) -> None:
        """Take a voice, into the mix that it names."""
        if voice.mix:
            self._present(voice.mix).append(voice)

    def move(self, voice: Voice, mix: str | None) -> None:
        """Have a voice heard, and hear, in another mix from now on."""
        if mix == voice.mix:
            return
        if voice.mix and voice in (present := self._present(voice.mix)):
            # it is not there any more if it has long gone
            present.remove(voice)
        voice.mix = mix
        # neither side can be judged by what was heard before
        voice.changed_ns = time.monotonic_ns()
        self.join(voice)

    def heard(self, listener: Voice, worker: int, said: dict[str, Any]) -> Iterator[HeardRecord]:
        """The records of one look by a listener: one for each talker, and for each tone that nobody sends.

        Args:
            said: `hearing.Heard` as the worker tells it.
        """
        from_ns, until_ns = said["from_ns"], said["until_ns"]
        levels = dict(map(tuple, said["tones"]))
        if listener.mix == UNKNOWN:
            return
        if listener.mix is None:
            talkers = [listener]
        else:
            talkers = [voice for voice in self._present(listener.mix) if voice is not listener]
        if listener.changed_ns + TRANSIT_NS > from_ns and not listener.gone:
            # it has only just come itself
            return
        known = set()
        chirpers = sum(talker.chirps for talker in talkers)
        for talker in talkers:
            due = talker.due(from_ns, until_ns)
            if talker.tone_hz is not None:
                known.add(talker.tone_hz)
                level = levels.get(talker.tone_hz)
                if due is not None and (due or level is not None):
                    yield HeardRecord(
                        until_ns, listener.name, worker, talker.name, due, level is not None, talker.tone_hz, level
                    )
            elif talker.chirps and chirpers == 1 and due is not None:
                delays = [talker.delay_ms(*chirp) for chirp in said["chirps"]]
                known_delays = [delay for delay in delays if delay is not None]
                for delay in known_delays:
                    yield HeardRecord(until_ns, listener.name, worker, talker.name, due, True, delay_ms=delay)
                if due and not known_delays:
                    yield HeardRecord(until_ns, listener.name, worker, talker.name, True, False)
        for hertz, level in levels.items():
            if hertz not in known:
                yield HeardRecord(until_ns, listener.name, worker, "", False, True, hertz, level)

    def tone(self, mix: str | None) -> int:
        """A tone that as few as can be in a mix have; without a mix one of all, by turns."""
        if not mix:
            self._turn += 1
            return TONES_HZ[self._turn % len(TONES_HZ)]
        used = [voice.tone_hz for voice in self._present(mix) if not voice.gone]
        return min(TONES_HZ, key=used.count)

    def _present(self, mix: str) -> list[Voice]:
        """Those of a mix, without those who have long gone."""
        now_ns = time.monotonic_ns()
        voices = [
            voice for voice in self._voices.get(mix, []) if not voice.gone or now_ns - voice.changed_ns < REMEMBERED_NS
        ]
        self._voices[mix] = voices
        return voices
