"""The bundle: complete, bounded, without secrets, and made also when parts of it cannot be had."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import time
from pathlib import Path

from janusload.evidence import Scene, gather
from janusload.last_transactions import last_transactions
from janusload.records import Outcome, RequestRecord, ServerRecord, Source, ThreadRecord
from janusload.run_folder import RunFolder
from janusload.stall_watch import Stall
from janusload.summary import FailureKind
from janusload.verdict import Finding

SECRET = "s3cret-of-the-api"
STALL = Stall(
    Finding(FailureKind.CORE_STUCK, "ws_ping answered but ping did not", "audiobridge"), 12 * 10**9, 14 * 10**9
)
META = {
    "server": {"version_string": "1.2.2", "plugins": {"janus.plugin.audiobridge": "0.0.12"}},
    "host": {"system": "Debian", "kernel": "6.1", "cores": 2},
    "scenario": {"text": "schema = 1\n"},
}


def scene(pid: int | None, **changes: object) -> Scene:
    facts: dict[str, object] = {
        "begin_ns": 10**9,
        "ladder": [(11.0, "ping", "overdue after 0.750 s")],
        "readings": [
            ServerRecord(13 * 10**9, 3.0, None, 10**7, 9, 9, 30, 40, "S", fds_limit=1024),
            ServerRecord(14 * 10**9, None, None, None, None, None, None, None, "S"),
        ],
        "pid": pid,
        "log_tail": ["No WebRTC media anymore", f"a line with {SECRET} in it", "```"],
        "meta": META,
        "secrets": [SECRET, ""],
    }
    return Scene(**{**facts, **changes})  # type: ignore[arg-type]


def test_what_a_maintainer_asks_for(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        folder = gather(tmp_path, "1-core_stuck", STALL, scene(process.pid))
        process.kill()
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "README.md",
        "backtrace.txt",
        "facts.json",
        "ladder.tsv",
        "limits.txt",
        "log-tail.txt",
        "server.jsonl",
        "status.txt",
        "threads.txt",
        "transactions.tsv",
    }
    readme = (folder / "README.md").read_text()
    assert readme.startswith("# Janus 1.2.2: core stuck\n") and "PR 3387" in readme and "11.0 s into the run" in readme
    assert "of another kind: see `facts.json`" in readme and "PR 3356" not in readme, "a crash is no stall"
    assert "CPU 3 %, 30 threads, 40 of 1,024 descriptors" in readme, readme
    assert readme.count("```") == 2, "a log line cannot end the block"
    assert all(SECRET not in path.read_text() for path in folder.iterdir())
    with tarfile.open(tmp_path / "1-core_stuck.tar.gz") as archive:
        assert {Path(name).name for name in archive.getnames()} == names | {"1-core_stuck"}
        assert {(entry.uid, entry.uname) for entry in archive.getmembers()} == {(0, "")}


def test_parts_that_cannot_be_had_are_said(tmp_path: Path) -> None:
    def broken() -> str:
        raise OSError("the disk is gone")

    folder = gather(tmp_path, "x", STALL, scene(999_999_999, transactions=broken, backtraces=lambda pid: "none\n"))
    assert "the disk is gone" in (folder / "transactions.tsv").read_text()
    assert "could not be read" in (folder / "limits.txt").read_text()
    assert not (folder / "threads.txt").exists()


def test_the_stacks_of_those_who_wait_are_in_the_readme(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"], stdout=-1
    ) as process:
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(0.1)
        said = f"$ eu-stack\nTID {process.pid}:\n#0  0x00007f clock_nanosleep\n#1  0x00007f pysleep\n"
        folder = gather(tmp_path, "x", STALL, scene(process.pid, backtraces=lambda pid: said))
        process.kill()
    readme = (folder / "README.md").read_text()
    assert "1 x other: sleep\n    clock_nanosleep < pysleep\n" in readme, readme


def test_what_an_agent_sees_is_in_the_readme(tmp_path: Path) -> None:
    lock = "lock 0x7f8a5c48e120 libjanus_audiobridge.so"
    looks = [
        [ThreadRecord(second, "pool-janus", "S", lock, 3), ThreadRecord(second, "hloop", "S", "sleep", 1)]
        for second in (1, 2)
    ]
    remote = {"agent-log-tail.txt": "No WebRTC media anymore\n"}
    folder = gather(tmp_path, "x", STALL, scene(None, threads=looks, remote=remote, log_tail=[]))
    readme = (folder / "README.md").read_text()
    assert "| 0x7f8a5c48e120 | libjanus_audiobridge.so | 3 | pool-janus |" in readme
    assert "- 1 x hloop, state S, sleep" in readme and "```\nNo WebRTC media anymore\n```" in readme


def test_files_of_an_agent_cannot_leave_the_folder(tmp_path: Path) -> None:
    folder = gather(tmp_path, "x", STALL, scene(None, remote={"../../evil.txt": "x\n", "agent-limits.txt": "y\n"}))
    assert (folder / "evil.txt").read_text() == "x\n" and not (tmp_path.parent / "evil.txt").exists()
    assert (folder / "agent-limits.txt").exists()


def request(user: str, due_s: float, outcome: Outcome) -> RequestRecord:
    due_ns = round(due_s * 1e9)
    answered_ns = due_ns + 5_000_000 if outcome is Outcome.OK else None
    return RequestRecord(1, "audiobridge.join", Source.USERS, -1, due_ns, due_ns, answered_ns, 5.0, outcome, user=user)


def test_the_last_transactions_are_those_of_the_users_that_were_hit(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    writer = folder.writer("load")
    for second in range(100):
        writer.write(request("well", second, Outcome.OK))
        writer.write(request("hit", second, Outcome.OK if second < 95 else Outcome.API_TIMEOUT))
        writer.flush()
    table = last_transactions(folder.records, round(95e9))
    writer.close()
    rows = [line.split("\t") for line in table.splitlines()[1:]]
    assert {row[0] for row in rows} == {"hit"} and len(rows) == 12
    assert [row[5] for row in rows[-2:]] == ["api_timeout"] * 2 and rows[-1][2] == "+4.000"


def test_while_nothing_has_timed_out_those_who_were_there_last_are_shown(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    writer = folder.writer("load")
    for second in range(90, 95):
        writer.write(request("waiting", second, Outcome.OK))
    writer.write(request("gone", 80, Outcome.OK))
    # the ladder waits less long than people do
    writer.write(request("ladder", 96, Outcome.API_TIMEOUT)._replace(source=Source.PROBES))
    writer.flush()
    table = last_transactions(folder.records, round(95e9))
    writer.close()
    assert {line.split("\t")[0] for line in table.splitlines()[1:]} == {"waiting", "ladder"}
    assert table.count("\n") == 7
