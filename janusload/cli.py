"""The command line: parses, calls one of `commands/`, and turns errors into words and exit codes."""

from __future__ import annotations

import argparse
import signal
import sys
from types import FrameType

from rich.console import Console

from janusload import __version__, exit_codes
from janusload.commands import agent, compare, doctor, lab, merge, recordings, report, run, scenario, show
from janusload.errors import JanusloadError, UsageError

_EXAMPLES = """\
examples:
  janusload run scenarios/knee.toml --lab             find the onset on a private Janus
  janusload run scenarios/knee.toml --host ws://127.0.0.1:8188
  janusload report reports/out/demo                   make the report again from a run folder
  janusload scenario check scenarios/knee.toml
  sudo janusload lab install                          install the Debian package janus, and start nothing

The API secret of a Janus is taken from the environment (JANUS_API_SECRET), never from the command line.
exit codes: 0 passed, 1 error of the tool or its surroundings, 2 usage,
3 a limit was crossed or the server stopped working, 4 inconclusive
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
        return exit_codes.USAGE
    except JanusloadError as error:
        errors.print(f"janusload: {error}", markup=False, highlight=False, soft_wrap=True)
        folder = getattr(error, "folder", None)
        if folder is not None:
            errors.print(
                f"report of what there was: {folder / 'report.html'}", markup=False, highlight=False, soft_wrap=True
            )
        return exit_codes.ERROR
    except KeyboardInterrupt:
        errors.print("janusload: interrupted before the run began; nothing was left behind", markup=False)
        return exit_codes.ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="janusload",
        description="Load generation for the Janus WebRTC Gateway: at which request latency does create time out?",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"janusload {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    for command in (run, report, show, compare, merge, scenario, recordings, lab, agent, doctor):
        command.add(commands)
    return parser


def _like_ctrl_c(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    entry()
