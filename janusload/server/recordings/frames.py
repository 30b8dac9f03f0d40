"""Finding the frames of an MJR file in a buffer: vectorised, exact, and able to go on after damage.

A frame is a sync word, a fixed header that ends in the payload's length (16 bits, big endian), and the payload. The
frames form a chain: each says where the next begins. A payload may contain the sync word by chance, so the chain
decides, not the word: every place with a sync word is a candidate, and the chain is followed through the candidates in
one vectorised comparison; only where it breaks is it looked at one by one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Bytes = np.ndarray[tuple[int], np.dtype[np.uint8]]
Offsets = np.ndarray[tuple[int], np.dtype[np.int64]]


class Layout(NamedTuple):
    """How frames look: the sync word, and how many bytes lie between it and the payload's length."""

    sync: bytes
    between: int

    @property
    def header_bytes(self) -> int:
        return len(self.sync) + self.between + 2


class Damage(NamedTuple):
    """A place where the chain breaks: `skipped` bytes from `offset` on belong to no frame that can be trusted."""

    offset: int
    skipped: int


class Found(NamedTuple):
    """Frames in a buffer.

    Attributes:
        starts, lengths: of each whole frame: where it begins, and how long its payload is.
        damages: places that were skipped.
        end: where the first frame begins that is not whole in the buffer; its size if nothing is left over.
    """

    starts: Offsets
    lengths: Offsets
    damages: list[Damage]
    end: int


def find(data: Bytes, layout: Layout, *, last: bool, at_most_damages: int) -> Found:
    """Follow the chain of frames from the beginning of `data`.

    Args:
        last: whether nothing follows the buffer, so that a frame which does not fit is cut off, not yet to come.
        at_most_damages: stops after so many; `end` then says where.
    """
    size = len(data)
    candidates = _candidates(data, layout)
    header = layout.header_bytes
    lengths = (
        data[candidates + header - 2].astype(np.int64) << 8 | data[candidates + header - 1]
        if len(candidates)
        else np.empty(0, np.int64)
    )
    following = candidates + header + lengths
    position = 0
    pieces: list[tuple[int, int]] = []
    damages: list[Damage] = []
    linked = np.empty(0, bool)
    breaks = np.empty(0, np.int64)
    if len(candidates):
        linked = np.append(following[:-1] == candidates[1:], False)
        breaks = np.flatnonzero(~linked)
    trusted = _trusted(candidates, following, size)
    while position < size and len(damages) < at_most_damages:
        index = int(np.searchsorted(candidates, position))
        if index < len(candidates) and candidates[index] == position:
            stop = int(breaks[np.searchsorted(breaks, index)])  # the last entry never links, so there is one
            after = int(following[stop])
            if after > size:
                # the last of them is not whole
                position = int(candidates[stop])
                if stop > index:
                    pieces.append((index, stop))
                if not _believable_cut(candidates, trusted, stop, size, last=last):
                    position = _skip(candidates, trusted, position, size, damages)
                    continue
                break
            landed = int(np.searchsorted(candidates, after))
            sound = after == size or (landed < len(candidates) and candidates[landed] == after)
            if not sound and size - after < header and not last:
                sound = True  # too few bytes left to see the next sync word
            if sound or not _better_between(candidates, trusted, stop, after):
                pieces.append((index, stop + 1))
                position = after
                if sound and size - after < header:
                    break
                continue
            # the length of this frame leads past frames that hang together: it is the length that is wrong
            if stop > index:
                pieces.append((index, stop))
            position = _skip(candidates, trusted, int(candidates[stop]), size, damages)
            continue
        if size - position < header and not last:
            break
        position = _skip(candidates, trusted, position, size, damages)
    if pieces:
        chosen = np.concatenate([np.arange(a, b) for a, b in pieces])
        return Found(candidates[chosen], lengths[chosen], damages, position)
    return Found(np.empty(0, np.int64), np.empty(0, np.int64), damages, position)


def _candidates(data: Bytes, layout: Layout) -> Offsets:
    """Every place with a sync word whose header is all there."""
    reach = len(data) - layout.header_bytes + 1
    if reach <= 0:
        return np.empty(0, np.int64)
    places: Offsets = np.flatnonzero(data[:reach] == layout.sync[0])
    for at, value in enumerate(layout.sync[1:], start=1):
        places = places[data[places + at] == value]
    return places


def _trusted(candidates: Offsets, following: Offsets, size: int) -> Offsets:
    """The candidates whose next frame is there, or lies at or beyond the end: where reading may go on after damage."""
    if not len(candidates):
        return candidates
    landed = np.searchsorted(candidates, following)
    inside = landed < len(candidates)
    hit = np.zeros(len(candidates), bool)
    hit[inside] = candidates[landed[inside]] == following[inside]
    return candidates[hit | (following >= size)]


def _better_between(candidates: Offsets, trusted: Offsets, stop: int, after: int) -> bool:
    """Whether a trusted frame begins inside what frame `stop` claims to be."""
    at = int(np.searchsorted(trusted, candidates[stop], side="right"))
    return at < len(trusted) and int(trusted[at]) < after


def _believable_cut(candidates: Offsets, trusted: Offsets, stop: int, size: int, *, last: bool) -> bool:
    """Whether a frame that reaches beyond the buffer is only cut there, rather than lying about its length."""
    if not last:
        return True
    at = int(np.searchsorted(trusted, candidates[stop], side="right"))
    return at >= len(trusted)


def _skip(candidates: Offsets, trusted: Offsets, position: int, size: int, damages: list[Damage]) -> int:
    """Where reading goes on after damage at `position`: the next trusted frame, or the end."""
    at = int(np.searchsorted(trusted, position, side="right"))
    onward = int(trusted[at]) if at < len(trusted) else size
    damages.append(Damage(position, onward - position))
    return onward
