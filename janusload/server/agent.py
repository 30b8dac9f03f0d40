"""`janusload agent`: runs beside a Janus on another machine and shows what can be seen of it there.

It only reads, needs no root (but sees less without), gives each collector its time, and does nothing that Janus would
notice. Whoever asks must know the token. Over HTTP or HTTPS, GET only:

    /v1/stream     one JSON line a second, see `wire`; the first line says who speaks
    /v1/evidence   a JSON object of file names and texts, for a stall
    /v1/recordings?seconds=N   one JSON line for each recording written in the last N seconds: is it whole
    /metrics       Prometheus
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import socket
import ssl
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from janusload import __version__
from janusload.errors import JanusloadError
from janusload.server.bounded import Bounded
from janusload.server.metrics import Metrics
from janusload.server.recordings.storage import StorageWatch, account_of, recent
from janusload.server.threads import ThreadTable
from janusload.server.watch import LocalWatch, Look
from janusload.server.wire import VERSION, encode, encode_recording

_EVERY_S = 1.0
_REQUEST_WITHIN_S = 10.0
_MOST_STREAMS = 8
_MOST_REQUESTS = 32
_KEPT = 30
_STORAGE_WITHIN_S = 0.5
#: what looking at the recordings of a run may take altogether, and how far behind others it stands for the CPU
_RECORDINGS_WITHIN_S = 300.0
_NICE = 10


class Sampler:
    """Looks once a second, whoever listens, and keeps the latest lines.

    Args:
        recordings: where Janus records to; None if that is not to be seen.
    """

    def __init__(self, watch: LocalWatch, recordings: Path | None = None) -> None:
        self.watch = watch
        self.recordings = recordings
        self._storage = None
        if recordings is not None:
            # what lay there before is nobody's business
            self._storage = Bounded(
                "recordings", StorageWatch(recordings, time.time()).sample, within_s=_STORAGE_WITHIN_S
            )
        self.metrics = Metrics(watch)
        self.latest: Look | None = None
        self._lines: deque[tuple[int, str]] = deque(maxlen=_KEPT)
        self._number = 0
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        with self._news:
            self._news.notify_all()
        self._thread.join(timeout=3.0)
        self.watch.close()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def after(self, number: int, within_s: float) -> list[tuple[int, str]]:
        """Lines younger than `number`, waiting for one at most so long."""
        with self._news:
            if self._number <= number and not self.stopped:
                self._news.wait(within_s)
            return [line for line in self._lines if line[0] > number]

    @property
    def number(self) -> int:
        return self._number

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + _EVERY_S, time.monotonic())
            look = self.watch.look()
            if self._storage is not None:
                look = look._replace(storage=self._storage.collect())
            self.metrics.take(look)
            self.latest = look
            with self._news:
                self._number += 1
                self._lines.append((self._number, encode(self._number, look)))
                self._news.notify_all()

    def evidence(self) -> dict[str, str]:
        """What can be had without disturbing Janus: threads, limits, the log's tail. No backtraces."""
        pid = self.watch.pid()
        texts = {"log-tail.txt": "\n".join(self.watch.tail()) + "\n"}
        seen = self.latest.seen if self.latest is not None else None
        if seen is not None and seen.threads is not None:
            texts["threads.txt"] = _table(seen.threads)
        for name in ("limits", "status", "cgroup"):
            if pid is not None:
                try:
                    texts[f"{name}.txt"] = Path(f"/proc/{pid}/{name}").read_text(errors="replace")
                except OSError as error:
                    texts[f"{name}.txt"] = f"could not be read: {error.strerror}\n"
        return texts


class AgentServer(ThreadingHTTPServer):
    """Serves a sampler to those who know the token.

    Args:
        address: (host, port); port 0 for any.
        token: at least 16 characters.
        tls: None for plain HTTP.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128  # socketserver's 5 keep others waiting for seconds as soon as somebody floods it

    def __init__(
        self, address: tuple[str, int], sampler: Sampler, token: str, tls: ssl.SSLContext | None = None
    ) -> None:
        if len(token) < 16:
            raise JanusloadError("the token of an agent needs at least 16 characters")
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)
        self.sampler = sampler
        self.token = token.encode()
        self.tls = tls
        self.requests = threading.BoundedSemaphore(_MOST_REQUESTS)
        self.streams = threading.BoundedSemaphore(_MOST_STREAMS)
        self.reader = threading.BoundedSemaphore(1)

    def process_request(self, request: Any, client_address: Any) -> None:
        # those who know no token take threads and descriptors, too: so many, and no more
        if self.requests.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.requests.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the thread of the request, so that a slow handshake keeps nobody else waiting.
        request.settimeout(_REQUEST_WITHIN_S)
        with contextlib.suppress(OSError):  # whoever asked is gone, or speaks no TLS
            if self.tls is None:
                super().finish_request(request, client_address)
            else:
                with self.tls.wrap_socket(request, server_side=True) as wrapped:
                    super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A broken request is not worth a traceback on the terminal of an operator."""


class _Handler(BaseHTTPRequestHandler):
    server: AgentServer
    server_version = "janusload-agent"
    sys_version = ""

    def do_GET(self) -> None:
        offered = self.headers.get("Authorization", "").encode("utf-8", errors="replace")
        if not hmac.compare_digest(offered, b"Bearer " + self.server.token):
            self.server.sampler.metrics.refused += 1
            self._answer(401, "text/plain", b"the token is missing or wrong\n")
        elif self.path == "/metrics":
            self._answer(200, "text/plain; version=0.0.4; charset=utf-8", self.server.sampler.metrics.text())
        elif self.path == "/v1/evidence":
            self._answer(200, "application/json", json.dumps(self.server.sampler.evidence()).encode())
        elif self.path == "/v1/stream":
            self._stream()
        elif urlsplit(self.path).path == "/v1/recordings":
            self._recordings()
        else:
            self._answer(404, "text/plain", b"there is /v1/stream, /v1/evidence, /v1/recordings and /metrics\n")

    def _stream(self) -> None:
        if not self.server.streams.acquire(blocking=False):
            self._answer(503, "text/plain", b"too many listen already\n")
            return
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/x-ndjson")
            self.end_headers()
            sampler = self.server.sampler
            hello = {"agent": __version__, "version": VERSION, "facts": sampler.watch.facts()}
            self._line(json.dumps(hello))
            told = sampler.number
            while not sampler.stopped:
                for number, line in sampler.after(told, within_s=2.0):
                    self._line(line)
                    told = number
        finally:
            self.server.streams.release()

    def _recordings(self) -> None:
        folder = self.server.sampler.recordings
        if folder is None or not folder.is_dir():
            self._answer(404, "text/plain", b"the agent was not told where Janus records to (--recordings)\n")
            return
        asked = parse_qs(urlsplit(self.path).query).get("seconds", [""])[0]
        if not asked.isdecimal() or len(asked) > 9:
            self._answer(400, "text/plain", b"say of how many seconds, as in ?seconds=600\n")
            return
        if not self.server.reader.acquire(blocking=False):
            self._answer(503, "text/plain", b"somebody else has them looked at already\n")
            return
        try:
            # this thread alone: Janus comes first
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-ndjson")
            self.end_headers()
            until_s = time.monotonic() + _RECORDINGS_WITHIN_S
            waiting = recent(folder, time.time() - int(asked))
            while waiting and time.monotonic() < until_s:
                self._line(encode_recording(account_of(waiting.pop(0), folder)))
            self._line(json.dumps({"left_out": len(waiting)}))
        finally:
            self.server.reader.release()

    def _line(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\n")
        self.wfile.flush()

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: an agent that is asked once a second would fill a disk."""


def _table(table: ThreadTable) -> str:
    rows = [f"{each.threads:>5} x {each.kind}, state {each.state}, {each.waits_for}\n" for each in table.records()]
    return "".join(rows)
