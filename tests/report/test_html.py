from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from janusload.report import html
from janusload.summary import OnsetStatus, Summary
from tests.report import sample

MAX_BYTES = 2_000_000


class Elements(HTMLParser):
    """What an HTML parser makes of a page: elements, their attributes, and the text outside scripts and style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._inside_words = False  # a span that only keeps a number and its unit on one line
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside_words = ("class", "whole") in attrs
        if not self._inside_words:
            self.words.append(" ")
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "script":
            self.scripts[-1] += data
        elif not self.found or self.found[-1][0] != "style":
            self.words.append(data)

    def handle_endtag(self, tag: str) -> None:
        if not (tag == "span" and self._inside_words):
            self.words.append(" ")
        self._inside_words = False
        if tag in {"script", "style"}:
            self.found.append((tag + "-end", {}))

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.mark.parametrize("status", list(OnsetStatus))
def test_every_status_is_told(status: OnsetStatus) -> None:
    summary = sample.for_status(status)
    page = Elements(html.render(summary))
    assert summary.headline in page.text
    assert summary.onset.explanation in page.text
    assert summary.verdict.value.upper() in page.text


def test_everything_needed_to_do_it_again() -> None:
    summary = sample.for_status(OnsetStatus.GENERATOR_LIMITED)
    text = Elements(html.render(summary)).text
    run = summary.run
    for wanted in (run.command, " ".join(sample.SCENARIO.split()), run.asks, str(run.seed), "6.1.0-40-amd64", "1.16.0"):
        assert str(wanted) in text
    assert "plugins.janus.plugin.audiobridge.version_string 0.0.12" in text
    assert "all of it: the generator was the limit" in text
    assert "5 s to settle" in text


def test_a_run_that_broke_off_still_has_its_page() -> None:
    page = html.render(sample.without_extras())
    text = Elements(page).text
    assert "The run was stopped after 9 s" in text
    assert "None" not in text
    assert len(page) < 50_000  # no chart, so no library for charts


def test_hostile_texts_stay_texts() -> None:
    page, benign = html.render(sample.hostile()), html.render(sample.with_limits())
    plain = Elements(benign)
    hostile = Elements(page)
    assert {tag for tag, _ in hostile.found} <= {tag for tag, _ in plain.found}
    assert not [tag for tag, attributes in hostile.found for name in attributes if name.startswith("on")]
    assert sample.HOSTILE not in page
    assert page.count("<img") == benign.count("<img")  # the library has some in its own texts
    assert sample.HOSTILE in hostile.text
    assert sample.HOSTILE_ATTRIBUTE in hostile.text
    assert "{{ 7 * 7 }}" in hostile.text
    assert not {"\x1b", "\x00", "\u202e"} & set(page)


def test_hostile_texts_stay_inside_the_data_of_the_charts() -> None:
    hostile = Elements(html.render(sample.hostile()))
    data = [script for script in hostile.scripts if script.startswith("{")]
    assert len(data) == len([a for tag, a in hostile.found if tag == "script" and a.get("type") == "application/json"])
    for text in data:
        assert "<" not in text
        json.loads(text)


def test_links_lead_nowhere_but_into_the_folder() -> None:
    page = Elements(html.render(sample.hostile()))
    links = {attributes[name] for _, attributes in page.found for name in ("href", "src") if name in attributes}
    assert links == {"data:,", "summary.json", "meta.json", "records/", "evidence/"}


def test_policy_names_the_hashes_of_the_two_scripts() -> None:
    page = Elements(html.render(sample.summary()))
    policy = next(a["content"] for tag, a in page.found if tag == "meta" and "http-equiv" in a)
    assert policy is not None and policy.startswith("default-src 'none'")
    wanted = {
        "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in page.scripts
        if not script.startswith("{")
    }
    assert set(re.findall(r"sha256-[^']+", policy)) == wanted
    assert len(wanted) == 2


@pytest.mark.parametrize("bins", [1500, 3000])
def test_size_of_a_long_run(bins: int) -> None:
    page = html.render(sample.summary(timeline=sample.timeline(bins)))
    assert len(page.encode()) < MAX_BYTES


def test_the_library_is_there_once() -> None:
    assert html.render(sample.summary()).count("window.vegaEmbed=") == 1


def test_reads_back_what_it_came_from() -> None:
    summary = sample.with_limits()
    assert html.render(Summary.from_json(summary.to_json())) == html.render(summary)


def test_the_bundle_is_kept_and_a_damaged_one_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []

    def bundle(text: str) -> str:
        made.append(text)
        return "a\r\n</script>"

    monkeypatch.setattr(html.vl_convert, "javascript_bundle", bundle)
    fresh = html._bundle.__wrapped__
    assert fresh() == fresh() == "a\n<\\/script>" and len(made) == 1
    kept = next((tmp_path / "janusload").iterdir())
    kept.write_text(kept.read_text().replace("a", "b"))
    assert fresh() == "a\n<\\/script>" and len(made) == 2
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert fresh() == "a\n<\\/script>"


def test_no_line_ends_between_a_number_and_its_unit() -> None:
    page = html.render(sample.summary(headline="at <b> of 1.1-2 s (T = 2 s, 95 % interval, 600 samples)"))
    assert (
        '<h1>at &lt;b&gt; of <span class="whole">1.1-2 s</span> (T = <span class="whole">2 s</span>, '
        '<span class="whole">95 %</span> interval, 600 samples)</h1>'
    ) in page
