"""`janusload run` against a real Janus to which something happens meanwhile, and what the run came to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gevent

from janusload.analysis.frames import read_frames
from janusload.lab import Lab, LabOptions
from janusload.records import MarkerKind
from janusload.run_folder import RunFolder

ROOT = Path(__file__).parent.parent
TOKEN = "a-token-that-nobody-guesses"

QUIET = """
schema = 1
name = "quiet"
asks = "Does it stay?"
run_time = "{run_time} s"
[rooms]
count = 1
[[users]]
name = "talker"
count = 1
[probes]
deadline = "2 s"
"""


def beside(lab: Lab) -> list[str]:
    """How a run on the same machine is told where Janus is."""
    return ["--janus-process", str(lab.pid), "--janus-log", str(lab.log_path)]


class WatchedRun:
    """A run against a lab of its own; `happen` is called once all rungs are asked.

    Args:
        seen: options that say how the run sees the server.

    Attributes:
        begun_ns: when `happen` was called.
        output: what the run wrote, and `status` how it ended.
    """

    def __init__(
        self,
        tmp_path: Path,
        happen: Callable[[Lab], object],
        run_time_s: int,
        *options: str,
        seen: Callable[[Lab], Sequence[str]] = beside,
    ) -> None:
        scenario = tmp_path / "quiet.toml"
        scenario.write_text(QUIET.format(run_time=run_time_s))
        self.folder = tmp_path / "run"
        with Lab(LabOptions(api_secret=True), tmp_path / "janus.log") as lab:
            assert lab.api_secret is not None
            self.secret = lab.api_secret
            command = [sys.executable, "-m", "janusload", "run", str(scenario), "--host", lab.url]
            process = subprocess.Popen(
                [*command, *seen(lab), "--out", str(self.folder), *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=ROOT,
                env={
                    "PATH": "/usr/bin:/bin:/usr/sbin",
                    "JANUS_API_SECRET": self.secret,
                    "JANUSLOAD_AGENT_TOKEN": TOKEN,
                },
            )
            try:
                self._until_talking(process)
                self.begun_ns = time.monotonic_ns()
                happen(lab)
                while process.poll() is None:
                    gevent.sleep(0.1)
                assert process.stdout is not None
                self.output = process.stdout.read()
                self.status = process.returncode
            finally:
                process.kill()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()
        self.summary: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        self.frames = read_frames(RunFolder.open(self.folder))

    def _until_talking(self, process: subprocess.Popen[str]) -> None:
        records = self.folder / "records" / "media-load.arrows"
        deadline = time.monotonic() + 60
        while not records.exists():
            assert process.poll() is None and time.monotonic() < deadline, process.communicate(timeout=5)
            gevent.sleep(0.1)
        gevent.sleep(2.5)

    def labels(self, kind: MarkerKind) -> list[str]:
        """What its markers of a kind say, in the order of time."""
        marker = self.frames["marker"].sort_values("t_ns", kind="stable")
        return [str(label) for label in marker["label"][marker["kind"] == kind]]

    def named_after_s(self, kind: str, begun_ns: int) -> float:
        """From the true beginning until the marker was written."""
        marker = self.frames["marker"]
        rows = marker[(marker["kind"] == MarkerKind.STALL) & marker["label"].astype(str).str.startswith(kind)]
        assert len(rows), (kind, self.output)
        return float(rows["t_ns"].iloc[0] - begun_ns) / 1e9

    def bundle(self, kind: str) -> dict[str, str]:
        """The evidence of a stall: file name -> text."""
        (path,) = (self.folder / "evidence").glob(f"*-{kind}.tar.gz")
        with tarfile.open(path) as archive:
            return {
                Path(entry.name).name: archive.extractfile(entry).read().decode()  # type: ignore[union-attr]
                for entry in archive.getmembers()
                if entry.isfile()
            }

    def holds(self, secret: str) -> list[Path]:
        """The files of the run folder in which these words stand, archives unpacked."""
        needle = secret.encode()
        found = [path for path in self.folder.rglob("*") if path.is_file() and needle in path.read_bytes()]
        for path in self.folder.rglob("*.tar.gz"):
            with tarfile.open(path) as archive:
                files = [archive.extractfile(entry) for entry in archive.getmembers() if entry.isfile()]
                found += [path for file in files if file is not None and needle in file.read()]
        return found


class AgentProcess:
    """`janusload agent` on 127.0.0.1, as somebody would start it.

    Args:
        options: what it is told of Janus.
        port: 0 for any.
    """

    def __init__(self, *options: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "janusload", "agent", *options, "--listen", f"127.0.0.1:{port}"]
        environment = {**os.environ, "JANUSLOAD_AGENT_TOKEN": TOKEN}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert "/v1/stream" in said, said
        self.port = int(said.partition("127.0.0.1:")[2].split()[0])
        self.url = f"http://127.0.0.1:{self.port}"

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """End it as Ctrl-C does, or what is left of it; returns its exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(timeout=10)
        finally:
            self._process.kill()
            assert self._process.stdout is not None
            self._process.stdout.close()
