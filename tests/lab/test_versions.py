from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from janusload.errors import LabError
from janusload.lab import Lab, LabOptions, versions
from janusload.lab.installation import find_janus, own_version
from janusload.lab.launch import EXIT_NOT_STARTED
from tests.lab.test_instance import call

LISTING = "http://mirror.example/debian/|Debian|main|{signed_by}\n"


class Apt:
    """A machine whose apt-get and dpkg-deb note down what they are asked and leave files behind."""

    def __init__(self, candidate: str = "1.4.1+ds-4", listing: str = LISTING) -> None:
        self.candidate = candidate
        self.listing = listing
        self.ran: list[list[str]] = []
        self.fail_at = ""

    def run(self, command: list[str], *, doing: str, timeout_s: float = 10.0) -> str:
        self.ran.append(command)
        if self.fail_at and self.fail_at in command:
            raise LabError(f"{doing}: no")
        if "indextargets" in command:
            return self.listing
        if "policy" in command:
            return f"janus:\n  Installed: (none)\n  Candidate: {self.candidate}\n"
        if "--download-only" in command:
            cache = next(word.partition("=")[2] for word in command if word.startswith("Dir::Cache="))
            (Path(cache) / "archives" / "janus.deb").touch()
        if command[0] == "dpkg-deb":
            (Path(command[3]) / "usr" / "bin").mkdir(parents=True)
        return ""

    def count(self, word: str) -> int:
        return sum(word in command for command in self.ran)


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Apt:
    apt = Apt()
    monkeypatch.setattr(versions, "run", apt.run)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return apt


def say(words: str) -> None:
    pass


def test_a_version_is_made_once_and_kept(apt: Apt, tmp_path: Path) -> None:
    said: list[str] = []
    tree = versions.install("1.4.1", said.append)
    assert (tree.package, tree.path) == ("1.4.1+ds-4", tmp_path / "janusload" / "janus-1.4.1")
    assert tree.stage.is_dir()
    assert len(said) == 1 and "fetching Janus 1.4.1 from Debian forky" in said[0]
    assert versions.install("1.4.1", said.append) == tree == versions.find_tree("1.4.1")
    assert (apt.count("dpkg-deb"), len(said)) == (1, 1)
    assert sorted(path.name for path in tree.path.iterdir()) == ["package", "root", "stage"]


def test_the_source_is_the_machines_own_mirror_and_keyring(apt: Apt) -> None:
    apt.listing = "http://other.example/|Other|main|/k.gpg\nhttp://mirror.example/debian/|Debian|main|/own.gpg\n"
    assert versions._source("forky") == (
        "Types: deb\nURIs: http://mirror.example/debian/\nSuites: forky\nComponents: main\nSigned-By: /own.gpg\n"
    )
    apt.listing = "http://other.example/|Other|main|/k.gpg\n"
    with pytest.raises(LabError, match="apt sources have no Debian archive"):
        versions._source("forky")


@pytest.mark.parametrize("fail_at", ["update", "--download-only", "dpkg-deb"])
def test_a_half_made_one_is_never_found(apt: Apt, tmp_path: Path, fail_at: str) -> None:
    apt.fail_at = fail_at
    with pytest.raises(LabError, match=r"no$"):
        versions.install("1.4.1", say)
    assert versions.find_tree("1.4.1") is None
    assert [path.name for path in (tmp_path / "janusload").iterdir()] == ["janus-1.4.1.lock"]
    # as after kill -9 in the middle
    (tmp_path / "janusload" / "making-1.4.1-0badcafe").mkdir()
    apt.fail_at = ""
    versions.install("1.4.1", say)
    assert not (tmp_path / "janusload" / "making-1.4.1-0badcafe").exists()


def test_another_version_there_is_not_taken_for_the_wanted_one(apt: Apt) -> None:
    for candidate in ("1.4.10-1", "1.5.0-1", "(none)"):
        apt.candidate = candidate
        with pytest.raises(LabError, match="this machine's mirror has Janus"):
            versions.install("1.4.1", say)
    with pytest.raises(LabError, match=r"no Debian release is known to have Janus 9\.9"):
        versions.install("9.9", say)


def test_a_second_maker_waits_for_the_first(apt: Apt, tmp_path: Path) -> None:
    waited = threading.Event()
    (tmp_path / "janusload").mkdir()
    with versions._only_one(tmp_path / "janusload" / "janus-1.4.1.lock", on_wait=lambda: None):
        other = threading.Thread(target=versions.install, args=("1.4.1", lambda words: waited.set()))
        other.start()
        assert waited.wait(5)
        assert apt.ran == []
    other.join(5)
    assert versions.find_tree("1.4.1") is not None


def test_what_is_not_here_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(LabError, match=r"1\.4\.1 is not here yet: run `janusload lab install --janus 1\.4\.1`"):
        find_janus("1.4.1")
    with pytest.raises(LabError, match=r"no Janus 9\.9 to be had here, only .* and 1\.4\.1; or give"):
        find_janus("9.9")


@pytest.mark.lab
def test_the_installed_one_is_known_by_its_version() -> None:
    version = own_version()
    assert version is not None
    assert find_janus(version) == find_janus("janus")


@pytest.mark.lab
def test_both_versions_answer_with_their_own(lab: Lab, fixed_lab: Lab) -> None:
    for each, version in ((lab, own_version()), (fixed_lab, "1.4.1")):
        assert call(each, janus="info")["version_string"] == version
        assert each.facts()["janus"] == version


@pytest.mark.lab
def test_the_other_version_sees_its_own_tree_and_the_labs_folder_only(fixed_lab: Lab) -> None:
    root = Path(f"/proc/{fixed_lab.pid}/root")
    assert fixed_lab.facts()["package"].startswith("1.4.1")
    assert sorted(path.name for path in (root / "tmp").iterdir()) == [fixed_lab.recordings.parent.name]
    (fixed_lab.recordings / "seen").touch()
    assert (root / str(fixed_lab.recordings)[1:] / "seen").exists()
    (fixed_lab.recordings / "seen").unlink()
    with pytest.raises(OSError, match="Read-only"):
        (root / "usr" / "written").touch()
    # nothing of it shows outside, and the cache stays as it was
    tree = versions.find_tree("1.4.1")
    assert tree is not None
    assert list(tree.stage.iterdir()) == []
    assert not any(str(tree.path) in line for line in Path("/proc/self/mountinfo").read_text().splitlines())


@pytest.mark.lab
def test_a_tree_that_cannot_be_entered_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fixed_lab: Lab) -> None:
    tree = versions.find_tree("1.4.1")
    assert tree is not None
    copy = tmp_path / "janusload" / "janus-1.4.1"
    copy.mkdir(parents=True)
    os.symlink(tree.root, copy / "root")
    (copy / "package").write_text(json.dumps(tree.package))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with (
        pytest.raises(LabError, match=rf"exit status {EXIT_NOT_STARTED}\): .*mount .*stage: No such file"),
        Lab(LabOptions(janus="1.4.1"), tmp_path / "log"),
    ):
        pass
