"""The tones by which talkers are told apart in a mix: known to the engine, which gives them out, and to the workers."""

from __future__ import annotations

#: what `tone` goes through: a semitone apart, inside what G.711 passes, and none within 1.8 % of a whole multiple of
#: another, so that no tone can be taken for another's distortion. Whole hertz: a second of audio is a loop.
TONES_HZ = tuple(round(400 * 1.0578**step) for step in range(36))
