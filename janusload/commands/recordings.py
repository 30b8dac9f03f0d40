"""`janusload recordings`: are the files that Janus wrote whole?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from janusload import exit_codes
from janusload.errors import UsageError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from janusload.server.recordings.check import Checked

#: files that the table shows one by one; the rest is counted
_ROWS = 40


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    recordings = commands.add_parser("recordings", help="look at what Janus recorded")
    recordings_commands = recordings.add_subparsers(required=True, metavar="COMMAND")
    check = recordings_commands.add_parser(
        "check",
        help="say which recordings are whole",
        description="Reads MJR and WAV files (and RecordPlay's .nfo) and says which of them are whole. "
        "Exit code 3 if one is not, or if more packets are missing than allowed.",
    )
    check.add_argument("paths", type=Path, nargs="+", metavar="DIR|FILE")
    check.add_argument("--json", action="store_true", help="everything that is known of each file, as JSON")
    check.add_argument("--listen", action="store_true", help="decode two seconds of each: whose tones are in it")
    check.add_argument(
        "--max-missing",
        type=_percent,
        metavar="PERCENT",
        help="packets that may be missing in a file (default: they are told and not judged)",
    )
    check.set_defaults(command=_check)

    plan = recordings_commands.add_parser(
        "plan",
        help="say what disk and memory a number of recorded participants need",
        description="Scales a measured run with recordings, in proportion: run the scenario that is planned for first.",
    )
    plan.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    plan.add_argument("--participants", type=_positive, required=True, metavar="N")
    plan.add_argument("--hours", type=_positive, default=1.0, metavar="H", help="hours of recording (default: 1)")
    plan.add_argument("--disk", type=Path, metavar="DIR", help="whose disk gets full (default: that run's)")
    plan.add_argument("--json", action="store_true")
    plan.set_defaults(command=_plan)

    uncache = recordings_commands.add_parser(
        "uncache",
        help="keep recordings out of the page cache while Janus writes them, until Ctrl-C",
        description="For a Janus in a memory limit: what has been written of its recordings is brought to the disk and "
        "dropped from the page cache, piece by piece. The files stay as they are, and Janus needs no change.",
    )
    uncache.add_argument("folder", type=Path, metavar="DIR")
    uncache.add_argument(
        "--every", type=_megabytes, default=2_000_000, metavar="MB", help="size of a piece in MB (default: 2)"
    )
    uncache.set_defaults(command=_uncache)


def _percent(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / 100
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: write it like 0.5%")
    return value


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def _megabytes(text: str) -> int:
    return max(4096, round(_positive(text.removesuffix("MB").strip()) * 1e6))


def _check(options: argparse.Namespace, console: Console) -> int:
    from janusload.server.recordings.check import check, recordings_in

    results = [check(path) for path in recordings_in(options.paths)]
    heard = [_listen(result) if options.listen else "" for result in results]
    bad = [result for result in results if not result.whole or _misses(result, options.max_missing)]
    if options.json:
        rows = [
            _row(result) | ({"heard": words} if options.listen else {})
            for result, words in zip(results, heard, strict=True)
        ]
        console.print_json(json.dumps(rows))
    else:
        # what is wrong comes first
        order = sorted(range(len(results)), key=lambda at: (results[at] not in bad, str(results[at].path)))
        console.print(_table([results[at] for at in order], [heard[at] for at in order], listened=options.listen))
        console.print(_sentence(results, bad), markup=False, highlight=False, soft_wrap=True)
    if not results:
        return exit_codes.ERROR
    return exit_codes.THRESHOLD if bad else exit_codes.PASSED


def _plan(options: argparse.Namespace, console: Console) -> int:
    from dataclasses import asdict

    from janusload.analysis import summarize
    from janusload.analysis.planning import HEADROOM, WRITE_BACK_WINDOW_S, plan_recording
    from janusload.run_folder import RunFolder

    free_bytes = None if options.disk is None else _free_bytes(options.disk)
    summary = summarize(RunFolder.open(options.run_dir))
    plan = plan_recording(summary, round(options.participants), options.hours, free_bytes=free_bytes)
    if options.json:
        console.print_json(json.dumps(asdict(plan)))
        return exit_codes.PASSED
    window = f"({WRITE_BACK_WINDOW_S:g} s of it)"
    lines = [
        f"{plan.participants} participants recorded for {plan.hours:g} h need",
        f"  disk     {plan.disk_mb_per_s:.2f} MB/s all the time, {plan.disk_gb:.1f} GB in the end",
        f"  memory   a limit of {plan.memory_limit_mb:.0f} MB or more: {plan.firm_mb:.0f} MB that cannot be taken "
        f"back, {HEADROOM:.0%} on top, and {plan.dirty_mb:.0f} MB that wait for the disk {window}",
    ]
    if plan.full_after_h is not None:
        disk = options.disk or "the disk of that run's recordings"
        lines.append(f"  {disk} is full after {plan.full_after_h:.1f} h")
    lines.append(f"Measured with {plan.basis}; the rest is proportion.")
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    return exit_codes.PASSED


def _free_bytes(folder: Path) -> float:
    import shutil

    try:
        return float(shutil.disk_usage(folder).free)
    except OSError as error:
        raise UsageError(f"--disk {folder}: {error.strerror or error}") from None


def _uncache(options: argparse.Namespace, console: Console) -> int:
    from janusload.server.recordings.uncache import Uncache

    if not options.folder.is_dir():
        raise UsageError(f"{options.folder}: there is no such folder")
    helper = Uncache(options.folder, every_bytes=options.every)
    console.print(
        f"Keeping {options.folder} out of the page cache, {options.every / 1e6:g} MB at a time; Ctrl-C ends it.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    try:
        helper.run(lambda: False)
    except KeyboardInterrupt:
        helper.once(everything=True)
    words = (
        f"{_bytes(helper.dropped_bytes)} dropped in {helper.drops} pieces, the slowest took {helper.slowest_s:.2f} s"
    )
    failed = "".join(f"\n{path}: {reason}" for path, reason in helper.failures.items())
    console.print(words + failed, markup=False, highlight=False, soft_wrap=True)
    return exit_codes.ERROR if helper.failures else exit_codes.PASSED


def _misses(result: Checked, allowed: float | None) -> bool:
    if allowed is None or result.packets is None or result.missing is None:
        return False
    return result.missing > allowed * (result.packets + result.missing)


def _listen(result: Checked) -> str:
    from janusload.server.recordings.defects import RecordingUnreadable
    from janusload.server.recordings.listen import listen

    if result.format == "nfo" or not result.size_bytes:
        return ""
    try:
        heard = listen(result.path)
    except RecordingUnreadable as error:
        return error.reason
    return ", ".join(f"{tone.hertz:.0f} Hz ({tone.level_dbov:.0f} dBov)" for tone in heard.tones[:4]) or "no tone"


def _table(results: list[Checked], heard: list[str], *, listened: bool) -> Table:
    """One row per file; a column that would say nothing is left out."""
    shown = results[:_ROWS]
    columns: list[tuple[str, list[str]]] = [
        ("state", [result.state.value.replace("_", " ") for result in shown]),
        ("size", [_bytes(result.size_bytes) for result in shown]),
        ("length", ["" if result.duration_s is None else f"{result.duration_s:.2f} s" for result in shown]),
        ("packets", [_count(result.packets) for result in shown]),
        ("missing", [_count(result.missing) for result in shown]),
    ]
    for title, name in (("twice", "duplicated"), ("reordered", "reordered"), ("stale", "stale")):
        if any(getattr(result, name) for result in shown):
            columns.append((title, [_count(getattr(result, name)) for result in shown]))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("file", overflow="fold")
    for title, _ in columns:
        table.add_column(title, justify="left" if title == "state" else "right", no_wrap=True)
    words = [[Text(result.path.name)] + [Text(cells[at]) for _, cells in columns] for at, result in enumerate(shown)]
    if listened:
        table.add_column("heard")
        words = [[*row, Text(tones)] for row, tones in zip(words, heard, strict=False)]
    if any(result.defects for result in shown):
        table.add_column("what is wrong", overflow="fold", ratio=1)
        words = [[*row, Text(_wrong(result))] for row, result in zip(words, shown, strict=True)]
    for row in words:
        table.add_row(*row)
    return table


def _wrong(result: Checked) -> str:
    more = len(result.defects) - 2
    return "; ".join(defect.words for defect in result.defects[:2]) + (f"; and {more} more" if more > 0 else "")


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _sentence(results: list[Checked], bad: list[Checked]) -> str:
    if not results:
        return "no recordings found: files ending in .mjr, .wav or .nfo are looked for"
    hidden = f"; the table shows the first {_ROWS}" if len(results) > _ROWS else ""
    missing = sum(result.missing or 0 for result in results)
    packets = sum(result.packets or 0 for result in results)
    loss = f"{missing:,} of {packets + missing:,} packets missing" if packets else "no RTP packets"
    size = _bytes(sum(result.size_bytes for result in results))
    good = (
        f"all {len(results)} recordings are whole"
        if not bad
        else f"{len(bad)} of {len(results)} recordings are not whole"
    )
    return f"{good} ({size}, {loss}){hidden}"


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def _row(result: Checked) -> dict[str, Any]:
    row = {name: getattr(result, name) for name in result.__dataclass_fields__ if name not in ("path", "defects")}
    row["ssrcs"] = [{"ssrc": ssrc, "packets": packets} for ssrc, packets in result.ssrcs.items()]
    defects = [{"kind": d.kind.value, "offset": d.offset, "words": d.words} for d in result.defects]
    return {"path": str(result.path), **row, "defects": defects}
