"""The page cache of real files on this machine's kernel."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from janusload.server.recordings import page_cache
from janusload.server.recordings.storage import StorageWatch, account
from janusload.server.recordings.uncache import Uncache, beside
from tests.server.recordings.recorded import mjr_bytes, rtp, sine, wav_bytes

SIZE = 5_000_000


@pytest.fixture
def folder() -> Iterator[Path]:
    # /tmp may be a tmpfs, whose files are nothing but page cache
    path = Path(__file__).parents[3] / "reports" / "out" / f"test-page-cache-{os.getpid()}"
    path.mkdir(parents=True)
    yield path
    for file in path.iterdir():
        file.unlink()
    path.rmdir()


def test_what_was_written_is_in_the_cache_until_it_is_dropped(folder: Path) -> None:
    path = folder / "a-audio.mjr"
    path.write_bytes(os.urandom(SIZE))
    before = page_cache.cached(path)
    assert before is not None
    assert before.resident_bytes >= SIZE
    with path.open("rb") as file:
        page_cache.drop(file.fileno(), 0, SIZE)
    after = page_cache.cached(path)
    assert after is not None
    assert after.resident_bytes == 0


def test_both_ways_of_asking_agree(folder: Path) -> None:
    path = folder / "a-audio.mjr"
    path.write_bytes(os.urandom(SIZE))
    with path.open("rb") as file:
        page_cache.drop(file.fileno(), 0, SIZE // 2)
        by_pages = page_cache._mincore(file.fileno())
        by_count = page_cache._cachestat(file.fileno())
    assert by_pages is not None
    # how much goes depends on the lumps in which the kernel keeps pages
    assert SIZE // 2 <= by_pages.resident_bytes <= SIZE + 4096
    if by_count is not None:  # Linux 6.5
        assert by_count.resident_bytes == by_pages.resident_bytes


def test_a_file_that_is_gone_is_not_known(folder: Path) -> None:
    assert page_cache.cached(folder / "none") is None


def test_growing_files_are_dropped_piece_by_piece_and_stay_as_they_are(folder: Path) -> None:
    path = folder / "a-audio.mjr"
    content = os.urandom(3_500_000)
    helper = Uncache(folder, every_bytes=1_000_000)
    with path.open("wb") as file:
        for begin in range(0, len(content), 500_000):
            file.write(content[begin : begin + 500_000])
            file.flush()
            helper.once()
            told = page_cache.cached(path)
            assert told is not None
            assert told.resident_bytes < 1_600_000
    renamed = path.rename(folder / "renamed.mjr")  # Janus renames what it closes: the same file all the same
    helper.once(everything=True)
    assert helper.dropped_bytes == len(content)
    assert page_cache.cached(renamed) == page_cache.Cached(0, 0, 0)
    assert renamed.read_bytes() == content
    renamed.unlink()
    helper.once()
    assert helper._files == {}
    assert helper.failures == {}


def test_small_files_are_dropped_once_they_have_waited_and_more_of_them_than_descriptors(folder: Path) -> None:
    paths = [folder / f"{number}.mjr" for number in range(30)]
    for path in paths:
        path.write_bytes(os.urandom(10_000))
    helper = Uncache(folder, waits_at_most_s=0.2)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    helper.once()
    assert helper.drops == 0
    time.sleep(0.25)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 10, hard))
    try:
        helper.once()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (helper.drops, helper.dropped_bytes, helper.failures) == (30, 300_000, {})
    assert {page_cache.cached(path) for path in paths} == {page_cache.Cached(0, 0, 0)}
    # one that is written anew is dropped anew
    paths[0].write_bytes(os.urandom(5000))
    helper.once()
    time.sleep(0.25)
    helper.once()
    assert helper.dropped_bytes == 305_000


def test_helper_ends_when_told(folder: Path) -> None:
    (folder / "a.wav").write_bytes(bytes(100))
    helper = Uncache(folder)
    helper.run(iter([False, True]).__next__, interval_s=0.01)
    assert (helper.drops, helper.dropped_bytes) == (1, 100)


def test_storage_is_watched(folder: Path) -> None:
    (folder / "a-audio.mjr").write_bytes(os.urandom(SIZE))
    (folder / "b.wav").write_bytes(os.urandom(1000))
    record = StorageWatch(folder).sample()
    assert record.t_ns <= time.monotonic_ns()
    assert (record.files, record.file_bytes) == (2, SIZE + 1000)
    assert record.resident_bytes is not None
    assert record.resident_bytes >= SIZE
    assert StorageWatch(folder / "not yet there").sample().files == 0


def test_every_recording_is_accounted_for(folder: Path) -> None:
    packets = [rtp(n, ssrc=99) for n in range(100)]
    (folder / "a-audio.mjr").write_bytes(mjr_bytes(packets[:40] + packets[41:]))
    (folder / "b.wav").write_bytes(wav_bytes(sine(523, 3, 16_000) * 32767)[:-10])
    mjr, wav = account(folder)
    assert (mjr.path, mjr.format, mjr.state, mjr.packets, mjr.missing) == ("a-audio.mjr", "mjr", "whole", 99, 1)
    assert (mjr.ssrc, mjr.first_sequence, mjr.last_sequence) == (99, 0, 99)
    assert (wav.state, wav.ssrc) == ("unfinished", None)
    assert wav.tones.startswith("523 Hz")
    assert "the file has" in wav.wrong


def test_command_drops_until_it_is_told_to_end(folder: Path) -> None:
    path = folder / "a-audio.mjr"
    path.write_bytes(os.urandom(SIZE))
    command = [sys.executable, "-m", "janusload", "recordings", "uncache", str(folder), "--every", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"Keeping {folder} out of the page cache, 1 MB at a time")
        until = time.monotonic() + 10
        while page_cache.cached(path) is not None and page_cache.cached(path).resident_bytes > 100_000:
            assert time.monotonic() < until
            time.sleep(0.05)
        # not SIGINT: a shell that ran the tests in the background has had it ignored
        process.terminate()
        said = process.stdout.read()
    assert process.returncode == 0
    assert said.startswith("5.0 MB dropped in 2 pieces")


def test_beside_a_run_it_says_at_its_end_what_it_did(folder: Path) -> None:
    (folder / "a-audio.mjr").write_bytes(os.urandom(SIZE))
    said: list[str] = []
    with beside(folder, 1_000_000, said.append):
        until = time.monotonic() + 20
        while (told := page_cache.cached(folder / "a-audio.mjr")) is not None and told.resident_bytes > 100_000:
            assert time.monotonic() < until
            time.sleep(0.05)
    (words,) = said
    assert words.startswith("uncache: 5.0 MB dropped in 2 pieces, the slowest took ")
