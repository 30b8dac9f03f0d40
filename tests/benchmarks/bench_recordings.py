"""How long checking recordings takes: 1 GB of MJR files, as 24 kbit/s speech makes them; `make bench-recordings`.

Rows in `reports/out/bench/recordings.json`: megabytes, files, packets, seconds, peak_rss_mb.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.server.recordings.recorded import HEADER, frame, rtp

OUT = Path("reports/out/bench/recordings.json")
RUNS = 3
SIZES_MB = (10, 100, 1000)
FILES = 10
#: bytes of a packet of 24 kbit/s speech in 20 ms
PAYLOAD = 60
_CHECK = (
    "import json, resource, sys, time; from pathlib import Path; from janusload.server.recordings.check import check\n"
    "began = time.perf_counter(); found = [check(p) for p in sorted(Path(sys.argv[1]).iterdir())]\n"
    "print(json.dumps([time.perf_counter() - began, sum(f.packets for f in found), all(f.whole for f in found),"
    " resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))"
)


def main() -> None:
    rows = []
    OUT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="recordings-", dir=OUT.parent) as path:
        for size in SIZES_MB:
            folder = Path(path, str(size))
            folder.mkdir()
            write(folder, size * 10**6 // FILES)
            runs = [measure(folder) for _ in range(RUNS)]
            assert all(whole for _, _, whole, _ in runs)
            row = {
                "megabytes": size,
                "files": FILES,
                "packets": runs[0][1],
                "seconds": round(statistics.median(seconds for seconds, *_ in runs), 3),
                "peak_rss_mb": round(max(rss for *_, rss in runs), 1),
            }
            rows.append(row)
            print(row)
            shutil.rmtree(folder)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    OUT.write_text(json.dumps({"rows": rows, "runs": RUNS, "machine": machine}, indent=1) + "\n")
    print(f"{OUT}; medians of {RUNS} runs, files in the page cache")


def write(folder: Path, size: int) -> None:
    """Files of about `size` bytes with numbers and times that go on through the whole file."""
    piece = b"".join(frame(rtp(n, bytes(PAYLOAD)), ms=20 * n) for n in range(65_536))
    for number in range(FILES):
        with (folder / f"{number}-audio.mjr").open("wb") as file:
            file.write(b"MJR00002" + len(HEADER).to_bytes(2, "big") + HEADER)
            left = size
            while left > 0:
                # a whole turn of the 16-bit numbers, so that they go on
                file.write(piece if left >= len(piece) else piece[: left - left % len(frame(rtp(0, bytes(PAYLOAD))))])
                left -= len(piece)


def measure(folder: Path) -> tuple[float, int, bool, float]:
    done = subprocess.run([sys.executable, "-c", _CHECK, str(folder)], capture_output=True, text=True, check=True)
    seconds, packets, whole, rss = json.loads(done.stdout)
    return seconds, packets, whole, rss


if __name__ == "__main__":
    main()
