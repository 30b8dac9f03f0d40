from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from janusload import report
from janusload.errors import RunFolderError
from janusload.report import badge, html, schema
from janusload.report.markdown import MAX_LINES, render
from janusload.summary import FailureKind, OnsetStatus, Summary, Threshold, Verdict
from tests.report import sample

ALL = [sample.for_status(status) for status in OnsetStatus] + [
    sample.with_limits(),
    sample.hostile(),
    sample.without_extras(),
]


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
    assert "stopped after 9 s" in (tmp_path / "report.html").read_text()


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


@pytest.mark.parametrize("summary", ALL)
def test_markdown_is_short_and_begins_with_the_verdict(summary: Summary) -> None:
    text = render(summary)
    lines = text.splitlines()
    assert len(lines) <= MAX_LINES == 25
    assert summary.verdict.value.upper() in lines[0]
    assert text.endswith("\n")


def test_markdown_is_short_whatever_was_asked() -> None:
    limits = [Threshold(name=f"limit {i}", limit="> 1", value="2", passed=i % 2 == 0) for i in range(30)]
    text = render(sample.summary(thresholds=limits, verdict=Verdict.INCONCLUSIVE, steps=sample.steps() * 4))
    assert len(text.splitlines()) <= 25
    assert "and 24 more limits" in text


def test_markdown_holds_the_answer_and_the_limits() -> None:
    text = render(sample.with_limits())
    assert "create begins timing out between 239 and 299 requests/s" in text.splitlines()[0]
    assert "- ✗ FAILED: onset load &gt; 250/s, was 239–299/s" in text
    assert "| 239 | 0.074 % | 19.5 ms | 168 ms | 610 ms |" in text


def test_markdown_of_hostile_texts_has_no_markup() -> None:
    text = render(sample.hostile())
    assert "<" not in text and "\x1b" not in text
    assert "\\[bold\\]" in text


@pytest.mark.parametrize("summary", ALL)
def test_badge_is_a_shields_endpoint(summary: Summary) -> None:
    made = json.loads(badge.render(summary))
    assert set(made) == {"schemaVersion", "label", "message", "color"}
    assert made["schemaVersion"] == 1
    assert made["label"] and made["message"]


def test_badge_says_the_onset_and_its_timeout() -> None:
    made = json.loads(badge.render(sample.summary()))
    assert made == {
        "schemaVersion": 1,
        "label": "create onset, T 2 s",
        "message": "239–299 requests/s",
        "color": "brightgreen",
    }


@pytest.mark.parametrize("summary", ALL)
def test_summary_json_follows_its_schema(summary: Summary) -> None:
    from jsonschema import Draft202012Validator

    checker = Draft202012Validator(json.loads(schema.PATH.read_text()))
    checker.check_schema(checker.schema)
    made = json.loads(summary.to_json())
    assert made["schema"] == 1
    assert list(checker.iter_errors(made)) == []
    assert list(checker.iter_errors(made | {"surprise": 1}))


def test_schema_is_current() -> None:
    assert schema.PATH.read_text(encoding="utf-8") == schema.text(), (
        "the Summary model has changed: run `.venv/bin/python -c "
        "'from janusload.report import schema; schema.refresh()'` and commit summary.schema.json"
    )


def test_schema_knows_every_failure_and_status() -> None:
    text = schema.PATH.read_text()
    assert all(f'"{kind.value}"' in text for kind in [*FailureKind, *OnsetStatus, *Verdict])
