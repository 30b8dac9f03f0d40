"""How true the offered load is, and what it costs: `make bench-load` (some three minutes on a quiet machine).

Against the scripted server of the tests in a process of its own, so that no figure here is Janus's.
"""

from __future__ import annotations

# isort: off
import locust  # noqa: F401 - patches the standard library, as in a run

# isort: on
import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import gevent
import psutil

from janusload.janus.connection import Connection
from janusload.janus.protocol import Transaction
from janusload.load.arrivals import Arrivals
from janusload.load.health import Gauges, Health
from janusload.load.recorder import FLUSH_AT, Observer, Recorder
from janusload.pacing import Schedule, plateau
from janusload.records import MarkerKind, Outcome, RequestRecord, Source
from janusload.run_folder import RunFolder

ROOT = Path(__file__).parents[2]


class Kept(Recorder):
    """Keeps the requests of the stream besides writing them."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(folder.writer("load"))
        self.creates: list[RequestRecord] = []
        self.listen(self._seen)

    def _seen(self, record: RequestRecord) -> None:
        if record.name == "janus.create":
            self.creates.append(record)


@contextmanager
def server() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = subprocess.Popen([sys.executable, "-m", "tests.fake_janus"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def stream(url: str, timeout_s: float) -> Iterator[tuple[Arrivals, Kept]]:
    with tempfile.TemporaryDirectory() as path:
        recorder = Kept(RunFolder.create(Path(path) / "run"))
        health = Health(recorder.write, lambda: Gauges(0, 0))

        def connect(number: int) -> Connection:
            observer = recorder.observer(f"stream-{number}", Source.ARRIVALS)
            return Connection(url, timeout_s=timeout_s, observer=observer)

        arrivals = Arrivals(connect, 20, timeout_s, health)
        recorder.start()
        health.start()
        arrivals.open()
        try:
            yield arrivals, recorder
        finally:
            arrivals.close()
            health.stop()
            recorder.close()


def at(quantile: float, values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]


#: what any program gets of this machine: sleeps until moments that lie as far apart, and does nothing else
_SLEEPER = """
import sys, time
rate, seconds = float(sys.argv[1]), float(sys.argv[2])
began, late_ms = time.monotonic(), []
for number in range(int(rate * seconds)):
    due = began + number / rate
    time.sleep(max(0.0, due - time.monotonic()))
    late_ms.append((time.monotonic() - due) * 1e3)
print(*late_ms)
"""


def due_times(seconds: float) -> None:
    """When arrivals leave against when they are due, at 500 a second; beside it a process that only sleeps so often."""
    with server() as (url, _), stream(url, 5.0) as (arrivals, recorder):
        gevent.sleep(1.0)
        before = psutil.Process().cpu_times()
        sleeper = subprocess.Popen(
            [sys.executable, "-c", _SLEEPER, "500", str(seconds)], stdout=subprocess.PIPE, text=True
        )
        arrivals.run(Schedule([plateau(500, seconds)]), time.monotonic_ns() + 10_000_000)
        after = psutil.Process().cpu_times()
        gevent.sleep(0.5)
        errors_ms = [(r.sent_ns - r.due_ns) / 1e6 for r in recorder.creates if r.sent_ns is not None]
    cpu_s = after.user + after.system - before.user - before.system
    print(
        f"due times at 500/s for {seconds:g} s: {len(errors_ms)} sent, error p50 {at(0.5, errors_ms):.3f} ms,"
        f" p99 {at(0.99, errors_ms):.3f} ms, p99.9 {at(0.999, errors_ms):.3f} ms;"
        f" CPU {cpu_s / len(errors_ms) * 1e6:.0f} us per create with its destroy"
    )
    slept_ms = [float(line) for line in sleeper.communicate()[0].split()]
    print(
        f"beside it a process that only sleeps until such moments woke {at(0.5, slept_ms):.3f} ms late at p50,"
        f" {at(0.99, slept_ms):.3f} ms at p99, {at(0.999, slept_ms):.3f} ms at p99.9"
    )


def freeze(frozen_s: float) -> None:
    """A server frozen with SIGSTOP must show in the p99 of what was due meanwhile."""
    with server() as (url, process), stream(url, frozen_s + 30) as (arrivals, recorder):
        sender = gevent.spawn(arrivals.run, Schedule([plateau(50, 2 * frozen_s)]), time.monotonic_ns())
        gevent.sleep(frozen_s / 2)
        process.send_signal(signal.SIGSTOP)
        gevent.sleep(frozen_s)
        process.send_signal(signal.SIGCONT)
        sender.join()
        gevent.sleep(2.0)
        waits_s = [(r.answered_ns - r.due_ns) / 1e9 for r in recorder.creates if r.answered_ns is not None]
    print(
        f"frozen for {frozen_s:g} s: {len(waits_s)} answers, p50 {at(0.5, waits_s):.3f} s,"
        f" p99 {at(0.99, waits_s):.3f} s"
    )


def transactions(numbers: range, observe: Observer, flush: Callable[[], None]) -> float:
    """CPU seconds of handing on so many ended transactions, half of them creates and half the destroys of those."""
    create, destroy = Transaction("create", "janus.create", 5.0, 0), Transaction("destroy", "janus.destroy", 5.0, 0)
    began_s = time.process_time()
    for number in numbers:
        done = destroy if number % 2 else create
        done.number = number
        done.due_ns = done.sent_ns = number * 3_600_000
        done.answered_ns = done.due_ns + 2_000_000 + number % 1000
        done.outcome = Outcome.OK
        done.reply = {"session_id": number - 1} if number % 2 else {"data": {"id": number}}
        observe(done, False)
        if number % FLUSH_AT == 0:
            flush()
    return time.process_time() - began_s


def recording(count: int, looks: int = 6, pieces: int = 60) -> None:
    """CPU, memory and disk of recording so many samples, from the end of a transaction to the disk.

    The CPU is the median piece's, and what making up the transactions takes is not in it: other guests of the host
    make single pieces dearer by half.
    """
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as path:
        folder = RunFolder.create(Path(path) / "run")
        recorder = Recorder(folder.writer("load"))
        recorder.begin_step(0, 0)
        recorder.mark(MarkerKind.PHASE, label="setup")
        observe = recorder.observer("stream-1", Source.ARRIVALS)
        writer = recorder._writer
        assert writer is not None
        writer.flush()
        resident_mb = [process.memory_info().rss / 1e6]
        began_s, piece = time.monotonic(), count // pieces
        spent_s, made_up_s = [], []
        for number in range(pieces):
            made_up_s.append(transactions(range(piece), lambda transaction, late: None, lambda: None))
            spent_s.append(transactions(range(number * piece, (number + 1) * piece), observe, writer.flush))
            if (number + 1) % (pieces // looks) == 0:
                resident_mb.append(process.memory_info().rss / 1e6)
        recorder.close()
        size_mb = sum(file.stat().st_size for file in folder.records.iterdir()) / 1e6
    each_us = [(spent - median(made_up_s)) / piece * 1e6 for spent in spent_s]
    print(
        f"recording {count:,} samples in {time.monotonic() - began_s:.0f} s: {median(each_us):.2f} us of CPU each"
        f" (median of {pieces} pieces; {min(each_us):.2f} to {max(each_us):.2f}),"
        f" {size_mb:,.0f} MB on disk ({size_mb * 1e6 / count:.0f} bytes each); resident memory at the beginning and"
        f" after each {count // looks:,}: {', '.join(f'{mb:.0f}' for mb in resident_mb)} MB"
    )


def users(count: int, seconds: float) -> None:
    """So many signalling-only users in one process: what each costs."""
    text = (
        f'name = "crowd"\nasks = "?"\nrun_time = "{seconds:g} s"\n[[users]]\nname = "client"\ncount = {count}\n'
        'media = "none"\nspawn_rate = "100/s"\n'
        'life = ["connect", "create", "attach", "join", { repeat = 100, steps = ["wait 8 s..12 s", "list"] }]\n'
    )
    with server() as (url, _), tempfile.TemporaryDirectory() as path:
        folder = RunFolder.create(Path(path) / "run")
        folder.write_text("scenario.toml", text)
        target = {"url": url, "allow_public": False, "ca": None, "insecure": False}
        folder.write_meta(target=target, scenario={"changes": []})
        run = subprocess.Popen(
            [sys.executable, "-m", "janusload.load", str(folder.path), "--tell-fd", "1"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        process = psutil.Process(run.pid)
        steady_from: float | None = None
        cpu = 0.0
        rss_mb = 0.0
        assert run.stdout is not None
        for line in run.stdout:
            if '"phase": "steady"' in line:
                times = process.cpu_times()
                now = time.monotonic()
                if steady_from is None:
                    steady_from, cpu = now, times.user + times.system
                elif now - steady_from > 1:
                    spent = (times.user + times.system - cpu) / (now - steady_from)
                    rss_mb = process.memory_info().rss / 1e6
                    said = line
        run.wait()
    failures = said[said.index('"failures"') :].partition("}")[0]
    print(
        f"{count} signalling-only users in one process, each asking every 10 s and kept alive: {spent * 100:.0f} % of a"
        f" core, {rss_mb:.0f} MB; {failures}}}"
    )
    each = spent / count
    print(
        f"  so one core at 80 % carries {0.8 / each:,.0f} of them,"
        f" and 20,000 over --processes 2 take {20_000 * each / 2 * 100:.0f} % of each of two cores"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="shorter, for a look")
    parser.add_argument("--day", action="store_true", help="only this: a million samples an hour for 24 h, at once")
    options = parser.parse_args()
    quick = options.quick
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    if options.day:
        recording(24_000_000, looks=12)
        return
    recording(100_000 if quick else 1_000_000)
    due_times(10 if quick else 60)
    freeze(3 if quick else 15)
    users(500 if quick else 2000, 10 if quick else 20)


if __name__ == "__main__":
    main()
