"""What signalling costs the client, how many connections a process holds, and how true its latencies are.
`make bench-signalling`

1. CPU (user and system, of the client's process) per request of users that create and destroy sessions at a Janus in
   the lab, against clients that a competent user would write on websockets' threading client and on websocket-client
   under gevent. The clients take turns; a row is the median of its rounds. Janus shares the cores.
2. 5,000 connections with a session each in one process, kept alive for two minutes.
3. Reported latencies against a server with known delays, at half a core of load.

Nothing here is a test: the figures depend on the machine, and on what else it does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from janusload.lab import Lab, LabOptions
from tests.benchmarks.signalling_client import SUBJECTS

ROOT = Path(__file__).parent.parent.parent
OUT = ROOT / "reports" / "out" / "bench"

#: the lab's Janus drops a session after this much silence: the crowd is kept alive for several times as long
SESSION_TIMEOUT_S = 30


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench-signalling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 20, 200])
    parser.add_argument("--crowd", type=int, default=5000, help="connections kept alive in one process; 0 for none")
    parser.add_argument("--crowd-seconds", type=float, default=120.0)
    parser.add_argument("--truth-seconds", type=float, default=20.0, help="0 for none")
    parser.add_argument(
        "--real-time",
        action="store_true",
        help="run the third part under SCHED_FIFO, where others use the machine too (needs root)",
    )
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    more: dict[str, Any] = {"conditions": conditions(options)}
    with tempfile.TemporaryDirectory() as folder:
        wanted = LabOptions(open_files=3 * options.crowd + 1000, session_timeout_s=SESSION_TIMEOUT_S)
        with Lab(wanted, Path(folder) / "janus.log") as lab:
            more["conditions"]["janus"] = lab.facts()["janus"]
            rows = table(lab.url, options)
            (OUT / "signalling.json").write_text(json.dumps(rows, indent=1) + "\n")
            if options.crowd:
                more["crowd"] = crowd(lab, options.crowd, options.crowd_seconds)
    if options.truth_seconds:
        more["truth"] = truth(options.truth_seconds, ["chrt", "--fifo", "5"] if options.real_time else [])
    (OUT / "signalling-more.json").write_text(json.dumps(more, indent=1) + "\n")
    print(f"\nrows in {OUT / 'signalling.json'}, the rest in {OUT / 'signalling-more.json'}")


def table(url: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    measured: dict[tuple[str, int], list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for connections in options.connections:
            for subject in SUBJECTS:
                said = run("signalling_client", subject, url, connections, options.seconds)
                measured.setdefault((subject, connections), []).append(said)
    rows = []
    print(
        f"\n{'CPU per request, microseconds':<30}" + "".join(f"{n:>10}" for n in options.connections) + "   connections"
    )
    for subject in SUBJECTS:
        cells = []
        for connections in options.connections:
            rounds = measured[subject, connections]
            costs = [1e6 * said["cpu_s"] / max(1, said["requests"]) for said in rounds]
            rows.append(
                {
                    "subject": subject,
                    "connections": connections,
                    "cpu_us_per_request": round(statistics.median(costs), 1),
                    "rounds": [round(cost, 1) for cost in costs],
                    "requests_per_s": round(statistics.median(said["requests"] / said["wall_s"] for said in rounds)),
                }
            )
            cells.append(f"{rows[-1]['cpu_us_per_request']:>10}")
        print(f"{subject:<30}" + "".join(cells))
    return rows


def crowd(lab: Lab, connections: int, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.signalling_crowd", lab.url, str(connections), str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        said: dict[str, Any] = json.loads(process.stdout.readline())
        said["sessions_at_janus"] = lab.sessions()
        process.stdin.write("\n")
        process.stdin.close()
    print(f"\n{connections} connections with a session each, kept alive {seconds:g} s:")
    for key, value in said.items():
        print(f"  {key:<22}{value}")
    return said


def truth(seconds: float, prefix: list[str]) -> dict[str, Any]:
    command = [*prefix, sys.executable, "-m", "tests.benchmarks.delay_server"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            said = run("signalling_truth", server.stdout.readline().strip(), seconds, prefix=prefix)
        finally:
            server.kill()
    print("\nreported latency against known delays:")
    for key, value in said.items():
        print(f"  {key:<22}{value}")
    return said


def run(module: str, *arguments: object, prefix: Sequence[str] = ()) -> dict[str, Any]:
    done = subprocess.run(
        [*prefix, sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def conditions(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cores": psutil.cpu_count(),
        "load_before": os.getloadavg(),
        "packages": {name: version(name) for name in ("gevent", "websockets", "websocket-client")},
        "rounds": options.rounds,
        "seconds": options.seconds,
        "truth_real_time": options.real_time,
        "session_timeout_s": SESSION_TIMEOUT_S,
    }


if __name__ == "__main__":
    main()
