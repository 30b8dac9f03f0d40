"""Every scenario of the repository against a real Janus, short, all of them at once on one lab."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from janusload.analysis.frames import read_frames
from janusload.lab import Lab
from janusload.run_folder import RunFolder
from janusload.scenario import load

SCENARIOS = Path(__file__).parents[2] / "scenarios"

_STEPS = ['shape.shortest="2 s"', "shape.samples_per_step=20", 'shape.settle="0.5 s"', 'recovery.at_most="4 s"']

AT_A_TIME = 4

#: what makes each short: the loads and times, never what the users do
SHORT: dict[str, list[str]] = {
    "smoke": ['users.0.stay="3 s"', 'users.0.mute_every="1 s"', *_STEPS],
    "knee": ['shape.rates=["20/s", "40/s"]', "users.0.count=2", *_STEPS],
    "capacity": ["shape.users=[1, 3]", 'stream.rate="20/s"', *_STEPS],
    # without the losses, which could stall the Janus that all share for good: that is what these two are for
    "churn": ["shape.load=4", 'shape.lasts="4 s"', "users.0.impair={}"],
    "churn-webrtc": ["users.0.impair={}", "users.1.impair={}", 'shape.lives="3/s"', 'shape.lasts="5 s"', "people=4"],
    "rooms": [
        'run_time="4 s"',
        "rooms.2.count=20",
        "users.0.count=2",
        "users.1.count=2",
        'stream.rate="20/s"',
        'users.1.life.4.steps=["talk 0.5 s", "listen 0.3 s"]',
    ],
    "record-soak": [
        'shape.lasts="5 s"',
        "users.0.count=2",
        'users.0.life.5.steps=["talk 0.5 s", "mute", "wait 0.2 s", "unmute"]',
        "users.0.life.5.repeat=2",
    ],
    "record-many": ['shape.lasts="5 s"', "users.0.count=3", "users.1.count=1"],
    # without its limits: it is about what they do to the server
    "record-slow-disk": ['shape.lasts="5 s"', "users.0.count=2"],
    "record-storm": [
        'shape.lasts="5 s"',
        "users.0.count=2",
        "users.1.count=3",
        "users.2.count=1",
    ],
    "signalling-storm": ["shape.users=[4, 8]", 'stream.rate="20/s"', *_STEPS],
    "spike-and-recover": [
        'shape.low="10/s"',
        'shape.high="60/s"',
        'shape.low_for="1.5 s"',
        'shape.high_for="1 s"',
        'shape.settle="0.5 s"',
        "users.0.count=1",
    ],
    "mixed": [
        'shape.lasts="8 s"',
        'users.1.stay="1 s"',
        'users.2.stay="1 s"',
        'users.3.stay="1 s"',
        'users.4.stay="1 s"',
    ],
    # a look takes two seconds, and they are four apart
    "hearing": ["users.0.count=2", 'users.0.mute_every="60 s"', *_STEPS, 'shape.shortest="12 s"'],
    "nightly": ['shape.from="10/s"', 'shape.at_most="30/s"', "users.0.count=1", *_STEPS],
}

#: requests that each must have made with success, besides those of the stream
MADE: dict[str, set[str]] = {
    "smoke": {"audiobridge.join", "audiobridge.configure", "audiobridge.leave", "janus.hangup", "janus.destroy"},
    "capacity": {"audiobridge.join", "audiobridge.leave"},
    "churn": {"audiobridge.join", "janus.detach"},
    "churn-webrtc": {"audiobridge.join", "audiobridge.changeroom", "janus.hangup"},
    "rooms": {"audiobridge.join", "audiobridge.create"},
    "record-soak": {"audiobridge.join", "audiobridge.configure"},
    "signalling-storm": {"janus.info", "audiobridge.listparticipants", "audiobridge.leave"},
    "mixed": {
        "audiobridge.join",
        "videoroom.joinandconfigure",
        "echotest.start",
        "recordplay.record",
        "recordplay.stop",
    },
}


class Running:
    """A load process on one of our scenarios."""

    def __init__(self, name: str, lab: Lab, path: Path) -> None:
        self.folder = RunFolder.create(path / name)
        text = (SCENARIOS / f"{name}.toml").read_text()
        self.plan, _ = load(SCENARIOS / f"{name}.toml", SHORT[name])
        self.folder.write_text("scenario.toml", text)
        target = {"url": lab.url, "allow_public": False, "ca": None, "insecure": False}
        self.folder.write_meta(target=target, scenario={"changes": SHORT[name]})
        self.log_path = path / f"{name}.log"
        self.log_text = ""
        with self.log_path.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "janusload.load", str(self.folder.path), "--tell-fd", "1"],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.said: list[dict[str, Any]] = []

    def finish(self, within_s: float) -> None:
        try:
            output, _ = self.process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            output, _ = self.process.communicate()
        self.said = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        self.log_text = self.log_path.read_text()


@pytest.fixture(scope="module")
def runs(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Running]:
    """All of them, a few at a time: most of a short run is waiting, but each start needs a core."""
    path = tmp_path_factory.mktemp("scenarios")

    def carry_out(name: str) -> Running:
        running = Running(name, lab, path)
        running.finish(within_s=120)
        return running

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return dict(zip(SHORT, pool.map(carry_out, SHORT), strict=True))


def test_every_scenario_is_run_here() -> None:
    assert set(SHORT) == {path.stem for path in SCENARIOS.glob("*.toml")}


@pytest.mark.lab
@pytest.mark.parametrize("name", sorted(SHORT))
def test_it_runs_and_does_what_it_says(name: str, runs: dict[str, Running]) -> None:
    run = runs[name]
    log = run.log_text
    assert "Traceback" not in log, log
    assert run.process.returncode == 0 and run.said[-1] == {"type": "end", "end": "completed"}, (log, run.said[-1:])
    assert [each for each in run.said if each["type"] == "progress"][-1]["failures"] == {}, log
    requests = read_frames(run.folder)["request"]
    # the ladder leaves a room that it never joined: any answer will do
    requests = requests[requests["source"] != "probes"]
    bad = requests[requests["outcome"].isin(["api_error", "api_timeout", "connect_failed", "lost_connection"])]
    assert bad.empty, bad[["name", "outcome", "layer", "code"]]
    made = set(requests["name"][requests["outcome"] == "ok"])
    assert MADE.get(name, set()) <= made, made
    if run.plan.stream is not None:
        stream = requests[(requests["name"] == "janus.create") & (requests["source"] == "arrivals")]
        assert len(stream) >= 20


@pytest.mark.lab
def test_nothing_is_left_on_the_server(runs: dict[str, Running], lab: Lab) -> None:
    deadline = time.monotonic() + 10
    while lab.sessions() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert lab.sessions() == 0


@pytest.mark.lab
def test_who_listens_hears_the_others_and_how_late(runs: dict[str, Running]) -> None:
    heard = read_frames(runs["hearing"].folder)["heard"]
    assert set(heard["talker"]) <= {"talker-1", "talker-2", "clock-1"} - set(heard["peer"])
    assert len(set(heard["talker"])) == 2
    assert heard["expected"].all() and heard["heard"].mean() > 0.5
    delays_ms = heard["delay_ms"].dropna()
    assert heard["level_dbov"].dropna().between(-35, -20).all()
    # six packets wait in the AudioBridge's queue
    assert delays_ms.between(60, 1000).all() and ("clock-1" in set(heard["peer"]) or len(delays_ms))
