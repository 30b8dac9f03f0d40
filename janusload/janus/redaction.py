"""Blotting secrets out of Janus's messages, parsed or not."""

from __future__ import annotations

import json
import math
import re
from typing import Any

BLOT = "***"

#: shorter values are no secrets worth the name, and blotting them everywhere would leave nothing to read
_SHORTEST = 4

#: how many values are remembered, besides those known from the start
_REMEMBERED = 256

#: names that hold secrets, compared without `_` and `-` and in lower case: Janus's API, its plugins', and ICE's
_NAMES = frozenset({"pin", "newpin", "roompin", "pass", "ha1", "key", "adminkey", "auth", "authorization", "allowed"})
_PARTS = ("secret", "token", "password", "passwd", "pwd", "ufrag", "usernamefragment", "crypto", "credential")

_IN_SDP = re.compile(r"(ice-(?:pwd|ufrag)\s*:|\bufrag\s|a=crypto:\S*\s+\S+\s|inline:)\s*[^\s\\\"]+", re.IGNORECASE)
_IN_URL = re.compile(r"(?<=://)[^/@\s\"]+@")
#: in text that did not parse: a name as JSON spells it, or nearly so, and what its value may look like
_NAME = re.compile(r"""(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(?<![\w-])([\w-]+))(?:\\?["'])?\s*[:=]\s*""", re.DOTALL)
_VALUE = re.compile(
    r""""(?:[^"\\]|\\.)*(?:"|\\?\Z) | '[^']*(?:'|\Z) | [\[{\\].* | [^\s,}\]"'\\]*""", re.VERBOSE | re.DOTALL
)


def is_secret(name: str) -> bool:
    """Whether what a field of this name holds is to be blotted out."""
    plain = name.lower().replace("_", "").replace("-", "")
    return plain in _NAMES or any(part in plain for part in _PARTS)


class Redactor:
    """Blots out what stands in fields with such names, and those values wherever else they turn up later."""

    def __init__(self, secrets: tuple[str | None, ...] = ()) -> None:
        self._first = {spelling for secret in secrets if secret is not None for spelling in _spellings(secret)}
        self._learnt: dict[str, None] = {}
        self._longest_first = sorted(self._first, key=len, reverse=True)

    def learn(self, value: object) -> None:
        """Blot this value out wherever it turns up from now on."""
        if isinstance(value, dict):
            for inner in value.values():
                self.learn(inner)
        elif isinstance(value, list):
            for inner in value:
                self.learn(inner)
        elif isinstance(value, str) and value not in self._learnt and value not in self._first:
            self._learnt.update(dict.fromkeys(_spellings(value)))
            while len(self._learnt) > _REMEMBERED:
                del self._learnt[next(iter(self._learnt))]
            self._longest_first = sorted([*self._first, *self._learnt], key=len, reverse=True)

    def message(self, value: Any) -> Any:
        """A copy of parsed JSON without its secrets."""
        if isinstance(value, dict):
            copy = {}
            for name, inner in value.items():
                if is_secret(name) and inner is not None and not isinstance(inner, bool):
                    self.learn(inner)
                    copy[self.words(name)] = BLOT
                else:
                    copy[self.words(name)] = self.message(inner)
            return copy
        if isinstance(value, list):
            return [self.message(inner) for inner in value]
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)  # which JSON cannot say
        return self.words(value) if isinstance(value, str) else value

    def words(self, text: str) -> str:
        """Text that is a value in a message: known secrets, SDP, URLs."""
        for known in self._longest_first:
            if known in text:
                text = text.replace(known, BLOT)
        if "ufrag" in text or "ice-pwd" in text or "crypto" in text or "inline" in text:
            text = _IN_SDP.sub(rf"\1{BLOT}", text)
        if "://" in text:
            text = _IN_URL.sub(f"{BLOT}@", text)
        return text

    def unparsed(self, text: str) -> str:
        """Text that should have been JSON and is not.

        Of a list, an object or JSON within a string under such a name, and of what follows it, nothing is left: nobody
        knows where it ends.
        """
        parts = []
        position = 0
        while (found := _NAME.search(text, position)) is not None:
            parts.append(text[position : found.end()])
            position = found.end()
            if is_secret(_spelt(found[1]) if found[1] is not None else found[2] or found[3] or ""):
                position = _end_of_value(text, position)
                parts.append(BLOT)
        return self.words("".join(parts) + text[position:])


def _spellings(secret: str) -> set[str]:
    """A secret as it is, and as JSON spells it, with and without escapes for what is not ASCII."""
    if len(secret) < _SHORTEST:
        return set()
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}


def _spelt(name: str) -> str:
    """A name without JSON's escapes, which could hide it."""
    try:
        return str(json.loads(f'"{name}"', strict=False))
    except ValueError:
        return name


def _end_of_value(text: str, position: int) -> int:
    found = _VALUE.match(text, position)
    return len(text) if found is None else found.end()
