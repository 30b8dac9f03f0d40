"""A full disk, of which Janus says next to nothing: what is lost on it is found, and told, on a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from janusload.analysis.frames import read_frames
from janusload.run_folder import RunFolder

SCENARIO = """
schema = 1
name = "full-disk"
asks = "Is it found what a full disk has lost?"
limits = ["recordings damaged < 1"]
run_time = "14 s"

[lab]
recordings_disk = "32 MB"

[[rooms]]
name = "studio"
record = true

[[users]]
name = "early"
count = 2
rooms = "studio"
life = [
    "connect", "create", "attach", "join+publish record", "stay", "stop-recording",
    "leave", "hangup", "detach", "destroy", "disconnect",
]

[[users]]
name = "late"
count = 2
rooms = "studio"
life = [
    "connect", "create", "attach", "join+publish", "wait 8 s", "record", "talk 3 s", "stop-recording", "stay",
    "leave", "hangup", "detach", "destroy", "disconnect",
]
"""


@pytest.mark.lab
def test_what_a_full_disk_has_lost_is_found_and_was_told_while_it_was_lost(tmp_path: Path) -> None:
    scenario, out = tmp_path / "scenario.toml", tmp_path / "run"
    scenario.write_text(SCENARIO)
    command = [sys.executable, "-m", "janusload", "run", str(scenario), "--lab", "--out", str(out)]
    done = subprocess.run(
        [*command, "--fault", "disk-full after 7 s for 60 s"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )
    # inconclusive where the machine was crowded
    assert done.returncode in (3, 4), done.stdout + done.stderr
    assert "FAILED: recordings damaged < 1, was" in done.stdout
    assert "the disk of the recordings is full. Janus goes on" in done.stdout + done.stderr
    found = json.loads((out / "summary.json").read_text())["recordings"]
    files = read_frames(RunFolder.open(out))["recording"].set_index("path")
    late = files[files.index.str.contains("-late-")]
    # created, which takes no block, and never written to
    assert list(late["size_bytes"]) == [0, 0] and set(late["state"]) == {"empty"}
    # what they had in them was written before; the rest is missed by whoever sent it, or seen by how they end
    early = files[files.index.str.contains("-early-")]
    assert len(early) == 2
    assert found["cut"] + found["lost_on_the_way"] > 2 * 50 * 3
    assert found["mixes"] == 1 and found["mixes_lack_s"] > 3
    assert found["states"].get("short", 0) + found["states"].get("unfinished", 0) >= 1
    assert found["whole"] < found["files"] - 2
    # its log has a line here and there about frames, and not one about the mix or the files of 0 bytes
    complaints = [line for line in (out / "janus.log").read_text(errors="replace").splitlines() if "No space" in line]
    assert len(complaints) < 100 and all("in .mjr file" in line for line in complaints)
