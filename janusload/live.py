"""The live view of a run: the same first screen as the report, filling as the run goes."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from janusload.durations import span
from janusload.generator_watch import troubles

_PHASES = {
    "setup": "getting ready",
    "joining": "people come",
    "steady": "load is on",
    "steps": "load is on",
    "recovery": "load is off: does the server come back?",
    "leaving": "people leave",
    "end": "ended; the report is being written",
}


def line(progress: dict[str, Any]) -> str:
    """One line about the moment, for logs and where there is no terminal."""
    return " · ".join(part for _, part in _parts(progress) if part)


def panel(name: str, progress: dict[str, Any]) -> Table:
    """A few rows about the moment; always the same rows in the same places, so that nothing jumps."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", min_width=12)
    table.add_column(min_width=60)
    table.add_row("janusload", Text(name, style="bold"))
    for title, text in _parts(progress):
        table.add_row(title, Text(text or "-"))
    return table


def _parts(progress: dict[str, Any]) -> list[tuple[str, str]]:
    phase = progress["phase"]
    now = _PHASES.get(phase, phase)
    if phase == "steps":
        now = _load(progress)
    people = f"{progress['users']}" if progress["users"] else ""
    if people and progress["with_audio"]:
        people = f"{progress['participants']} of {people} with audio"
    if progress["failures"]:
        people += f", {sum(progress['failures'].values())} lives ended by an error"
    latency = ""
    verb = progress["request"].partition(".")[2]
    if progress["attempts"]:
        latency = (
            f"p50 {_ms(progress['p50_ms'], progress)}, p95 {_ms(progress['p95_ms'], progress)}, "
            f"{progress['timeouts']:,} of {progress['attempts']:,} timed out"
        )
    back = ""
    if progress["recovered_after_s"] is not None:
        back = f"back after {progress['recovered_after_s']:.1f} s"
    elif phase == "recovery":
        back = f"not yet ({progress['left_s']:.0f} s left)"
    silent = [rung for rung, ok in progress["rungs"].items() if not ok]
    answers = f"no answer: {', '.join(silent)}" if silent else ("answers all probes" if progress["rungs"] else "")
    answers = progress.get("stall") or answers
    return [
        ("now", now),
        ("people", people),
        (verb, latency),
        ("server", answers),
        ("recovered", back),
        ("generator", _generator(progress)),
    ]


def _load(progress: dict[str, Any]) -> str:
    """How much is asked, and for how long yet."""
    step, steps = progress["step"], progress["steps"]
    which = "" if step < 0 else f"step {step + 1} of {steps}: " if steps else f"step {step + 1}: "
    return f"{which}{progress['offered_per_s']:.4g} {progress['unit']}, {span(progress['left_s'])} left"


def _generator(progress: dict[str, Any]) -> str:
    cpu = progress["cpu_percent"]
    if cpu is None:
        return ""
    processes = progress["processes"]
    which = "load process" if processes < 2 else f"busiest of {processes} load processes"
    missing = [f"; missing: {', '.join(progress['missing'])}"] if progress["missing"] else []
    return "".join([f"{which} {cpu:.0f} % of a core", *missing, _troubles(progress)])


def _troubles(progress: dict[str, Any]) -> str:
    """Why the generator does not keep up at the moment (measurement.md section 4); empty if it does."""
    found = troubles(progress)
    if progress.get("dropped"):
        found.append(f"{progress['dropped']} arrivals dropped")
    return f": NOT KEEPING UP ({', '.join(found)})" if found else ""


def _ms(value: float | None, progress: dict[str, Any]) -> str:
    if value is None:
        return f"≥ {progress['timeout_s']:g} s"
    return f"{value:.1f} ms" if value < 100 else f"{value / 1000:.2f} s"
