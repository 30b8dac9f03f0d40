"""The tones and the chirp that talkers are known by: for the engine, which gives them out, and for the workers."""

from __future__ import annotations

#: what `tone` goes through: a semitone apart, inside what G.711 passes, and none within 1.8 % of a whole multiple of
#: another, so that no tone can be taken for another's distortion. Whole hertz: a second of audio is a loop.
TONES_HZ = tuple(round(400 * 1.0578**step) for step in range(36))

#: a `chirp` clip has a rising chirp and then a falling one, in seconds: each so long, at that moment of its half. They
#: differ so that who hears one knows when it was spoken as long as it took less than both halves
CHIRP_EVERY_S = 2.0
CHIRP_AT_S = 0.5
CHIRP_S = 0.1
