"""Every way in which Janus records, on a real one: whole, matched with its sender, and with the right voice in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from janusload.analysis.frames import read_frames
from janusload.run_folder import RunFolder

_LIFE = '["connect", "create", "attach", {}, "hangup", "detach", "destroy", "disconnect"]'
_TAKES = '{ repeat = 2, steps = ["record", "talk 1 s", "stop-recording", "talk 200 ms"] }'
SCENARIO = f"""
schema = 1
name = "recordings"
asks = "Is every kind of recording whole?"
run_time = "5 s"
limits = ["recordings damaged < 1", "recordings missing < 0.1 %"]

[lab]

[[rooms]]
name = "own"

[[rooms]]
name = "each"
mjrs = true
record = true

[[rooms]]
name = "video"
plugin = "videoroom"

[[users]]
name = "own"
count = 2
rooms = "own"
clip = "tone"
life = {_LIFE.format('"join+publish", ' + _TAKES + ', "record-room", "talk 1 s", "stop-recording-room", "stay"')}

[[users]]
name = "each"
count = 2
rooms = "each"
clip = "tone"

[[users]]
name = "video"
count = 1
plugin = "videoroom"
rooms = "video"
life = {_LIFE.format('"join+publish", "record", "stay", "stop-recording"')}

[[users]]
name = "echo"
count = 1
plugin = "echotest"
life = {_LIFE.format('"publish", "record", "stay", "stop-recording"')}

[[users]]
name = "recorder"
count = 1
plugin = "recordplay"
life = {_LIFE.format('"record", "talk 1 s", "stop-recording", "hangup", "detach", "attach", "play", "stay"')}
"""


@pytest.mark.lab
def test_every_kind_of_recording_is_whole_and_nobody_else_is_in_it(tmp_path: Path) -> None:
    scenario, out = tmp_path / "scenario.toml", tmp_path / "run"
    scenario.write_text(SCENARIO)
    command = [sys.executable, "-m", "janusload", "run", str(scenario), "--lab", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"})
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((out / "summary.json").read_text())
    found = summary["recordings"]
    assert found["states"] == {"whole": found["whole"]}
    assert (found["missing"], found["duplicated"], found["lost_on_the_way"]) == (0, 0, 0)
    # who is recorded twice is in two files
    names = [Path(path).name for path in read_frames(RunFolder.open(out))["recording"]["path"]]
    kinds = ("own-1", "own-2", "video-1", "echo-1", "recorder-1")
    assert [sum(f"janusload-{kind}-" in name and name.endswith(".mjr") for name in names) for kind in kinds] == [
        2,
        2,
        1,
        1,
        1,
    ]
    assert sum(name.startswith("audiobridge-") for name in names) == 2  # by the room
    assert sum(name.endswith(".wav") for name in names) == 2  # one from the beginning, one by whoever asked first
    assert sum(name.endswith(".nfo") for name in names) == 1
    assert found["matched"] == 9
    assert summary["media"]["silent"] == 0
    recording = read_frames(RunFolder.open(out))["recording"].set_index("path")
    takes = [
        {
            row.tones.partition(" ")[0]
            for path, row in recording.iterrows()
            if f"own-{n}-" in path and path.endswith("mjr")
        }
        for n in (1, 2)
    ]
    assert all(len(each) == 1 and each != {""} for each in takes)
    assert takes[0] != takes[1]
