"""Recordings on another machine: looked at by the agent there, believed with care here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from janusload.analysis.frames import read_frames
from janusload.lab import Lab
from janusload.records import RecordingRecord
from janusload.run_folder import RunFolder
from janusload.server.recordings.storage import account
from janusload.server.remote import AgentWatch
from janusload.server.wire import Nonsense, decode_recording, encode_recording
from tests.server.recordings.recorded import mjr_bytes, rtp
from tests.server.test_agent import HELLO, OK, TOKEN, agent, get, scripted, url, wait_until

RECORD = RecordingRecord(9, "a-audio.mjr", "mjr", "whole", 400, 3, 0, 0, 0, 0.06, 7, 1, 3, "", "440 Hz -16 dBov")


def test_recordings_of_the_run_alone_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "old-audio.mjr").write_bytes(b"")
    os.utime(tmp_path / "old-audio.mjr", (time.time() - 3600,) * 2)
    (tmp_path / "new-audio.mjr").write_bytes(mjr_bytes(rtp(n) for n in (1, 2, 4)))
    with agent(os.getpid(), recordings=tmp_path) as server:
        watch = AgentWatch(url(server), TOKEN)
        records, trouble = watch.remote_recordings(60.0)
        assert trouble == ""
        assert [record._replace(t_ns=0) for record in records] == [
            record._replace(t_ns=0) for record in account(tmp_path, since_s=time.time() - 60)
        ]
        assert [(each.path, each.packets, each.missing) for each in records] == [("new-audio.mjr", 3, 1)]
        assert len(watch.remote_recordings(7200.0)[0]) == 2
        looks = []
        (tmp_path / "next-audio.mjr").write_bytes(bytes(5000))
        wait_until(lambda: looks.append(watch.look().storage) or any(each and each.files for each in looks))
        stored = next(each for each in looks if each and each.files)
        assert (stored.files, stored.file_bytes) == (1, 5000)
        watch.close()
        for asked in ("", "?seconds=", "?seconds=-1", "?seconds=x", "?seconds=" + "9" * 30):
            assert get(server, "/v1/recordings" + asked)[0] == 400
        assert get(server, "/v1/recordings?seconds=60", "wrong")[0] == 401


def test_an_agent_that_was_told_of_no_folder_has_none() -> None:
    with agent(os.getpid()) as server:
        watch = AgentWatch(url(server), TOKEN)
        assert watch.remote_recordings(60.0) == ([], "")
        watch.close()


def test_what_is_told_is_read_back_and_made_harmless() -> None:
    assert decode_recording(encode_recording(RECORD).encode(), 9) == RECORD
    message = json.loads(encode_recording(RECORD))
    message["recording"] |= {"path": "../\x1b[31m" + "x" * 500, "of_the_future": [1]}
    found = decode_recording(json.dumps(message).encode(), 5)
    assert isinstance(found, RecordingRecord) and "\x1b" not in found.path and len(found.path) == 300
    assert decode_recording(b'{"left_out": 4}', 5) == 4


@pytest.mark.parametrize(
    "change",
    [{"state": "fine"}, {"format": "exe"}, {"path": 5}, {"packets": -1}, {"packets": "many"}, {"duration_s": 1e300}],
)
def test_nonsense_is_refused(change: dict[str, object]) -> None:
    message = json.loads(encode_recording(RECORD))
    message["recording"] |= change
    with pytest.raises(Nonsense):
        decode_recording(json.dumps(message).encode(), 5)
    for line in (b"", b"[]", b"{}", b'{"recording": 5}', b'{"left_out": "all"}'):
        with pytest.raises(Nonsense):
            decode_recording(line, 5)


def test_an_agent_that_breaks_off_is_told_of() -> None:
    good = encode_recording(RECORD).encode() + b"\n"
    with scripted(OK, HELLO, good, b"nonsense\n") as where:
        watch = AgentWatch(where, TOKEN)
        # the script greets here as well, which is no recording
        records, trouble = watch.remote_recordings(60.0)
        assert records == [] and "only 0 recordings could be looked at" in trouble
        watch.close()


@pytest.mark.lab
def test_a_run_with_an_agent_accounts_for_every_packet(lab: Lab, tmp_path: Path) -> None:
    scenario, out = tmp_path / "scenario.toml", tmp_path / "run"
    scenario.write_text(
        'schema = 1\nname = "remote"\nasks = "Are they whole?"\nrun_time = "3 s"\n'
        'limits = ["recordings damaged < 1", "recordings missing < 1 %"]\n'
        '[[users]]\nname = "echo"\ncount = 2\nplugin = "echotest"\n'
        'life = ["connect", "create", "attach", "publish record", "stay", "stop-recording", "hangup", "disconnect"]\n'
    )
    with agent(lab.pid, lab.log_path, recordings=lab.recordings) as server:
        command = [sys.executable, "-m", "janusload", "run", str(scenario), "--host", lab.url]
        command += ["--agent", url(server), "--out", str(out)]
        environment = {**os.environ, "JANUSLOAD_AGENT_TOKEN": TOKEN}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((out / "summary.json").read_text())["recordings"]
    assert (found["files"], found["whole"], found["matched"], found["told"]) == (2, 2, 2, 2)
    assert found["packets"] > 200 and (found["missing"], found["lost_on_the_way"]) == (0, 0)
    assert read_frames(RunFolder.open(out))["storage"]["file_bytes"].max() > 0
