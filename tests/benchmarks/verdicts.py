"""Is every fault called by its name? Each fault of the lab on a healthy Janus, and what a run says about it.

    python -m tests.benchmarks.verdicts [--janus 1.1.2 1.4.1] [--faults freeze kill ...] [--out FILE]

For each, `janusload run` with `faults.toml` and `--fault`. The truth is the marker that the run
writes when the fault is in force. Printed as a table, written as JSON: cause, version, verdict (what the run said while
it lasted; none if nothing), expected, right, detected_after_s (from the true beginning to the words), recovered_after_s
(from the undoing to the first `create` that is answered), and what the report says in the end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from janusload.analysis.frames import read_frames
from janusload.lab.faults import FAULTS
from janusload.records import MarkerKind, Rung
from janusload.run_folder import RunFolder

SCENARIO = Path(__file__).with_name("faults.toml")
#: where whoever attaches to the stuck plugin would make the core stuck too
QUIET = SCENARIO.with_name("faults-quiet.toml")
QUIETLY = ("handler-stall", "plugin-stall")
BEGIN_S, LASTS_S, LOAD_S = 8, 10, 30

#: fault -> verdicts that are right; `none` where Janus goes on as if nothing were
EXPECTED: dict[str, tuple[str, ...]] = {
    "none": ("none",),
    "freeze": ("process_frozen",),
    "kill": ("crashed",),
    "crash": ("crashed",),
    "handler-stall": ("plugin_stuck",),
    "plugin-stall": ("plugin_stuck",),
    "total-stall": ("core_stuck",),
    "cpu": ("overload", "cpu_starved"),
    # at the end of its descriptors 1.1.2 ends itself
    "few-fds": ("fds", "crashed"),
    "few-threads": ("threads",),
    "few-ports": ("none",),
    "refuse-sessions": ("none",),
    "disk-full": ("none",),
    "disk-frozen": ("disk_stuck",),
    # without a memory limit the page cache takes it all
    "disk-slow": ("none",),
    "path-cut": ("unreachable",),
}


def watched(
    fault: str, janus: str, out: Path, *, begin_s: float = BEGIN_S, lasts_s: float = LASTS_S, load_s: float = LOAD_S
) -> dict[str, Any]:
    """One run with one fault; raises CalledProcessError with its output where there is no report."""
    scenario = QUIET if fault in QUIETLY else SCENARIO
    command = [sys.executable, "-m", "janusload", "run", str(scenario), "--lab", "--janus", janus, "--no-backtrace"]
    command += ["--out", str(out), "--replace", "--recordings-disk", "64 MB"]
    command += ["--set", f'shape.lasts="{load_s:g} s"']
    if fault != "none":
        command += ["--fault", f"{fault} after {begin_s:g} s for {lasts_s:g} s"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if not (out / "summary.json").exists():
        raise subprocess.CalledProcessError(said.returncode, command, said.stdout, said.stderr)
    failure = json.loads((out / "summary.json").read_text())["failure"]
    return {
        "cause": fault,
        "version": janus,
        **told(out),
        "expected": list(EXPECTED[fault]),
        "report": failure["kind"],
        "rule": failure["rule"],
        **({"exit": said.returncode, "words": said.stderr.strip()} if said.returncode == 1 else {}),
    }


def told(out: Path) -> dict[str, Any]:
    """What the run said while the fault lasted, and how soon."""
    frames = read_frames(RunFolder.open(out))
    probe = frames["probe"]
    marker = frames["marker"].sort_values("t_ns")
    begun = marker["t_ns"][marker["kind"] == MarkerKind.FAULT]
    undone = marker["t_ns"][marker["kind"] == MarkerKind.FAULT_UNDONE]
    since_ns = int(begun.iloc[0]) if len(begun) else 0
    until_ns = int(undone.iloc[0]) if len(undone) else int(marker["t_ns"].max())
    stalls = marker[(marker["kind"] == MarkerKind.STALL) & (marker["t_ns"].between(since_ns, until_ns))]
    kinds = [str(label).partition(":")[0] for label in stalls["label"]]
    recovered_s = None
    if len(undone):
        create = probe[(probe["rung"] == Rung.CREATE) & probe["ok"]]
        answered = create["answered_ns"][create["answered_ns"] > undone.iloc[0]]
        recovered_s = round((float(answered.min()) - int(undone.iloc[0])) / 1e9, 2) if len(answered) else None
    return {
        # the last word counts: what is known at first may be a part of it
        "verdict": kinds[-1] if kinds else "none",
        "said": kinds,
        "detected_after_s": round((int(stalls["t_ns"].iloc[0]) - since_ns) / 1e9, 2) if len(stalls) else None,
        "recovered_after_s": recovered_s,
    }


def judged(row: dict[str, Any]) -> dict[str, Any]:
    """The row with whether what was said is right."""
    if not row["said"]:
        # overload is told at the end: while it lasts it is no stall
        row = {**row, "verdict": row["report"]}
    return {**row, "right": row["verdict"] in row["expected"]}


def line(row: dict[str, Any]) -> str:
    def seconds(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f} s"

    mark = "right" if row["right"] else "WRONG"
    return (
        f"{row['cause']:16}{row['version']:8}{row['verdict']:18}{mark:7}{seconds(row['detected_after_s']):>8}"
        f"{seconds(row['recovered_after_s']):>9}  report: {row['report']}"
    )


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--janus", nargs="+", default=["1.1.2", "1.4.1"])
    options.add_argument("--faults", nargs="+", default=[*EXPECTED], choices=[*EXPECTED], metavar="FAULT")
    options.add_argument("--out", type=Path, default=Path("reports/out/verdicts.json"))
    wanted = options.parse_args()
    assert set(EXPECTED) - {"none"} <= set(FAULTS)
    print(f"{'cause':16}{'Janus':8}{'verdict':18}{'':7}{'named':>8}{'back':>9}", flush=True)
    rows = []
    runs = wanted.out.with_suffix("")
    runs.mkdir(parents=True, exist_ok=True)
    for janus in wanted.janus:
        for fault in wanted.faults:
            rows.append(judged(watched(fault, janus, runs / f"{fault}-{janus}")))
            print(line(rows[-1]), flush=True)
            wanted.out.write_text(json.dumps(rows, indent=1) + "\n")
    wrong = sum(not row["right"] for row in rows)
    print(f"{len(rows) - wrong} of {len(rows)} right; {wanted.out}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
