"""Sessions left behind, by Janus's own list: ours are told from those of others."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from janusload import leaks
from janusload.errors import CoreError, SurroundingsError
from janusload.janus.admin import AdminApi
from janusload.lab import Lab
from janusload.leaks import SessionCount
from tests.fake_janus import FakeJanus
from tests.test_run import janusload, sentence, summary

VANISH = """
schema = 1
name = "vanish"
asks = "Who is left?"
run_time = "3 s"
[[users]]
name = "client"
count = 3
media = "none"
lives = 1
life = ["connect", "create", "{end}"]
"""


class Listed(AdminApi):
    """An Admin API that knows these sessions, one answer after the other; the last one stays."""

    def __init__(self, *answers: set[int] | None) -> None:
        self.answers = list(answers)

    def request(self, verb: str, *, timeout_s: float | None = None, **fields: Any) -> dict[str, Any]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise CoreError("admin.list_sessions", 403, "Unauthorized request", "UNAUTHORIZED")
        return {"janus": "success", "sessions": sorted(answer)}


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "SETTLE_S", 0.3)


@pytest.mark.parametrize(
    ("after", "book", "left"),
    [
        # 1 and 2 are of others; 9 came from others meanwhile
        ({1, 2, 9}, {"open": [5, 6], "unanswered": 0}, 0),
        ({1, 6, 9}, {"open": [5, 6], "unanswered": 0}, 1),
        # a `create` without an answer may be one of those that nobody knows, and no more than one
        ({1, 6, 9, 10}, {"open": [5, 6], "unanswered": 1}, 2),
        ({1, 6, 9}, {"open": [5, 6], "unanswered": 7}, 2),
        # a worker was lost, or the load process: nobody knows which are ours
        ({1, 6, 9, 10}, {"open": [6], "unanswered": None}, 3),
        ({1, 6, 9}, None, 2),
    ],
)
def test_ours_are_counted_and_not_those_of_others(after: set[int], book: dict[str, Any] | None, left: int) -> None:
    count = SessionCount(Listed({1, 2}, after), alone=False)
    count.begin()
    assert count.end(book) == left


def test_janus_gets_time_to_forget_and_may_not_answer() -> None:
    count = SessionCount(Listed(set(), {7}, {7}, set()), alone=True)
    count.begin()
    assert count.end({"open": [], "unanswered": 0}) == 0
    count = SessionCount(Listed({3}, None), alone=False)
    count.begin()
    assert count.end({"open": [], "unanswered": 0}) is None
    with pytest.raises(SurroundingsError, match="JANUS_ADMIN_SECRET"):
        SessionCount(Listed(None), alone=False).begin()


@contextmanager
def admin_of(janus: FakeJanus, secret: str) -> Iterator[str]:
    """Janus's Admin API, as far as it lists sessions."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply: dict[str, Any] = {"janus": "success", "sessions": sorted(janus.sessions)}
            if asked.get("admin_secret") != secret:
                reply = {"janus": "error", "error": {"code": 403, "reason": "Unauthorized request"}}
            body = json.dumps({**reply, "transaction": asked["transaction"]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/admin"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("fleet", [(), ("--processes", "2")], ids=["one process", "two"])
def test_a_run_counts_what_it_leaves_on_a_server_that_others_use(tmp_path: Path, fleet: tuple[str, ...]) -> None:
    path = tmp_path / "vanish.toml"
    path.write_text(VANISH.format(end="vanish"))
    with FakeJanus(reclaim=True) as janus, admin_of(janus, "s3cret") as admin:
        janus.sessions |= {999_001, 999_002}
        where = ("--host", janus.url, "--admin", admin, "--out", tmp_path / "run")
        done = janusload("run", path, *where, *fleet, env={"JANUS_ADMIN_SECRET": "s3cret"})
        # this server keeps the sessions of those who vanish
        assert len(janus.sessions) == 5, done.stdout + done.stderr
    found = summary(tmp_path / "run")
    assert found["leaks"]["sessions"] == 3, done.stdout + done.stderr
    assert "3 sessions left behind" in done.stdout.replace("\n", " ")
    for file in (tmp_path / "run").rglob("*"):
        assert not file.is_file() or b"s3cret" not in file.read_bytes(), file


def test_an_admin_api_that_refuses_us_is_said_before_the_run(tmp_path: Path) -> None:
    path = tmp_path / "vanish.toml"
    path.write_text(VANISH.format(end="destroy"))
    with FakeJanus() as janus, admin_of(janus, "right") as admin:
        where = ("--host", janus.url, "--admin", admin, "--out", tmp_path / "run")
        done = janusload("run", path, *where, env={"JANUS_ADMIN_SECRET": "wr0ng"})
        assert "JANUS_ADMIN_SECRET" in sentence(done, 1) and "wr0ng" not in done.stdout + done.stderr
        assert not (tmp_path / "run").exists() and not janus.requests


@pytest.mark.lab
def test_a_real_janus_is_asked(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_text(VANISH.format(end="destroy") + f'[server]\nurl = "{lab.url}"\nadmin = "{lab.admin_url}"\n')
    done = janusload("run", path, "--out", tmp_path / "run", env={"JANUS_ADMIN_SECRET": lab.admin_secret or ""})
    assert summary(tmp_path / "run")["leaks"] == {"sessions": 0, "processes": 0}, done.stdout + done.stderr
