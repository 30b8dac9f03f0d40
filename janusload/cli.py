"""The command line. The only file that prints for people or exits."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live

from janusload import __version__, live
from janusload.errors import JanusloadError, UsageError

if TYPE_CHECKING:
    from janusload.summary import Summary

EXIT_PASSED = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_THRESHOLD = 3
EXIT_INCONCLUSIVE = 4

_EXAMPLES = """\
examples:
  janusload run scenarios/knee.toml --lab             find the onset on a private Janus
  janusload run scenarios/knee.toml --host ws://127.0.0.1:8188
  janusload report reports/out/demo                   make the report again from a run folder
  janusload scenario check scenarios/knee.toml
  sudo janusload lab install                          install the Debian package janus, and start nothing

The API secret of a Janus is taken from the environment (JANUS_API_SECRET), never from the command line.
exit codes: 0 passed, 1 error of the tool or its surroundings, 2 usage, 3 a threshold was crossed, 4 inconclusive
"""


def entry() -> None:
    """The console script."""
    sys.exit(main())


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    options = _parser().parse_args(arguments)
    console = Console()
    errors = Console(stderr=True)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _like_ctrl_c)
    try:
        code: int = options.command(options, console)
        return code
    except UsageError as error:
        errors.print(f"janusload: {error}", markup=False, highlight=False, soft_wrap=True)
        return EXIT_USAGE
    except JanusloadError as error:
        errors.print(f"janusload: {error}", markup=False, highlight=False, soft_wrap=True)
        folder = getattr(error, "folder", None)
        if folder is not None:
            errors.print(
                f"report of what there was: {folder / 'report.html'}", markup=False, highlight=False, soft_wrap=True
            )
        return EXIT_ERROR
    except KeyboardInterrupt:
        errors.print("janusload: interrupted before the run began; nothing was left behind", markup=False)
        return EXIT_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="janusload",
        description="Load generation for the Janus WebRTC Gateway: at which request latency does create time out?",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"janusload {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a scenario and write its report")
    run.add_argument("scenario", type=Path, metavar="SCENARIO", help="a scenario file (TOML)")
    where = run.add_mutually_exclusive_group()
    where.add_argument("--host", metavar="URL", help="the Janus to load, as ws://HOST:PORT or wss://HOST:PORT")
    where.add_argument("--lab", action="store_true", help="a private Janus on this machine (needs root)")
    run.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: reports/out/NAME-TIME)")
    run.add_argument("--replace", action="store_true", help="discard the run that lies in the run folder already")
    run.add_argument("--allow-public", action="store_true", help="allow targets beyond loopback and private networks")
    run.add_argument("--ca", metavar="FILE", help="certificate authority to trust for wss://")
    run.add_argument("--insecure", action="store_true", help="do not verify the certificate of wss://")
    run.set_defaults(command=_run)

    report = commands.add_parser("report", help="make the report of a run folder again")
    report.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    report.set_defaults(command=_report)

    scenario = commands.add_parser("scenario", help="look at scenario files")
    scenario_commands = scenario.add_subparsers(required=True, metavar="COMMAND")
    check = scenario_commands.add_parser("check", help="say what is wrong with a scenario file")
    check.add_argument("scenario", type=Path, metavar="FILE")
    check.set_defaults(command=_check)

    lab = commands.add_parser("lab", help="the private Janus")
    lab_commands = lab.add_subparsers(required=True, metavar="COMMAND")
    install = lab_commands.add_parser("install", help="install the Debian package janus, and start nothing")
    install.add_argument("--tests", action="store_true", help="also what the tests of janusload need (chromium)")
    install.set_defaults(command=_install)
    return parser


def _run(options: argparse.Namespace, console: Console) -> int:
    # imported here: --help and faulty scenarios need no pandas
    from janusload import run, scenario
    from janusload.lab import privilege

    plan, _ = scenario.load(options.scenario)
    if options.host is None and not options.lab and plan.lab is None:
        raise UsageError(f"{options.scenario} names no [lab]: say --host URL, or --lab for a private Janus")
    if options.host is None and privilege.needs_reexec():
        console.print("No root: going on inside an unprivileged user and network namespace.", highlight=False)
        privilege.reexec(sys.argv)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    wanted = run.RunOptions(
        scenario=options.scenario,
        url=options.host,
        out=options.out or Path("reports/out") / f"{plan.name}-{stamp}",
        replace=options.replace,
        allow_public=options.allow_public,
        ca=options.ca,
        insecure=options.insecure,
        command=shlex.join(["janusload", *sys.argv[1:]]),
    )
    view = _View(console, plan.name)
    with view:
        summary = run.run(wanted, api_secret=os.environ.get("JANUS_API_SECRET"), tell=view.tell, say=view.say)
    return _show(summary, wanted.out.absolute(), console)


def _report(options: argparse.Namespace, console: Console) -> int:
    from janusload import run
    from janusload.run_folder import RunFolder

    folder = RunFolder.open(options.run_dir)
    return _show(run.summarize(folder), folder.path, console)


def _check(options: argparse.Namespace, console: Console) -> int:
    from janusload import scenario

    plan, _ = scenario.load(options.scenario)
    console.print(f"{options.scenario}: fine ({plan.name}: {plan.asks})", markup=False, highlight=False)
    return EXIT_PASSED


def _install(options: argparse.Namespace, console: Console) -> int:
    from janusload.lab import packages

    packages.install(
        say=lambda words: console.print(words, markup=False, highlight=False, soft_wrap=True), tests=options.tests
    )
    return EXIT_PASSED


def _show(summary: Summary, folder: Path, console: Console) -> int:
    from janusload.report import EndScreen
    from janusload.summary import Verdict

    console.print(EndScreen(summary, folder), crop=False)
    return {Verdict.PASSED: EXIT_PASSED, Verdict.FAILED: EXIT_THRESHOLD}.get(summary.verdict, EXIT_INCONCLUSIVE)


class _View:
    """Live progress: a few rows that stay in place on a terminal, a line when something changes elsewhere."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._said = ("", -1)
        self._next_s = 0.0

    def __enter__(self) -> _View:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, words: str) -> None:
        self._console.print(words, markup=False, highlight=False, soft_wrap=True)

    def tell(self, progress: dict[str, Any]) -> None:
        if self._live is not None:
            self._live.update(live.panel(self._name, progress), refresh=True)
            return
        now = (progress["phase"], progress["step"])
        if now != self._said or time.monotonic() >= self._next_s:
            self._said = now
            self._next_s = time.monotonic() + 5.0
            self.say(live.line(progress))


def _like_ctrl_c(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    entry()
