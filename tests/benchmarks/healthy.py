"""Is a healthy Janus left alone? Minutes of high load in pieces, and every stall that was named though there was none.

    python -m tests.benchmarks.healthy [--minutes 5] [--pieces "signalling 1.1.2" ...] [--out FILE]

Ten pieces: creates at 70 % of the knee (which is looked for first, by `scenarios/knee.toml`), people who come and go
under loss, rooms of all sizes, four plugins at once, recordings inside a memory limit. Printed as a table, and written
as JSON beside one in Markdown: piece, minutes of load, requests answered and timed out, the stalls named, what
the report says, and whether that is right: no stall of any kind. A Janus 1.4.1 that crashes under churn (seen: in
libopus) is said as such.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.benchmarks.lab_runs import HERE, Ran, here, ran, stalls_of

SCENARIOS = HERE.parent.parent / "scenarios"

#: of the load at which `create` begins timing out
_SHARE_OF_KNEE = 0.7

#: no stalls: a server that works off what it is asked, and a generator that was the limit
_NO_STALL = ("none", "overload", "generator_limited")

#: (scenario, version) of each piece; the name of one is both
PIECES = (
    ("signalling", "1.1.2"),
    ("signalling", "1.4.1"),
    ("signalling-bursts", "1.1.2"),
    ("churn", "1.4.1"),
    ("churn-webrtc", "1.1.2"),
    ("churn-webrtc", "1.4.1"),
    ("rooms", "1.1.2"),
    ("rooms", "1.4.1"),
    ("mixed", "1.1.2"),
    ("record-soak", "1.1.2"),
)


def piece(name: str, janus: str, minutes: float, knee_per_s: float, out: Path) -> Ran:
    """One piece."""
    lasts = f'"{minutes:g} min"'
    options = ["--janus", janus, "--no-backtrace"]
    if name.startswith("signalling"):
        load = f'{{kind="soak", load="{_SHARE_OF_KNEE * knee_per_s:.0f}/s", lasts={lasts}}}'
        options += ["--set", f"shape={load}"]
        if name == "signalling-bursts":
            options += ["--set", 'stream.arrivals="poisson"']
        return ran(SCENARIOS / "knee.toml", out, *options)
    lasts = f"run_time={lasts}" if name == "rooms" else f"shape.lasts={lasts}"
    return ran(SCENARIOS / f"{name}.toml", out, *options, "--set", lasts)


def knee(out: Path) -> float:
    """The load per second at which `create` begins timing out in the lab of `knee.toml`, on this machine."""
    onset = ran(SCENARIOS / "knee.toml", out, "--no-backtrace").summary["onset"]
    # where the generator gave out first, there is the highest load that was borne
    return float(onset.get("load") or onset["load_bracket"][0])


def row_of(name: str, janus: str, run: Ran, load_s: float) -> dict[str, Any]:
    """What a piece came to."""
    outcomes: dict[str, int] = {}
    for request in run.summary["requests"].values():
        for outcome, count in request["outcomes"].items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
    stalls = [kind for _, kind in stalls_of(run.marker)]
    exit_status = json.loads((run.folder / "meta.json").read_text())["watched"].get("exit_status")
    return {
        "piece": f"{name} {janus}",
        "minutes": round(load_s / 60, 2),
        "answered": outcomes.get("ok", 0),
        "timed_out": outcomes.get("api_timeout", 0),
        "stalls": stalls,
        "report": run.report,
        "rule": run.rule,
        "died": exit_status,
        "right": not stalls and run.report in _NO_STALL,
    }


def load_s_of(run: Ran) -> float:
    """How long the load was on: from the phase that has it to the next one."""
    phases = run.marker[run.marker["kind"] == "phase"]
    loaded = phases["label"].isin(["steps", "steady"])
    begin_ns = int(phases["t_ns"][loaded].iloc[0])
    return (int(phases["t_ns"][phases["t_ns"] > begin_ns].iloc[0]) - begin_ns) / 1e9


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table of the docs, and under which circumstances."""
    text = "| scenario | Janus | minutes | answered | timed out | stalls named | the report says |\n"
    text += "|---|---|---:|---:|---:|---|---|\n"
    for row in rows:
        name, janus = row["piece"].rsplit(" ", 1)
        stalls = ", ".join(row["stalls"]) or "none"
        end = f"{row['report']} (Janus died: {row['died']})" if row["died"] else row["report"]
        text += f"| {name} | {janus} | {row['minutes']:.1f} | {row['answered']:,} | {row['timed_out']:,} |"
        text += f" {stalls} | {end} |\n"
    minutes = sum(row["minutes"] for row in rows)
    false = sum(len(row["stalls"]) for row in rows if not row["died"])
    text += f"\n{minutes:.0f} minutes, {false} false stalls. {here(['1.1.2', '1.4.1'])}.\n"
    return text


def main() -> int:
    names = [" ".join(each) for each in PIECES]
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=5.0, help="how long each piece lasts")
    options.add_argument("--pieces", nargs="+", default=names, choices=names, metavar="PIECE")
    options.add_argument("--add", action="store_true", help="to what the file has of other pieces")
    options.add_argument("--at-once", type=int, default=1, help="pieces side by side")
    options.add_argument("--knee", type=float, metavar="PER_S", help="creates per second; it is not looked for then")
    options.add_argument("--out", type=Path, default=Path("reports/out/healthy.json"))
    wanted = options.parse_args()
    runs = wanted.out.with_suffix("")
    runs.mkdir(parents=True, exist_ok=True)
    signalling = any(each.startswith("signalling") for each in wanted.pieces)
    knee_per_s = wanted.knee or (knee(runs / "knee") if signalling else 0.0)
    if signalling:
        print(
            f"create begins timing out at {knee_per_s:.0f}/s; it is asked at {_SHARE_OF_KNEE:.0%} of that", flush=True
        )
    rows: list[dict[str, Any]] = []
    if wanted.add and wanted.out.exists():
        rows += [row for row in json.loads(wanted.out.read_text()) if row["piece"] not in wanted.pieces]

    def tried(name: str, janus: str) -> dict[str, Any]:
        run = piece(name, janus, wanted.minutes, knee_per_s, runs / f"{name}-{janus}")
        return row_of(name, janus, run, load_s_of(run))

    with ThreadPoolExecutor(wanted.at_once) as pool:
        todo = [each for each in PIECES if " ".join(each) in wanted.pieces]
        for under_way in [pool.submit(tried, *each) for each in todo]:
            row = under_way.result()
            rows.append(row)
            print(
                f"{time.strftime('%H:%M:%S')} {row['piece']:26}{row['minutes']:5.1f} min {row['answered']:8} answered"
                f" {row['timed_out']:5} timed out  stalls: {', '.join(row['stalls']) or 'none'}"
                f"  report: {row['report']}",
                flush=True,
            )
            wanted.out.write_text(json.dumps(rows, indent=1) + "\n")
            wanted.out.with_suffix(".md").write_text(markdown(rows))
    false = sum(not row["right"] and not row["died"] for row in rows)
    minutes = sum(row["minutes"] for row in rows)
    died = sum(bool(row["died"]) for row in rows)
    words = f"{minutes:.0f} healthy minutes, {false} pieces with a stall that was none"
    print(f"{words}, {died} in which Janus died; {wanted.out}" if died else f"{words}; {wanted.out}")
    return 1 if false else 0


if __name__ == "__main__":
    sys.exit(main())
