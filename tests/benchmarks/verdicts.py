"""Is every fault called by its name? Each fault of the lab on a healthy Janus, several times, and what the run says.

    python -m tests.benchmarks.verdicts [--janus 1.1.2 1.4.1] [--causes kill ...] [--times 5] [--add] [--out FILE]

A run (`janusload run` with `faults.toml` and `--fault`) meets the same fault again and again, each time at another
moment between two questions of the ladder. The truth is the marker that the run writes when a fault is in force, and
when it is undone. The deadlock of issue 3358 comes by itself, to people who come and go 60 times a second
(`scenarios/churn.toml`): it began when the last join was answered. Printed as a table, and written as JSON beside one
in Markdown. Of each cause and version:

    verdict             what the run said while the fault lasted, the last word each time; `none` if nothing, and what
                        the report says in the end where that is all that is to be expected (overload)
    right               whether it was a right one each time, in the report too, and nothing was said of what was not
    detected_after_s    from the true beginning to the words, median; all of them in `detected_s`
    recovered_after_s   from the undoing until the run said that it is over, median; all in `recovered_s`
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pandas as pd

from janusload.lab.faults import FAULTS
from janusload.records import MarkerKind
from tests.benchmarks.lab_runs import HERE, Ran, here, ran, stalls_of

CHURN = HERE.parent.parent / "scenarios" / "churn.toml"

#: every rung is asked by then, also where the machine is busy
BEGIN_S = 8.0
#: of what follows the last fault: long enough for a wrong word
END_S = 2.0


class Cause(NamedTuple):
    """How one cause is brought about.

    Attributes:
        expected: verdicts that are right.
        times: how often in one run; None: as often as the command line says.
        lasts_s: how long each time, and `calm_s` what follows: users that failed come again after 3 s.
        faults: which faults of the lab, in turn; none for the scenario alone.
        scenario: file beside this one.
        at_the_end: whether only the report can tell it.
        by_itself: the version that gets there without a fault, for good; each run meets it once.
    """

    expected: tuple[str, ...]
    times: int | None = None
    lasts_s: float = 4.5
    calm_s: float = 4.5
    faults: tuple[str, ...] = ()
    scenario: str = "faults.toml"
    at_the_end: bool = False
    by_itself: str = ""


#: whoever attaches to the stuck plugin would make the core stuck too
_QUIET = "faults-quiet.toml"
#: three refused connections in a row would end the run: Janus is started anew within two seconds
_DEATH = {"lasts_s": 0.8, "calm_s": 6.0}

CAUSES: dict[str, Cause] = {
    "freeze": Cause(("process_frozen",)),
    "kill": Cause(("crashed",), **_DEATH),
    "crash": Cause(("crashed",), **_DEATH),
    "handler-stall": Cause(("plugin_stuck",), scenario=_QUIET),
    "plugin-stall": Cause(("plugin_stuck",), scenario=_QUIET),
    "total-stall": Cause(("core_stuck",)),
    "deadlock": Cause(("core_stuck", "plugin_stuck"), times=3, by_itself="1.1.2"),
    # at the end of its descriptors 1.1.2 ends itself
    "few-fds": Cause(("fds", "crashed"), times=1, lasts_s=6.0),
    # its log is remembered for some seconds
    "few-threads": Cause(("threads",), times=3, lasts_s=3.0, calm_s=8.0),
    "disk-frozen": Cause(("disk_stuck",)),
    # or the kernel ends it for its memory, which is the same
    "disk-slow in a memory limit": Cause(
        ("memory_writeback",), times=1, lasts_s=35.0, faults=("disk-slow",), scenario="faults-memory.toml"
    ),
    # after 3 s the kernel gives up its neighbour, TCP is refused, and that ends the run
    "path-cut": Cause(("unreachable",), lasts_s=2.95, calm_s=6.05),
    "cpu": Cause(("overload", "cpu_starved"), times=1, lasts_s=8.0, at_the_end=True),
    # too narrow for six people: what little comes through comes late, or not at all
    "path-narrow": Cause(("none", "unreachable"), times=3, calm_s=5.0),
    # Janus goes on as if nothing were
    "harmless": Cause(
        ("none",), times=1, calm_s=2.5, faults=("few-ports", "refuse-sessions", "disk-full", "disk-slow", "memory")
    ),
    "path-loss": Cause(("none",), times=1),
    "path-delay": Cause(("none",), times=1),
    "senders lose 20 %": Cause(("none",), times=1, faults=("none",), scenario="faults-lossy.toml"),
    "nothing": Cause(("none",), times=1, faults=("none",)),
}


_BY_ITSELF = "that of issue 3358, met by plain-RTP participants who come and go (1.1.2 alone has it)"


class Episode(NamedTuple):
    """One time that a fault was in force, until the next one came.

    Attributes:
        said: kinds of the stalls that were named, and `named_s` how long after the true beginning the first was.
        over_s: how long after it was undone the run said that it was over; None if it said nothing before or after.
    """

    said: list[str]
    named_s: float | None
    over_s: float | None


def watched(name: str, cause: Cause, janus: str, out: Path, times: int) -> Ran:
    """One run in which it happens `times` times."""
    options = ["--janus", janus, "--no-backtrace", "--recordings-disk", "400 MB"]
    faults = cause.faults or (name,)
    at_s = BEGIN_S
    for number in range(times):
        for fault in faults:
            if fault != "none":
                options += ["--fault", f"{fault} after {at_s:.2f} s for {cause.lasts_s:g} s"]
            at_s += cause.lasts_s + cause.calm_s
        at_s += 1 / times if number < times - 1 else 0.0  # at another moment of the ladder's second
    options += ["--set", f'shape.lasts="{at_s + END_S:.1f} s"']
    return ran(HERE / cause.scenario, out, *options)


def episodes(marker: pd.DataFrame, fault: str) -> list[Episode]:
    """What the run said each time that this fault was in force."""
    faults = marker[marker["kind"] == MarkerKind.FAULT]
    begins = faults["t_ns"].tolist()
    found = []
    for begin_ns, label in zip(begins, faults["label"], strict=True):
        if label != fault:
            continue
        until_ns = min((each for each in begins if each > begin_ns), default=int(marker["t_ns"].max()) + 1)
        span = marker[(marker["t_ns"] >= begin_ns) & (marker["t_ns"] < until_ns)]
        stalls = stalls_of(span)
        undone = span["t_ns"][(span["kind"] == MarkerKind.FAULT_UNDONE) & (span["label"] == fault)]
        ends = span["t_ns"][span["kind"] == MarkerKind.STALL_END]
        over_s = (int(ends.max()) - int(undone.iloc[0])) / 1e9 if len(undone) and len(ends) else None
        named_s = (stalls[0][0] - begin_ns) / 1e9 if stalls else None
        found.append(Episode([kind for _, kind in stalls], named_s, over_s))
    return found


def rows_called(name: str, cause: Cause) -> tuple[str, ...]:
    """What the rows of a cause are called: where it is several faults in one run, each has its own."""
    return cause.faults if len(cause.faults) > 1 else (name,)


def rows_of(name: str, cause: Cause, janus: str, run: Ran) -> Iterator[dict[str, Any]]:
    """One row for each fault of the run."""
    first_ns = run.marker["t_ns"][run.marker["kind"] == MarkerKind.FAULT].min()
    calm = run.marker if first_ns != first_ns else run.marker[run.marker["t_ns"] < first_ns]
    unasked = [kind for _, kind in stalls_of(calm)]
    for fault in cause.faults or (name,):
        seen = episodes(run.marker, fault)
        verdicts = [each.said[-1] if each.said else "none" for each in seen]
        if cause.at_the_end and not any(each.said for each in seen):
            verdicts = [run.report]
        if fault == "none":
            verdicts = unasked or ["none"]
        wrong = [each for each in verdicts if each not in cause.expected]
        detected = [round(each.named_s, 2) for each in seen if each.named_s is not None]
        recovered = [round(each.over_s, 2) for each in seen if each.over_s is not None]
        yield {
            "cause": fault if fault in rows_called(name, cause) else name,
            "version": janus,
            "verdict": wrong[0] if wrong else verdicts[0] if verdicts else "none",
            "right": bool(verdicts)
            and not wrong
            and run.report in cause.expected
            and not (unasked and fault != "none"),
            "detected_after_s": round(median(detected), 2) if detected else None,
            "recovered_after_s": round(median(recovered), 2) if recovered else None,
            "times": max(1, len(seen)),
            "detected_s": detected,
            "recovered_s": recovered,
            "expected": list(cause.expected),
            "said": [each.said for each in seen],
            "said_before": unasked,
            "report": run.report,
            "rule": run.rule,
        }


def deadlocks(name: str, cause: Cause, janus: str, out: Path, times: int) -> dict[str, Any]:
    """The row of what comes by itself, from as many runs."""
    runs = [ran(CHURN, out.with_name(f"{out.name}-{number}"), "--janus", janus) for number in range(1, times + 1)]
    said = [stalls_of(run.marker) for run in runs]
    verdicts = [stalls[-1][1] if stalls else "none" for stalls in said]
    detected = [
        round((stalls[0][0] - run.last_join_ns) / 1e9, 2) for run, stalls in zip(runs, said, strict=True) if stalls
    ]
    wrong = [each for each in [*verdicts, *(run.report for run in runs)] if each not in cause.expected]
    return {
        "cause": name,
        "version": janus,
        "verdict": (wrong or verdicts)[0],
        "right": not wrong,
        "detected_after_s": round(median(detected), 2) if detected else None,
        "recovered_after_s": None,
        "times": times,
        "detected_s": detected,
        "recovered_s": [],
        "expected": list(cause.expected),
        "said": [[kind for _, kind in stalls] for stalls in said],
        "said_before": [],
        "report": runs[-1].report,
        "rule": runs[-1].rule,
        "headlines": [run.summary["headline"] for run in runs],
    }


def tried(name: str, cause: Cause, janus: str, out: Path, times: int) -> list[dict[str, Any]]:
    """The rows of one cause; one that says why, where this machine does not allow it."""
    if cause.by_itself:
        return [deadlocks(name, cause, janus, out, cause.times or times)]
    run = watched(name, cause, janus, out, cause.times or times)
    if run.missing:
        nothing = {"version": janus, "verdict": None, "right": None, "not_here": run.missing, "times": 0}
        return [{"cause": row, **nothing} for row in rows_called(name, cause)]
    return list(rows_of(name, cause, janus, run))


def line(row: dict[str, Any]) -> str:
    if row["right"] is None:
        return f"{row['cause']:30}{row['version']:8}not on this machine: {row['not_here']}"
    mark = "right" if row["right"] else "WRONG"
    return (
        f"{row['cause']:30}{row['version']:8}{row['verdict']:18}{mark:7}{row['times']:3}"
        f"{spread(row['detected_s']):>14}{spread(row['recovered_s']):>14}  report: {row['report']}"
    )


def spread(seconds: Sequence[float]) -> str:
    """Median and most, as `2.1, 2.6 s`."""
    if not seconds:
        return "-"
    return f"{median(seconds):.1f} s" if len(seconds) == 1 else f"{median(seconds):.1f}, {max(seconds):.1f} s"


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table of the docs: causes against verdicts, all versions together."""
    text = (
        "| cause | verdict | times | right | named after: median, most | said to be over: median, most |\n"
        "|---|---|---:|---:|---:|---:|\n"
    )
    causes: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["right"] is not None:
            causes.setdefault(row["cause"], []).append(row)
    for cause, of in causes.items():
        verdicts = ", ".join(dict.fromkeys(row["verdict"] for row in of))
        times, right = sum(row["times"] for row in of), sum(row["times"] for row in of if row["right"])
        detected = spread([each for row in of for each in row["detected_s"]])
        recovered = spread([each for row in of for each in row["recovered_s"]])
        does = FAULTS[cause].does if cause in FAULTS else _BY_ITSELF if CAUSES[cause].by_itself else ""
        what = f"`{cause}`: {does}" if does else cause
        text += f"| {what} | {verdicts} | {times} | {right} | {detected} | {recovered} |\n"
    named = sorted(each for of in causes.values() for row in of for each in row["detected_s"])
    if named:
        tenth = named[min(len(named) - 1, len(named) * 9 // 10)]
        text += f"\nOf {len(named)} that were named, half were within {median(named):.1f} s of the true beginning, nine"
        text += f" of ten within {tenth:.1f} s, all within {named[-1]:.1f} s."
    versions = dict.fromkeys(row["version"] for row in rows)
    return f"{text}\n{here([*versions])}.\n"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--janus", nargs="+", default=["1.1.2", "1.4.1"])
    options.add_argument("--causes", nargs="+", default=[*CAUSES], choices=[*CAUSES], metavar="CAUSE")
    options.add_argument("--times", type=int, default=5, help="how often each, where it can happen again in one run")
    options.add_argument("--at-once", type=int, default=2, help="runs side by side")
    options.add_argument("--add", action="store_true", help="to what the file has of other causes")
    options.add_argument("--out", type=Path, default=Path("reports/out/verdicts.json"))
    wanted = options.parse_args()
    assert {*FAULTS} <= {fault for name, cause in CAUSES.items() for fault in cause.faults or (name,)}
    runs = wanted.out.with_suffix("")
    runs.mkdir(parents=True, exist_ok=True)
    print(f"{'cause':30}{'Janus':8}{'verdict':18}{'':7}{'':>3}{'named':>14}{'over':>14}", flush=True)
    called = [row for name, cause in CAUSES.items() for row in rows_called(name, cause)]
    anew = {row for name in wanted.causes for row in rows_called(name, CAUSES[name])}
    rows: list[dict[str, Any]] = []
    if wanted.add and wanted.out.exists():
        rows += [
            row
            for row in json.loads(wanted.out.read_text())
            if row["cause"] not in anew or row["version"] not in wanted.janus
        ]
    with ThreadPoolExecutor(wanted.at_once) as pool:
        todo = [
            (cause, janus)
            for cause in wanted.causes
            for janus in wanted.janus
            if CAUSES[cause].by_itself in ("", janus)
        ]
        under_way = [
            pool.submit(tried, name, CAUSES[name], janus, runs / f"{name.replace(' ', '-')}-{janus}", wanted.times)
            for name, janus in todo
        ]
        for each in under_way:
            for row in each.result():
                rows.append(row)
                print(line(row), flush=True)
            rows.sort(key=lambda row: called.index(row["cause"]) if row["cause"] in called else len(called))
            wanted.out.write_text(json.dumps(rows, indent=1) + "\n")
            wanted.out.with_suffix(".md").write_text(markdown(rows))
    judged = [row for row in rows if row["right"] is not None]
    wrong = sum(not row["right"] for row in judged)
    print(f"{len(judged) - wrong} of {len(judged)} right; {wanted.out}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
