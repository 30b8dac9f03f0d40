"""A Janus on another machine, seen through `janusload agent`.

An agent may go away, answer slowly, or tell nonsense; the run goes on without its eyes, and says so. What it says is
checked for sense, and its clock is not believed.
"""

from __future__ import annotations

import http.client
import json
import queue
import ssl
import threading
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from janusload.addresses import require_allowed
from janusload.errors import JanusloadError, SurroundingsError, UsageError
from janusload.records import RecordingRecord
from janusload.server.log_lines import visible
from janusload.server.process import Observation
from janusload.server.watch import Look
from janusload.server.wire import LONGEST_BYTES, VERSION, Nonsense, decode, decode_recording

_CONNECT_WITHIN_S = 5.0
#: a stream says something every second
_SILENT_S = 4.0
_AGAIN_AFTER_S = 2.0
_SLOW_S = 3.0
_MOST_EVIDENCE_BYTES = 16 << 20
_MOST_FILES = 20
#: one recording may be large and the disk slow; all of them may take as long as the agent gives itself
_RECORDING_WITHIN_S = 60.0
_RECORDINGS_WITHIN_S = 360.0
_MOST_RECORDINGS = 100_000


class Refused(SurroundingsError):
    """The agent does not take our token."""


class NotThere(SurroundingsError):
    """The agent has nothing of that kind."""


class AgentWatch:
    """See `watching.Watch`.

    Attributes:
        counts: what went wrong, by what: lost, nonsense, slow, refused.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        tls: ssl.SSLContext | None = None,
        allow_public: bool = False,
    ) -> None:
        """Connect and read who speaks.

        Raises:
            UsageError: the address makes no sense, or the token would go over a public network in the clear.
            SurroundingsError: there is no agent, or it refuses the token.
        """
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if parts.scheme not in ("http", "https") or not host or parts.username or parts.path not in ("", "/"):
            raise UsageError("the address of an agent must look like http://HOST:PORT or https://HOST:PORT")
        self._where = f"{parts.scheme}://{host}:{port or 7089}"
        self._host, self._port = host, port or 7089
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._allow_public = allow_public
        self._token = token
        self.counts: Counter[str] = Counter()
        self._facts: dict[str, Any] = {}
        self._looks: queue.Queue[Look] = queue.Queue(maxsize=120)
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._latest_s = time.monotonic()
        self._told_slow = False
        self._stop = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        response = self._ask("/v1/stream")
        self._hello(response)
        self._thread = threading.Thread(target=self._run, args=(response,), name="agent", daemon=True)
        self._thread.start()

    def look(self) -> Look:
        observations: list[Observation] = []
        log, notes, storage = [], [], None
        while True:
            try:
                look = self._looks.get_nowait()
            except queue.Empty:
                break
            observations += look.observations
            storage = look.storage or storage
            log += look.log
            notes += [f"the agent: {note}" for note in look.notes]
        now_s = time.monotonic()
        if observations:
            self._latest_s = now_s
            self._told_slow = False
        elif now_s - self._latest_s > _SLOW_S and not self._told_slow:
            self._told_slow = True
            self.counts["slow"] += 1
            notes.append(f"the agent has said nothing for {now_s - self._latest_s:.0f} s: the server is not seen")
        while not self._news.empty():
            notes.append(self._news.get())
        seen = observations.pop() if observations else None
        return Look(seen, log, notes, storage, tuple(observations))

    def facts(self) -> dict[str, Any]:
        return {"where": self._where, "agent": self._facts, "trouble": dict(self.counts)}

    def tail(self) -> list[str]:
        """Nothing: the tail comes with the evidence."""
        return []

    def pid(self) -> int | None:
        """None: the process is not on this machine."""
        return None

    def remote_evidence(self) -> dict[str, str]:
        """What the agent gathers; what went wrong instead, if it did."""
        try:
            response = self._ask("/v1/evidence")
            data = response.read(_MOST_EVIDENCE_BYTES + 1)
            found = json.loads(data) if len(data) <= _MOST_EVIDENCE_BYTES else None
        except (SurroundingsError, OSError, http.client.HTTPException, ValueError) as error:
            return {"agent.txt": f"the agent had no evidence: {error}\n"}
        if not isinstance(found, dict):
            return {"agent.txt": "what the agent sent as evidence made no sense\n"}
        return {
            f"agent-{visible(str(name))[:60].replace('/', '_')}": "\n".join(map(visible, str(text).splitlines())) + "\n"
            for name, text in list(found.items())[:_MOST_FILES]
        }

    def remote_recordings(self, since_s: float) -> tuple[list[RecordingRecord], str]:
        """What the agent finds in the recordings written in the last `since_s` seconds, and what went wrong, in words.

        Neither where the agent was not told where they lie.
        """
        found: list[RecordingRecord] = []
        try:
            response = self._ask(f"/v1/recordings?seconds={int(since_s) + 1}", within_s=_RECORDING_WITHIN_S)
            until_s = time.monotonic() + _RECORDINGS_WITHIN_S
            while time.monotonic() < until_s and len(found) < _MOST_RECORDINGS:
                line = response.readline(LONGEST_BYTES)
                record = decode_recording(line, time.monotonic_ns())
                if isinstance(record, int):
                    return found, f"the agent had no time for {record} of the recordings" if record else ""
                found.append(record)
        except NotThere:
            return [], ""
        except (SurroundingsError, OSError, http.client.HTTPException, Nonsense) as error:
            return found, f"only {len(found)} recordings could be looked at through the agent: {error}"
        return found, f"more than {len(found)} recordings could not be looked at through the agent in time"

    def close(self) -> None:
        self._stop.set()

    # -- in its own thread ------------------------------------------------------------------------------------------

    def _run(self, response: http.client.HTTPResponse | None) -> None:
        while not self._stop.is_set():
            if response is not None:
                why = self._read(response)
                response.close()
                if self._stop.is_set():
                    return
                self.counts["lost"] += 1
                self._news.put(f"the agent went away ({why}): the server is not seen until it is back")
            if self._stop.wait(_AGAIN_AFTER_S):
                return
            try:
                response = self._ask("/v1/stream")
                self._hello(response)
            except Refused as error:
                self._news.put(str(error))
                return
            except JanusloadError:
                response = None
            else:
                self._news.put("the agent is back")

    def _read(self, response: http.client.HTTPResponse) -> str:
        """Take its lines until they end; returns why they did."""
        while not self._stop.is_set():
            try:
                line = response.readline(LONGEST_BYTES + 1)
            except TimeoutError:
                return f"silent for {_SILENT_S:g} s"
            except (OSError, http.client.HTTPException) as error:
                return str(error) or type(error).__name__
            if not line:
                return "it ended the stream"
            if len(line) > LONGEST_BYTES:
                self.counts["nonsense"] += 1
                return "a line too long to be one"
            try:
                look = decode(line, time.monotonic_ns())
            except Nonsense as error:
                if not self.counts["nonsense"]:
                    self._news.put(f"the agent told nonsense ({error}): such lines are counted and left out")
                self.counts["nonsense"] += 1
                continue
            try:
                self._looks.put_nowait(look)
            except queue.Full:
                self.counts["skipped"] += 1
        return "closed"

    def _hello(self, response: http.client.HTTPResponse) -> None:
        try:
            hello = json.loads(response.readline(LONGEST_BYTES))
            version = hello["version"]
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            raise SurroundingsError(f"{self._where}: what answers there is no agent of janusload") from None
        if version != VERSION:
            raise SurroundingsError(
                f"{self._where}: the agent speaks version {visible(str(version))[:20]}, not {VERSION}"
            )
        facts = hello.get("facts")
        self._facts = facts if isinstance(facts, dict) and len(json.dumps(facts)) < 20_000 else {}

    def _ask(self, path: str, within_s: float = _SILENT_S) -> http.client.HTTPResponse:
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=_CONNECT_WITHIN_S)
        else:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=_CONNECT_WITHIN_S, context=self._tls
            )
        try:
            connection.connect()
            if self._tls is None:  # the token goes in the clear
                require_allowed(connection.sock.getpeername()[0], allow_public=self._allow_public)
            connection.sock.settimeout(within_s)
            connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise SurroundingsError(f"{self._where}: no agent answers ({error or type(error).__name__})") from None
        if response.status == 401:
            self.counts["refused"] += 1
            raise Refused(
                f"{self._where}: the agent refuses our token (set it in the environment: JANUSLOAD_AGENT_TOKEN)"
            )
        if response.status == 404:
            raise NotThere(f"{self._where}: the agent has no {path}")
        if response.status != 200:
            raise SurroundingsError(f"{self._where}: the agent answered {response.status}")
        return response
