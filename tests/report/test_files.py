from __future__ import annotations

import errno
from pathlib import Path

import pytest

from janusload import report
from janusload.errors import RunFolderError
from janusload.report import html
from janusload.summary import Summary
from tests.report import sample


def test_write_makes_all_files_and_says_which(tmp_path: Path) -> None:
    summary = sample.with_limits()
    written = report.write(summary, tmp_path)
    assert {path.name for path in written} == {"summary.json", "summary.md", "junit.xml", "badge.json", "report.html"}
    assert sorted(tmp_path.iterdir()) == sorted(written)
    assert Summary.from_json((tmp_path / "summary.json").read_text()) == summary
    assert (tmp_path / "report.html").read_text() == html.render(summary)


def test_writing_again_replaces(tmp_path: Path) -> None:
    report.write(sample.summary(), tmp_path)
    report.write(sample.without_extras(), tmp_path)
    assert "The run was stopped after" in (tmp_path / "report.html").read_text()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"cannot write .*summary\.json: No such file or directory"):
        report.write(sample.summary(), tmp_path / "missing")


def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report.write(sample.summary(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def half(path: Path, text: str, **_: str) -> int:
        path.write_bytes(text.encode()[: len(text) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(RunFolderError, match="No space left on device"):
        report.write(sample.without_extras(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
