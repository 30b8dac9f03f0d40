"""Whether two runs may be held against each other at all (measurement.md section 7), and what differs if not.

T, request, scenario, the generator's machine, the limits of the lab and the server's configuration must agree. The
version of Janus need not: it is what a comparison before and after a fix is about.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from janusload.analysis.plan import part
from janusload.summary import RunFacts, Summary
from janusload.wording import one_line


class Despite(StrEnum):
    """What a person may say does not matter; T and the request under test always do."""

    SCENARIO = "scenario"
    HOST = "host"
    CONFIG = "config"


#: of the scenario: what it is called, and which Janus it asks for
_SCENARIO_FREE = {"name", "asks", "seed", "lab.janus", "lab.version", "lab.root"}
_HOST = ("cores", "memory_gb", "machine", "kernel", "system")
#: characters of a value that differs
_LONGEST = 60
_HOST_TOLERANCE = {"memory_gb": 0.05}
#: of the lab: its limits; addresses, ports and the executable are another matter
_LAB = ("cpu_percent", "memory_bytes", "open_files", "session_timeout_s", "api_secret", "config_sha256", "config_hash")
#: of Janus's own `info`: what was configured, not what was built
_CONFIG = (
    "session-timeout",
    "reclaim-session-timeout",
    "candidates-timeout",
    "api_secret",
    "auth_token",
    "ipv6",
    "ice-lite",
    "ice-tcp",
    "ice-nomination",
    "ice-consent-freshness",
    "ice-keepalive-conncheck",
    "full-trickle",
    "mdns-enabled",
    "min-nack-queue",
    "nack-optimizations",
    "twcc-period",
    "dtls-mtu",
    "static-event-loops",
    "loop-indication",
    "rfc-4588",
    "event_handlers",
    "opaqueid_in_api",
)


def differences(base: Summary, new: Summary, despite: frozenset[Despite] = frozenset()) -> tuple[list[str], list[str]]:
    """What forbids the comparison, and what differs and does not, each in words."""
    forbids = list(_of_the_question(base, new))
    notes = list(_of_versions(base.run, new.run, base, new))
    for about, found in (
        (Despite.SCENARIO, _of_scenario(base.run, new.run)),
        (Despite.HOST, _of(part_of(base.run.host), part_of(new.run.host), _HOST, "machine of the generator: ")),
        (Despite.CONFIG, _of_config(base.run, new.run)),
    ):
        (notes if about in despite else forbids).extend(found)
    return forbids, notes


def part_of(facts: object) -> dict[str, Any]:
    return part({"": facts}, "")


def _of_the_question(base: Summary, new: Summary) -> Iterator[str]:
    a, b = base.onset, new.onset
    if a.timeout_s != b.timeout_s:
        yield f"T: {a.timeout_s:g} s and {b.timeout_s:g} s (results of different T are never compared)"
    for words, one, other in (
        ("request", a.request, b.request),
        ("load", a.axis, b.axis),
        ("timeout rate that counts", f"{a.p0:.2%}", f"{b.p0:.2%}"),
        ("deciding quantile", f"p{100 * a.quantile:g}", f"p{100 * b.quantile:g}"),
    ):
        if one != other:
            yield f"{words}: {one} and {other}"


def _of_scenario(base: RunFacts, new: RunFacts) -> Iterator[str]:
    if base.scenario is None or new.scenario is None:
        if (base.scenario is None) != (new.scenario is None):
            yield "scenario: only one of the runs says what it was"
        return
    try:
        one, other = (dict(_flat(tomllib.loads(text))) for text in (base.scenario, new.scenario))
    except tomllib.TOMLDecodeError:
        if base.scenario.split() != new.scenario.split():
            yield "scenario: the texts differ"
        return
    for key in sorted({*one, *other} - _SCENARIO_FREE):
        if one.get(key) != other.get(key):
            yield f"scenario: {key} is {_said(one.get(key))} and {_said(other.get(key))}"


def _of_config(base: RunFacts, new: RunFacts) -> Iterator[str]:
    yield from _of(
        part_of(base.lab), part_of(new.lab), _LAB, "lab: ", absent_differs=base.lab is None or new.lab is None
    )
    # a key that only one version knows was not configured differently
    yield from _of(base.server_info, new.server_info, _CONFIG, "Janus: ")


def _of(
    base: Mapping[str, Any], new: Mapping[str, Any], keys: tuple[str, ...], what: str, absent_differs: bool = False
) -> Iterator[str]:
    for key in keys:
        one, other = base.get(key), new.get(key)
        if (one is None or other is None) and not absent_differs:
            continue
        if not _alike(one, other, _HOST_TOLERANCE.get(key, 0.0)):
            yield f"{what}{key.replace('_', ' ')} is {_said(one)} and {_said(other)}"


def _alike(one: object, other: object, tolerance: float) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= tolerance * max(abs(one), abs(other))
    return one == other


def _of_versions(base: RunFacts, new: RunFacts, one: Summary, other: Summary) -> Iterator[str]:
    versions = [summary.server.version if summary.server else None for summary in (one, other)]
    if versions[0] != versions[1]:
        yield f"Janus {versions[0] or 'of unknown version'} and {versions[1] or 'of unknown version'}"
    for name in sorted({*base.versions, *new.versions} - {"janus"}):
        a, b = base.versions.get(name), new.versions.get(name)
        if a != b:
            yield f"{name} {a or 'unknown'} and {b or 'unknown'}"


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _said(value: object) -> str:
    return "not set" if value is None else one_line(str(value), _LONGEST)
