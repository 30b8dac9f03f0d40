"""`janusload doctor`: what a person should know before a run."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from janusload import exit_codes

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red bold"}


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    doctor = commands.add_parser("doctor", help="examine this machine and a Janus before a run")
    doctor.add_argument("host", nargs="?", metavar="URL", help="the Janus to examine, as ws://HOST:PORT")
    doctor.add_argument("--scenario", type=Path, metavar="FILE", help="what is planned: does it fit?")
    doctor.add_argument("--admin", metavar="URL", help="its Admin API, as http://HOST:7088/admin")
    doctor.add_argument("--ca", metavar="FILE", help="certificate authority to trust for wss:// and https://")
    doctor.add_argument("--insecure", action="store_true", help="do not verify certificates")
    doctor.add_argument("--allow-public", action="store_true", help="allow targets beyond private networks")
    doctor.set_defaults(command=_doctor)


def _doctor(options: argparse.Namespace, console: Console) -> int:
    from janusload import scenario
    from janusload.doctor import Level, Plans, machine, plans_of
    from janusload.doctor.server import Patient
    from janusload.janus import tls

    plans = plans_of(scenario.load(options.scenario)[0]) if options.scenario is not None else Plans()
    counts = dict.fromkeys(Level, 0)
    findings = [machine.examine(plans)]
    if options.host is not None:
        patient = Patient(
            options.host,
            api_secret=os.environ.get("JANUS_API_SECRET") or None,
            admin_url=options.admin,
            admin_secret=os.environ.get("JANUS_ADMIN_SECRET") or None,
            allow_public=options.allow_public,
            tls=tls.context(ca=options.ca, insecure=options.insecure),
        )
        findings.append(patient.examine(plans))
    for row in findings:
        for finding in row:
            counts[finding.level] += 1
            line = Text.assemble((f"{finding.level:4}", _STYLES[finding.level]), f"  {finding.what}: {finding.words}")
            console.print(line, soft_wrap=True)
            if finding.todo:
                console.print(Text(f"      -> {finding.todo}"), soft_wrap=True)
    if options.host is None:
        words = "No Janus was named: `janusload doctor ws://HOST:8188` examines one too; `janusload lab up` starts one."
        console.print(words, highlight=False, soft_wrap=True)
    warnings, failures = counts[Level.WARN], counts[Level.FAIL]
    console.print(
        f"{counts[Level.OK]} ok, {warnings} warning{'s' * (warnings != 1)}, {failures} failure{'s' * (failures != 1)}",
        highlight=False,
    )
    return exit_codes.ERROR if counts[Level.FAIL] else exit_codes.PASSED
