"""Mean opinion score by the E-model, from what the network did to the audio.

Recommendation ITU-T G.107 (06/2015): R = Ro - Is - Id - Ie,eff + A with all that a network does not touch at its
defaults, for which Ro - Is is 93.2 (section 7.7). Echo is taken to be cancelled, so of Id only Idd is left
(section 7.4); Ie,eff is that of section 7.5, MOS that of Annex B.

Codecs: G.711 has Ie 0 and, with concealment, Bpl 25.1 (G.113 Appendix I). For Opus no ITU-T value exists; its Ie and
Bpl are those of rtcscore (github.com/ggarber/rtcscore, src/rtc_mos.js): Bpl 20 with in-band FEC and 10 without, Ie
55 - 4.6 ln(bit rate) on a scale that begins at 100, of which the 6.8 to 93.2 are taken off here.

It is a planner's estimate for telephone speech, good for comparing runs; it has never listened to anything.
"""

from __future__ import annotations

import math

#: Ro - Is at all defaults
BEST = 93.2
#: packet-loss robustness of G.711 with concealment
BPL_G711 = 25.1
#: of Opus, with in-band FEC and without
BPL_OPUS_FEC = 20.0
BPL_OPUS = 10.0

#: G.107 Table 1, delay sensitivity class "default"
_LEAST_PERCEIVED_MS = 100.0


def equipment(codec: str, bit_rate: float) -> float:
    """Ie of a codec at a bit rate in bit/s; see the module."""
    if codec != "opus" or bit_rate <= 0:
        return 0.0
    return min(30.0, max(0.0, 55 - 4.6 * math.log(bit_rate) - (100 - BEST)))


def delay_impairment(one_way_ms: float) -> float:
    """Idd: what the absolute delay from mouth to ear costs, without any echo."""
    if one_way_ms <= _LEAST_PERCEIVED_MS:
        return 0.0
    x = math.log2(one_way_ms / _LEAST_PERCEIVED_MS)
    return 25 * (math.pow(1 + x**6, 1 / 6) - 3 * math.pow(1 + (x / 3) ** 6, 1 / 6) + 2)


def rating(*, one_way_ms: float, lost_share: float, ie: float, bpl: float) -> float:
    """The transmission rating R, 0 to 93.2, for random loss (BurstR 1).

    Args:
        one_way_ms: from mouth to ear.
        lost_share: of packets, 0..1.
        ie, bpl: of the codec.
    """
    lost_percent = 100 * lost_share
    ie_eff = ie + (95 - ie) * lost_percent / (lost_percent + bpl)
    return max(0.0, BEST - delay_impairment(one_way_ms) - ie_eff)


def opinion(rating: float) -> float:
    """MOS-CQE, 1 to 4.5, of a rating R."""
    if rating <= 0:
        return 1.0
    if rating >= 100:
        return 4.5
    # the cubic dips below 1 near 0
    return max(1.0, 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6)
