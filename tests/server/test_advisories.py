"""What is known about a version: the right defects for the right versions, each with its source."""

from __future__ import annotations

import pytest

from janusload.server.advisories import Effect, known, parse


def pulls(version: str) -> set[int | None]:
    return {each.pull for each in known(version)}


def test_the_deadlock_of_issue_3358_by_version() -> None:
    assert 3387 in pulls("1.2.0") and 3387 in pulls("1.2.2")
    assert 3387 not in pulls("1.1.2") and 3387 not in pulls("1.2.3") and 3387 not in pulls("1.4.1")
    debian = [each for each in known("1.1.2") if each.effect is Effect.DEADLOCK and each.where == "audiobridge"]
    assert len(debian) == 1 and "plain-RTP" in debian[0].provoked_by
    assert all(each.effect is not Effect.DEADLOCK or each.seen != "seen" for each in known("1.4.1"))


def test_the_libopus_race_is_known_for_1_4_1_and_not_for_1_1_2() -> None:
    assert 3606 in pulls("1.4.1") and 3606 not in pulls("1.1.2") and 3606 not in pulls("1.4.2")


@pytest.mark.parametrize("version", ["1.1.2", "1.2.2", "1.4.1", "2.0.0"])
def test_every_advisory_says_what_provokes_it_and_where_to_read_on(version: str) -> None:
    for each in known(version):
        assert each.provoked_by and each.title
        assert each.url is None or each.url.startswith("https://github.com/meetecho/janus-gateway/")
        assert each.sentence.startswith(f"{each.where}: ") and "\n" not in each.sentence
    assert [each.seen for each in known(version)] == sorted((each.seen for each in known(version)), reverse=True)


def test_only_plugins_that_are_loaded() -> None:
    assert {each.where for each in known("1.1.2", plugins=frozenset({"audiobridge"}))} == {"core", "audiobridge"}
    assert "videoroom" in {each.where for each in known("1.1.2")}


@pytest.mark.parametrize(
    ("text", "version"),
    [("1.1.2", (1, 1, 2)), ("1102", (1, 1, 2)), ("1.4.1-2+b1", (1, 4, 1)), ("v1.2.0", (1, 2, 0))],
)
def test_versions_as_janus_and_debian_write_them(text: str, version: tuple[int, int, int]) -> None:
    assert parse(text) == version


@pytest.mark.parametrize("text", [None, "", "nonsense", "1", "12345", "\x1b[31m"])
def test_nonsense_is_no_version(text: str | None) -> None:
    assert known(text) == []
