"""What a participant costs the client: two-way Opus, 50 packets/s, EchoTest of a Janus in the lab. `make bench-media`

Each client is a process of its own that gets answers to its offers by pipe, so that signalling is nobody's cost. What
is counted is the CPU of that process and its children, of the kernel's precise clock, over some seconds after all have
joined. The clients take turns; a row is the median of its rounds. Janus is not counted, but shares the cores.

Rows that say "reflector" talk to echo.c on loopback instead of Janus: RTP alone, at numbers that Janus has no cores
for. The floor is a C loop that sends and receives as many datagrams of the same size, and does nothing else; once to
the reflector, whose one thread is seldom asleep, and once to one that has a thread for each participant, as Janus has:
waking it is the sender's cost.

Our own clients get half as many participants again and again, until RTP is late or missing: that row is where the
machine, Janus included, has no more to give.

Rows that say "each other" have no Janus: the peers of one pion, or of two workers of ours, talk to each other. The
second of ours has as many participants as keep both workers at 70 % of a core, by what the first took: does RTP still
leave in time?
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from janusload.lab import Lab, LabOptions
from janusload.media import clips, native
from janusload.media.compiled import NoNativeTick
from janusload.media.ice import local_addresses
from tests.benchmarks.builds import HERE, ROOT, compile_c, compile_pion
from tests.benchmarks.setups import open_and_close
from tests.media.echotest import EchoTest, echotest

OUT = ROOT / "reports" / "out" / "bench"
SETTLE_S = 2.0
#: participants at Janus; ours get more
NUMBERS = (20, 100, 150, 200)
#: of a core, for each worker in the rows that show whether RTP leaves in time
BUSY_PERCENT = 70.0
#: of the packets, late by more than 5 ms: with more, a client does not keep up
LATE_SHARE = 0.01
#: packets a second of each participant, out or in: with fewer, somebody does not keep up (50 are due)
LEFT_OUT_BELOW = 49.5
#: header with audio level, and SRTP's tag
OVERHEAD_BYTES = 20 + 16

Command = Callable[[int], list[str]]


@dataclass
class Subject:
    """A client under measurement.

    Attributes:
        command: its command line for a number of participants.
        participants: how many to try.
        with_janus: whether it talks to Janus, or to somebody else.
        busy_percent: of a core; if not 0, as many as take that are tried as well.
        largest: up to so many are tried, half as many more each time, until somebody does not keep up; 0: none.
        rows: what was measured, by number of participants.
    """

    name: str
    command: Command
    participants: tuple[int, ...]
    with_janus: bool = True
    busy_percent: float = 0.0
    largest: int = 0
    rows: dict[int, list[dict[str, float]]] = field(default_factory=dict)

    def more(self) -> int | None:
        """How many to try besides, by how the most have fared; None if that was enough."""
        most = max(self.rows)
        last = self.rows[most][-1]
        if self.busy_percent:
            tried = round(self.busy_percent / last["cpu_percent_per_participant"] / 10) * 10
            self.busy_percent = 0.0
        else:
            tried = most * 3 // 2
            moved = min(last["sent_per_s"], last["received_per_s"])
            if tried > self.largest or last["late_share"] > LATE_SHARE or moved < LEFT_OUT_BELOW:
                self.largest = 0
                return None
        self.participants += (tried,)
        return tried


class Client:
    """A running client, spoken to in JSON lines."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self.read() == {"up": True}

    def read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args} ended with {self._process.wait()}")
        said: dict[str, Any] = json.loads(line)
        return said

    def say(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def count(self) -> dict[str, Any]:
        self.say({"count": True})
        return {"at_s": time.monotonic(), **self.read()}

    def cpu_s(self) -> float:
        """CPU time of it and its children so far; of the clocks of other processes, see clock_getcpuclockid(3)."""
        return sum(time.clock_gettime((~each.pid << 3) | 2) for each in self._tree())

    def rss_mb(self) -> float:
        return sum(each.memory_info().rss for each in self._tree()) / 1e6

    def end(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()

    def _tree(self) -> list[psutil.Process]:
        own = psutil.Process(self._process.pid)
        return [own, *own.children(recursive=True)]


def join(client: Client, janus: EchoTest | None) -> None:
    """Have Janus answer the client's offers until it says that all have heard something."""
    handles = []
    while not (said := client.read()).get("ready"):
        assert janus is not None
        handles.append(janus.attach())
        answer = janus.call(handles[-1], {"type": "offer", "sdp": said["sdp"]})
        client.say({"answer": said["offer"], "sdp": answer["sdp"]})


def measure(subject: Subject, participants: int, janus_url: str, seconds: float) -> dict[str, float]:
    """One row's figures from one run of a client."""
    with ExitStack() as stack:
        janus = stack.enter_context(echotest(janus_url)) if subject.with_janus else None
        client = Client(subject.command(participants))
        stack.callback(client.end)
        empty_mb = client.rss_mb()
        join(client, janus)
        time.sleep(SETTLE_S)
        before, cpu_before, from_s = client.count(), client.cpu_s(), time.monotonic()
        time.sleep(seconds)
        cpu_s, to_s = client.cpu_s() - cpu_before, time.monotonic()
        after = client.count()
        rss_mb = (client.rss_mb() - empty_mb) / participants
    per = participants * (after["at_s"] - before["at_s"])
    return {
        "cpu_percent_per_participant": 100 * cpu_s / (to_s - from_s) / participants,
        "rss_mb_per_participant": rss_mb,
        "sent_per_s": (after["sent"] - before["sent"]) / per,
        "received_per_s": (after["received"] - before["received"]) / per,
        **(
            {"late_share": (after["late"] - before["late"]) / max(1, after["sent"] - before["sent"])}
            if "late" in after
            else {}
        ),
    }


@contextmanager
def reflector(program: Path, threads: int = 1) -> Iterator[str]:
    """The port of a running echo.c."""
    process = subprocess.Popen([str(program), "127.0.0.1", str(threads)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def subjects(folder: Path, lab: Lab, ports: tuple[str, str] | None, with_pion: bool, *, largest: int) -> list[Subject]:
    """Who takes part, as far as they can be had here."""
    clip = clips.make("speech")
    clip_file = folder / "speech.packets"
    clip_file.write_bytes(b"".join(struct.pack("!H", len(each)) + each for each in clip.packets))
    size = round(statistics.mean(map(len, clip.packets))) + OVERHEAD_BYTES
    python = sys.executable

    def own(name: str) -> str:
        return str(HERE / f"client_{name}.py")

    ticks = ["python"]
    try:
        native.library()
        ticks.append("c")
    except NoNativeTick as exc:
        print(f"left out: our C tick ({exc})")
    numbers = tuple(each for each in NUMBERS if each <= largest)
    found = [
        Subject("aiortc, encoder", lambda n: [python, own("aiortc"), str(n), "encode"], (10,)),
        Subject("aiortc, pre-encoded", lambda n: [python, own("aiortc"), str(n), "packets"], (20,)),
    ]
    if with_pion:
        pion = str(folder / "pion")
        found.append(Subject("pion", lambda n: [pion, lab_side(lab), str(n), str(clip_file)], numbers))
        found.append(
            Subject(
                "pion, each other",
                lambda n: [pion, lab_side(lab), str(n), str(clip_file), "each-other"],
                numbers[-1:],
                with_janus=False,
            )
        )
    for tick in ticks:
        found.append(
            Subject(
                f"janusload, {tick} tick",
                lambda n, tick=tick: [python, own("janusload"), lab.address, str(n), tick],  # type: ignore[misc]
                numbers,
                largest=largest,
            )
        )
    for tick in ticks:
        found.append(
            Subject(
                f"janusload, {tick} tick, each other",
                lambda n, tick=tick: [python, own("janusload"), "each-other", str(n), tick],  # type: ignore[misc]
                (200,),
                with_janus=False,
                busy_percent=2 * BUSY_PERCENT,
            )
        )
    if ports is not None:
        port, waking_port = ports
        for tick, most in zip(ticks, ((400,), (900,)), strict=False):
            found.append(
                Subject(
                    f"janusload, {tick} tick, reflector",
                    lambda n, tick=tick: [python, own("reflected"), port, str(n), tick],  # type: ignore[misc]
                    most,
                    with_janus=False,
                )
            )
        for name, at in (("reflector", port), ("reflector with a thread each", waking_port)):
            floor = [str(folder / "floor"), "127.0.0.1", at]
            found.append(
                Subject(
                    f"floor, {name}",
                    lambda n, floor=floor: [*floor, str(n), str(size)],  # type: ignore[misc]
                    (*numbers[-1:], 1000) if at == port else numbers[-1:],
                    with_janus=False,
                )
            )
    return found


def lab_side(lab: Lab) -> str:
    """Our address on the way to the lab."""
    return local_addresses(lab.address)[0]


def rows_of(found: list[Subject]) -> list[dict[str, Any]]:
    rows = []
    for subject in found:
        for participants, measured in subject.rows.items():
            row: dict[str, Any] = {"subject": subject.name, "participants": participants, "rounds": len(measured)}
            for name in measured[0]:
                values = [each[name] for each in measured if each[name] is not None]
                row[name] = round(statistics.median(values), 4) if values else None
            rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| client | participants | CPU of a core each | in all | MB each | packets/s out, in | > 5 ms late |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        late = row.get("late_share")
        lines.append(
            f"| {row['subject']} | {row['participants']} | {row['cpu_percent_per_participant']:.3f} %"
            f" | {row['cpu_percent_per_participant'] * row['participants']:.0f} %"
            f" | {row['rss_mb_per_participant']:.2f} | {row['sent_per_s']:.1f}, {row['received_per_s']:.1f}"
            f" | {'' if late is None else f'{100 * late:.2f} %'} |"
        )
    return "\n".join(lines)


def machine() -> str:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    versions = ", ".join(f"{name} {version(name)}" for name in ("aiortc", "pylibsrtp"))
    return (
        f"{os.cpu_count()} cores of {model}, Linux {platform.release()}, Python {platform.python_version()}, {versions}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench-media", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--largest", type=int, default=2000, help="most participants at Janus")
    parser.add_argument("--only", help="clients whose name contains this")
    parser.add_argument("--setups", type=int, default=1000, help="peers to open and close in a row")
    options = parser.parse_args()
    build = OUT / "build"
    build.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        # a port for each participant, and some that Janus has not taken yet to find one among
        lab_options = LabOptions(session_timeout_s=0, rtp_ports=(20_000, 20_000 + 3 * options.largest))
        lab = stack.enter_context(Lab(lab_options, OUT / "janus.log"))
        ports = None
        if compile_c(build, print):
            one, many = (stack.enter_context(reflector(build / "echo", each)) for each in (1, max(NUMBERS)))
            ports = one, many
        found = subjects(build, lab, ports, compile_pion(build, print), largest=options.largest)
        if options.only:
            found = [each for each in found if options.only in each.name]
        for round_ in range(options.rounds):
            for subject in found:
                left = list(subject.participants)
                while left:
                    participants = left.pop(0)
                    measured = measure(subject, participants, lab.url, options.seconds)
                    subject.rows.setdefault(participants, []).append(measured)
                    figures = " ".join(f"{name}={value:.4g}" for name, value in measured.items() if value is not None)
                    print(f"round {round_ + 1}: {subject.name}, {participants}: {figures}", flush=True)
                    if not left and (more := subject.more()):
                        left.append(more)
        rows = rows_of(found)
        (OUT / "media.json").write_text(json.dumps(rows, indent=1) + "\n")
        page = f"{machine()}; {time.strftime('%Y-%m-%d')}.\n\n{table(rows)}\n"
        (OUT / "media.md").write_text(page)
        print(f"\n{page}")
        if options.setups:
            setups = open_and_close(lab, options.setups)
            (OUT / "setups.json").write_text(json.dumps(setups, indent=1) + "\n")
            print(
                f"{setups['peers']} people joined a room and left it in {setups['took_s']:.0f} s:"
                f" {setups['per_core_s']:.0f} set-ups per second of CPU ({setups['set_up_cpu_ms']:.1f} ms each of the"
                f" media worker and the signalling together: attach, join, ICE, DTLS, first packet; the end"
                f" {setups['end_cpu_ms']:.1f} ms); memory {setups['growth_mb']:+.1f} MB from the middle to the end,"
                f" descriptors {setups['fds']:+d}"
            )


if __name__ == "__main__":
    main()
