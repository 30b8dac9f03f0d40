"""Who may import whom (the house of the README): walked from the source, so that a wall cannot fall unnoticed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "janusload"


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def reaches(path: Path, *modules: str) -> set[str]:
    return {name for name in imports(path) for m in modules if name == m or name.startswith(m + ".")}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_import_rule(path: Path) -> None:
    here = room(path)
    if here != "load":
        assert not reaches(path, "locust"), "load/ and locustfiles/ alone import locust"
    if here not in ("load", "janus") and not (here == "media" and path.stem in ("engine", "link", "participants")):
        assert not reaches(path, "gevent"), "only load, janus and media/{engine,link,participants} know gevent"
    if not (here == "media" and path.stem not in ("engine", "link", "participants", "messages")):
        assert not reaches(path, "aiortc", "aioice", "asyncio"), "aiortc and asyncio live in the media worker"
        # recordings are listened to where they lie, which needs a decoder and no event loop
        assert path.stem == "listen" or not reaches(path, "av"), "media is encoded and decoded in the media worker"
    if here != "analysis":
        assert not reaches(path, "pandas"), "analysis/ alone imports pandas"
    if here == "media":
        others = ["janus", "load", "server", "lab", "analysis", "report", "run_folder"]
        assert not reaches(path, *(f"janusload.{o}" for o in others)), "media stands alone"
        assert not reaches(path, "pyarrow"), "pyarrow stays out of the media workers"
    if here == "janus":
        others = ["media", "load", "server", "lab", "analysis", "report", "run_folder"]
        assert not reaches(path, *(f"janusload.{o}" for o in others)), "janus stands alone"
    if here in ("analysis", "report"):
        others = ["janus", "media", "load", "server", "lab"]
        assert not reaches(path, *(f"janusload.{o}" for o in others)), "the run folder is the whole contract"


def test_no_import_inside_functions() -> None:
    guilty = []
    for path in FILES:
        if room(path) == "commands":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                guilty += [
                    f"{path}:{inner.lineno}"
                    for inner in ast.walk(node)
                    if isinstance(inner, ast.Import | ast.ImportFrom)
                ]
    assert not guilty


def test_scenarios_hold_data_only() -> None:
    assert {p.suffix for p in (ROOT / "scenarios").iterdir()} == {".toml"}


def test_help_needs_no_heavy_library() -> None:
    code = (
        "import sys; from janusload import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pandas', 'pyarrow', 'locust', 'gevent', 'aiortc', 'altair', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "examples:" in done.stdout
