"""What a maintainer asks for, gathered by itself when a server gets stuck: `RUN/evidence/`, and one `.tar.gz` of it.

Gathered by the process that carries no load, so that it works while the load process is stuck too. Everything is
bounded in size and time, what fails is said where it is missing, and no secret gets in.
"""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from janusload.records import ServerRecord, ThreadRecord
from janusload.server import advisories
from janusload.server.backtrace import stacks
from janusload.server.log_lines import visible
from janusload.server.threads import ThreadTable, ThreadWatch
from janusload.stall_watch import Stall
from janusload.summary import FailureKind
from janusload.verdict import locks_of

_MOST_TEXT = 4 << 20
#: of the stacks in the README
_STACKS, _FRAMES = 12, 8
_OURS = "; `Can't leave (not in a room)` once a second is the ladder's own question"


@dataclass
class Scene:
    """What is known when a stall is named.

    Attributes:
        ladder: (seconds since the start, rung, what) of the ladder's latest news.
        readings: of the server, oldest first.
        pid: its process; None where it is not on this machine.
        log_tail: its last lines.
        meta: the run's `meta.json`.
        backtraces: makes them; None where no debugger may look.
        transactions: makes the table of the affected users' last transactions; called late, as it takes time.
        threads: groups of threads at the latest looks, for where the process is not on this machine.
        remote: what an agent sent: file name -> text.
        secrets: words that must not be in any file.
    """

    begin_ns: int
    ladder: Sequence[tuple[float, str, str]]
    readings: Sequence[ServerRecord]
    pid: int | None
    log_tail: Sequence[str]
    meta: Mapping[str, Any]
    backtraces: Callable[[int], str] | None = None
    transactions: Callable[[], str] = lambda: ""
    threads: Sequence[Sequence[ThreadRecord]] = ()
    remote: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = ()


def gather(folder: Path, name: str, stall: Stall, scene: Scene) -> Path:
    """Write `folder/name/` and `folder/name.tar.gz`; returns the folder. What cannot be had is said in its file."""
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    tables = _two_looks(scene.pid)
    texts: dict[str, str] = {
        "ladder.tsv": _ladder(scene),
        "server.jsonl": "".join(json.dumps(_known(each)) + "\n" for each in scene.readings),
        "log-tail.txt": "\n".join(scene.log_tail) + "\n",
        "facts.json": json.dumps(_facts(scene.meta), indent=1, ensure_ascii=False) + "\n",
    }
    if tables:
        texts["threads.txt"] = _threads(tables)
    if scene.pid is not None:
        texts["limits.txt"] = _proc(scene.pid, "limits") + "\n" + _proc(scene.pid, "cgroup")
        texts["status.txt"] = _proc(scene.pid, "status")
        texts["backtrace.txt"] = (
            scene.backtraces(scene.pid)
            if scene.backtraces is not None
            else "No backtraces: the run was told not to take any.\n"
        )
    elif scene.remote:
        texts["backtrace.txt"] = (
            "No backtraces: Janus runs on another machine, where the agent only reads. As long as it is stuck they can"
            " be taken there:\n  eu-stack -n 24 -p $(pidof janus)\n"
        )
    texts.update({Path(key).name: text for key, text in scene.remote.items()})
    try:
        texts["transactions.tsv"] = scene.transactions()
    except Exception as error:  # a broken record file must not cost the rest of the evidence
        texts["transactions.tsv"] = f"could not be read: {type(error).__name__}: {error}\n"
    looks = [table.records() for table in tables] if tables else scene.threads
    where = _where_they_stand(tables, texts.get("backtrace.txt", ""))
    texts["README.md"] = _readme(stall, scene, looks, where, sorted(texts))
    for file, text in texts.items():
        (target / file).write_text(_clean(text[:_MOST_TEXT], scene.secrets), encoding="utf-8")
    _pack(target)
    return target


def _two_looks(pid: int | None) -> list[ThreadTable]:
    """What is stuck looks the same a second later."""
    tables: list[ThreadTable] = []
    if pid is None:
        return tables
    watch = ThreadWatch(pid)
    for wait_s in (1.0, 0.0):
        try:
            tables.append(watch.read(time.monotonic_ns()))
        except OSError:
            break
        time.sleep(wait_s)
    watch.close()
    return tables


def _ladder(scene: Scene) -> str:
    rows = [f"{at_s:.3f}\t{rung}\t{what}\n" for at_s, rung, what in scene.ladder]
    return "since_start_s\trung\twhat\n" + "".join(rows)


def _threads(tables: Sequence[ThreadTable]) -> str:
    parts = []
    locks = locks_of([table.records() for table in tables])
    if locks:
        parts.append("Locks that threads waited for in both looks (where the lock lies, who waits):\n")
        parts += [
            f"  {lock.address}  {lock.module:<28} {lock.threads:>4} threads: {', '.join(lock.kinds)}\n"
            for lock in locks
        ]
    else:
        parts.append("No lock was waited for in both looks.\n")
    for number, table in enumerate(tables, 1):
        blind = "  (what they wait for could not be seen: takes root or the user of Janus)" if table.blind else ""
        parts.append(f"\nLook {number}: {len(table.threads)} threads{blind}\n")
        parts.append(f"{'tid':>8}  {'name':<16} {'kind':<14} state  waits for\n")
        parts += [
            f"{each.number:>8}  {each.name:<16} {each.kind:<14} {each.state:<5}  {each.waits_for}\n"
            for each in table.threads
        ]
    return "".join(parts)


def _facts(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Versions and configuration facts; `info` of Janus holds no secret, only whether there is one."""
    version = str((meta.get("server") or {}).get("version_string") or "")
    return {
        "janus": meta.get("server"),
        "lab": meta.get("lab"),
        "host": meta.get("host"),
        "versions": meta.get("versions"),
        "scenario": (meta.get("scenario") or {}).get("text"),
        "watched": meta.get("watched"),
        "advisories": [each.sentence for each in advisories.known(version)],
    }


def _where_they_stand(tables: Sequence[ThreadTable], backtraces: str) -> list[str]:
    """The stacks of the threads that wait for a lock, a disk or a file, or sleep; those that are alike once."""
    if not tables:
        return []
    by_thread = stacks(backtraces)
    alike: dict[tuple[str, ...], list[str]] = {}
    for thread in tables[-1].threads:
        frames = by_thread.get(thread.number, [])
        if thread.waits_for and any(frame != "??" for frame in frames):
            alike.setdefault(tuple(frames[:_FRAMES]), []).append(f"{thread.kind}: {thread.waits_for}")
    rows = sorted(alike.items(), key=lambda each: -len(each[1]))[:_STACKS]
    return [f"{len(who)} x {', '.join(dict.fromkeys(who))}\n    {' < '.join(frames)}" for frames, who in rows]


def _process(readings: Sequence[ServerRecord]) -> list[str]:
    """What was last known of the process: a look may have brought less than the one before."""
    alive = [each for each in readings if each.state]
    if not alive:
        return []

    def known(name: str, words: str = "{:,}") -> str:
        value = next((value for each in reversed(alive) if (value := getattr(each, name)) is not None), None)
        return "?" if value is None else words.format(value)

    lines = [
        f"- process: state {alive[-1].state}, CPU {known('cpu_percent', '{:.0f} %')}, {known('threads')} threads,"
        f" {known('fds')} of {known('fds_limit')} descriptors, {known('rss_bytes')} bytes resident"
    ]
    if any(each.cgroup_bytes is not None for each in alive):
        lines.append(
            f"- control group: {known('cgroup_bytes')} bytes of {known('cgroup_limit_bytes')},"
            f" anonymous {known('cgroup_anon_bytes')}, page cache {known('cgroup_file_bytes')},"
            f" dirty {known('cgroup_dirty_bytes')}, being written {known('cgroup_writeback_bytes')}"
        )
    return lines


def _known_of(version: str, kind: FailureKind) -> list[str]:
    """What is known of the version that could be this; how much else there is."""
    crash = kind in (FailureKind.CRASHED, FailureKind.FDS)
    known = advisories.known(version)
    fitting = [each for each in known if (each.effect is advisories.Effect.CRASH) is crash]
    if not known:
        return []
    lines = ["", f"Known of {version} that could be this:", ""] + [f"- {each.sentence}" for each in fitting]
    if others := len(known) - len(fitting):
        lines.append(f"- {others} of another kind: see `facts.json`")
    return lines


def _readme(
    stall: Stall,
    scene: Scene,
    looks: Sequence[Sequence[ThreadRecord]],
    where: Sequence[str],
    files: Sequence[str],
) -> str:
    server = scene.meta.get("server") or {}
    version = str(server.get("version_string") or "unknown")
    host = scene.meta.get("host") or {}
    scenario = scene.meta.get("scenario") or {}
    noticed_s = (stall.found_ns - stall.since_ns) / 1e9
    lines = [
        f"# Janus {version}: {stall.finding.kind.replace('_', ' ')}",
        "",
        f"{stall.finding.rule[:1].upper()}{stall.finding.rule[1:]}.",
        "",
        f"- first sign {(stall.since_ns - scene.begin_ns) / 1e9:.1f} s into the run, named {noticed_s:.1f} s later",
        f"- load: scenario `{visible(str(scenario.get('name')))}` (`facts.json` has it whole):"
        f" {visible(str(scenario.get('asks')))}",
        "- asked once a second: `tcp`, `ws_upgrade` and `ws_ping` (WebSocket), `ping` and `create` (core),"
        " `audiobridge_sync` (`exists`), `audiobridge_async` (`leave`, answered by its handler thread), `media` (echo)",
        f"- system: {host.get('system')}, kernel {host.get('kernel')}, {host.get('cores')} cores",
        *_process(scene.readings),
    ]
    locks = locks_of(looks)
    if locks:
        lines += [
            "",
            "Locks that threads waited for, unchanged for a second:",
            "",
            "| lock | module | threads | kinds |",
        ]
        lines += ["|---|---|---|---|"]
        lines += [
            f"| {lock.address} | {lock.module} | {lock.threads} | {', '.join(lock.kinds)} |" for lock in locks[:10]
        ]
    states: dict[str, int] = {}
    for group in looks[-1] if looks else []:
        key = f"{group.kind}, state {group.state}" + (f", {group.waits_for}" if group.waits_for else "")
        states[key] = states.get(key, 0) + group.threads
    if states:
        lines += ["", "Threads:", ""] + [f"- {count} x {words}" for words, count in sorted(states.items())]
    if where:
        lines += ["", "Where those stand that wait (innermost first; all threads in `backtrace.txt`):", "", "```"]
        lines += [*where, "```"]
    lines += _known_of(version, stall.finding.kind)
    lines += ["", f"Last lines of the log (it falls silent in a stall{_OURS}):", "", "```"]
    tail = scene.log_tail or scene.remote.get("agent-log-tail.txt", "").splitlines()
    lines += [visible(line).replace("```", "'''") for line in list(tail)[-15:]] + ["```"]
    lines += ["", "Files: " + ", ".join(f"`{file}`" for file in files if file != "README.md") + ".", ""]
    return "\n".join(lines)


def _pack(target: Path) -> None:
    """One archive beside the folder, its files owned by nobody in particular."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(target.with_name(target.name + ".tar.gz"), "w:gz") as archive:
        archive.add(target, arcname=target.name, filter=plain)


def _clean(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "(secret)")
    return text


def _known(record: ServerRecord) -> dict[str, Any]:
    return {key: value for key, value in record._asdict().items() if value is not None}


def _proc(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"/proc/{pid}/{name} could not be read: {error.strerror}\n"
