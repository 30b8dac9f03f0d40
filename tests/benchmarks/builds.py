"""The programs that bench_media compares with, built where their compilers are."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def compile_c(folder: Path, say: Callable[[str], None]) -> bool:
    """Build echo.c and floor.c; False where no C compiler is."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        say("left out: the floor and all rows with the reflector (no C compiler; `apt-get install gcc libc6-dev`)")
        return False
    for name in ("echo", "floor"):
        subprocess.run([compiler, "-O2", "-pthread", "-o", str(folder / name), str(HERE / f"{name}.c")], check=True)
    return True


def compile_pion(folder: Path, say: Callable[[str], None]) -> bool:
    """Build the pion client from Debian's packages, offline; False where they are missing."""
    library = Path("/usr/share/gocode/src/github.com/pion/webrtc")
    if shutil.which("go") is None or not library.is_dir():
        say("left out: pion (no Go; `apt-get install golang-go golang-github-pion-webrtc.v3-dev`)")
        return False
    # Debian's libraries have no module versions: a GOPATH, in which a go.mod makes `/v3` in import paths work
    with tempfile.TemporaryDirectory() as path:
        source = Path(path) / "src" / "janusload" / "pion"
        shutil.copytree(HERE / "pion", source)
        settings = {"GOPATH": f"{path}:/usr/share/gocode", "GO111MODULE": "off", "GOFLAGS": ""}
        say("building the pion client (some 30 s the first time)")
        subprocess.run(
            ["go", "build", "-o", str(folder / "pion"), "."], cwd=source, env={**os.environ, **settings}, check=True
        )
    return True
