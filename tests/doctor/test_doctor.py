"""`janusload doctor`: every line has a level, and what to do where it is not well."""

from __future__ import annotations

import resource
import socket
from pathlib import Path

import pytest

from janusload import cli
from janusload.doctor import Finding, Level, Plans, machine, plans_of
from janusload.doctor.server import Patient
from janusload.lab import Lab
from janusload.scenario import load
from tests.fake_janus import SILENCE, FakeJanus

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def by_what(findings: list[Finding]) -> dict[str, Finding]:
    assert all(finding.todo for finding in findings if finding.level is not Level.OK), findings
    return {finding.what: finding for finding in findings}


def test_what_a_scenario_needs() -> None:
    knee = plans_of(load(SCENARIOS / "knee.toml")[0])
    assert (knee.users, knee.peers, knee.connections, knee.rate_per_s) == (4, 4, 20, 2400)
    assert knee.plugins == {"audiobridge"}
    storm = plans_of(load(SCENARIOS / "signalling-storm.toml")[0])
    assert (storm.users, storm.peers, storm.rate_per_s) == (160, 0, 60)


def test_a_plan_that_does_not_fit_is_a_failure() -> None:
    modest = by_what(list(machine.examine(Plans())))
    assert {"versions", "cores", "open files", "ports", "memory", "clock", "lab: Janus"} <= set(modest)
    assert modest["open files"].level is Level.OK
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    huge = by_what(list(machine.examine(Plans(users=hard + 1, peers=10**6, rate_per_s=10**6))))
    for what in ("open files", "cores", "ports", "memory"):
        assert huge[what].level is Level.FAIL, huge[what]


def test_it_says_whether_backtraces_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "eu-stack takes them" in by_what(list(machine.examine(Plans())))["backtraces"].words
    monkeypatch.setattr(machine, "which", lambda name: None)
    without = by_what(list(machine.examine(Plans())))["backtraces"]
    assert without.level is Level.WARN and "elfutils" in without.todo


def test_a_server_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = list(Patient(f"ws://127.0.0.1:{port}").examine(Plans()))
    assert [(each.level, each.what) for each in found] == [(Level.FAIL, "connection")]
    assert "is Janus up" in found[0].todo


def test_a_new_user_with_nothing_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor"]) in (0, 1)
    said = capsys.readouterr().out
    assert "the plan needs" not in said and "`janusload lab up` starts one" in said
    assert cli.main(["doctor", "127.0.0.1:8188"]) == 2
    refused = capsys.readouterr()
    assert "ws://HOST:PORT" in refused.err and not refused.out, "before anything was examined"


def test_a_server_that_is_stuck_or_refuses_us_or_lacks_a_plugin() -> None:
    with FakeJanus(lambda request: SILENCE if request["janus"] == "create" else 0.0) as janus:
        janus.plugins = ("janus.plugin.audiobridge",)
        patient = Patient(janus.url)
        findings = iter(patient.examine(Plans(plugins=frozenset({"videoroom"}))))
        found = by_what([next(findings) for _ in range(3)])
        assert found["info" if "info" in found else "Janus"].level is Level.OK
        rest = by_what(list(findings))
    assert rest["plugins"].level is Level.FAIL and "videoroom" in rest["plugins"].words
    assert rest["create"].level is Level.FAIL and "stuck already" in rest["create"].todo
    with FakeJanus(api_secret="s3cret") as janus:
        janus.plugins = ("janus.plugin.audiobridge",)
        refused = by_what(list(Patient(janus.url, api_secret="wr0ng").examine(Plans())))
    assert "JANUS_API_SECRET" in refused["create"].todo
    assert not any("wr0ng" in " ".join(each) for each in refused.values())


@pytest.mark.lab
def test_a_real_janus_is_called_and_its_known_defects_are_said(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["doctor", lab.url, "--scenario", str(SCENARIOS / "smoke.toml")])
    said = capsys.readouterr().out
    assert "ok    Janus: 1.1.2" in said and "ok    create: answered" in said, said
    assert "audio through EchoTest" in said, said
    assert "warn  known deadlock: audiobridge" in said, said
    assert "-> " in said and " failures" in said
    assert code in (0, 1)
