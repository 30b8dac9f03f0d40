"""Blotting secrets out of Janus's messages, parsed or not."""

from __future__ import annotations

import json
import math
import re
from typing import Any

BLOT = "***"

#: shorter values are no secrets worth the name, and blotting them everywhere would leave nothing to read
_SHORTEST = 4

#: how many values are remembered
_REMEMBERED = 4096

#: names that hold secrets, compared without `_` and `-` and in lower case: Janus's API, its plugins', and ICE's
_NAMES = frozenset({"pin", "newpin", "roompin", "pass", "ha1", "key", "adminkey", "auth", "authorization", "allowed"})
_PARTS = ("secret", "token", "password", "passwd", "pwd", "ufrag", "usernamefragment", "crypto", "credential")

_IN_SDP = re.compile(r"(ice-(?:pwd|ufrag)\s*:|\bufrag\s|a=crypto:\S*\s+\S+\s|inline:)\s*[^\s\\\"]+", re.IGNORECASE)
_IN_URL = re.compile(r"(?<=://)[^/@\s\"]+@")
_NAMED = re.compile(
    # a name that matters, as JSON spells it or nearly so, and all that follows up to where its value must have ended
    r"""(["']?)([\w-]*(?:secret|token|passw|pwd|ufrag|username_?fragment|crypto|credential)[\w-]*|(?:new|room)?_?pin|pass
    |ha1|(?:admin_?)?key|auth|authorization|allowed)\1\s*[:=]\s*
    (?: "(?:[^"\\]|\\.)*(?:"|\\?\Z) | '(?:[^'\\]|\\.)*(?:'|\\?\Z) | [\[{].* | [^\s,}\]"']+ )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def is_secret(name: str) -> bool:
    """Whether what a field of this name holds is to be blotted out."""
    plain = name.lower().replace("_", "").replace("-", "")
    return plain in _NAMES or any(part in plain for part in _PARTS)


class Redactor:
    """Blots out what stands in fields with such names, and those values wherever else they turn up later."""

    def __init__(self, secrets: tuple[str | None, ...] = ()) -> None:
        self._values: dict[str, None] = {}
        self._pattern: re.Pattern[str] | None = None
        for secret in secrets:
            self.learn(secret)

    def learn(self, value: object) -> None:
        """Blot this value out wherever it turns up from now on."""
        if isinstance(value, dict):
            for inner in value.values():
                self.learn(inner)
        elif isinstance(value, list):
            for inner in value:
                self.learn(inner)
        elif isinstance(value, str) and len(value) >= _SHORTEST and value not in self._values:
            # also as JSON would spell it, with and without escapes for what is not ASCII
            spellings = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
            self._values.update(dict.fromkeys(spellings))
            while len(self._values) > _REMEMBERED:
                del self._values[next(iter(self._values))]
            longest_first = sorted(self._values, key=len, reverse=True)
            self._pattern = re.compile("|".join(re.escape(known) for known in longest_first))

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
        if self._pattern is not None:
            text = self._pattern.sub(BLOT, text)
        if "ufrag" in text or "ice-pwd" in text or "crypto" in text or "inline" in text:
            text = _IN_SDP.sub(rf"\1{BLOT}", text)
        if "://" in text:
            text = _IN_URL.sub(f"{BLOT}@", text)
        return text

    def unparsed(self, text: str) -> str:
        """Text that should have been JSON and is not."""
        return _NAMED.sub(lambda found: f"{found[1]}{found[2]}{found[1]}: {BLOT}", self.words(text))
