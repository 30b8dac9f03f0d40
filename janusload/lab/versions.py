"""Versions of Janus beside the machine's own: packages of another Debian release, unpacked into the user's cache.

A fix is only proved by comparing with a version that lacks it. apt-get, with lists and a state of its own, finds what
the package needs and checks signatures; dpkg-deb unpacks it. No maintainer script runs and nothing of the machine's own
packages changes, so it needs no root either. `launch` lets such a Janus see the tree as its `/`.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from janusload.errors import LabError
from janusload.lab.commands import find, run

#: version -> the Debian release that has it
RELEASES = {"1.4.1": "forky"}

_FETCH_WITHIN_S = 600.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Tree:
    """A Janus with everything that it needs, down to the C library.

    Attributes:
        path: the folder; `root` in it is what Janus sees as `/`, `stage` an empty folder to mount on.
        package: version of the Debian package, as in `1.4.1+ds-4+b2`.
    """

    path: Path
    package: str

    @property
    def root(self) -> Path:
        return self.path / "root"

    @property
    def stage(self) -> Path:
        return self.path / "stage"


def cache_folder() -> Path:
    """Where trees are kept: the user's cache folder (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "janusload"


def find_tree(version: str) -> Tree | None:
    """The tree of `version`; None where it was not made yet."""
    path = cache_folder() / f"janus-{version}"
    try:
        # Written before the folder gets its name, so a half-made one is never seen.
        return Tree(path, (path / "package").read_text(encoding="utf-8").strip())
    except OSError:
        return None


def install(version: str, say: Say) -> Tree:
    """Make the tree of `version` unless it is there; some 50 MB to fetch, 130 MB to keep.

    Args:
        say: gets one sentence before something that takes long.

    Raises:
        LabError: no release has it, or it cannot be fetched or unpacked.
    """
    if version not in RELEASES:
        known = ", ".join(RELEASES)
        raise LabError(f"no Debian release is known to have Janus {version}; there are: {known}")
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        waiting = f"waiting for another janusload that is fetching Janus {version}"
        with _only_one(cache / f"janus-{version}.lock", on_wait=lambda: say(waiting)):
            tree = find_tree(version)
            if tree is not None:
                return tree
            for left_over in cache.glob(f"making-{version}-*"):
                shutil.rmtree(left_over, ignore_errors=True)
            making = cache / f"making-{version}-{secrets.token_hex(4)}"
            try:
                package = _make(making, version, RELEASES[version], say)
                making.rename(cache / f"janus-{version}")
            finally:
                shutil.rmtree(making, ignore_errors=True)
            return Tree(cache / f"janus-{version}", package)
    except OSError as error:
        raise LabError(f"Janus {version} cannot be kept in {cache}: {error}") from error


def _make(folder: Path, version: str, release: str, say: Say) -> str:
    doing = f"fetching Janus {version} from Debian {release}"
    root = folder / "root"
    apt = folder / "apt"
    for path in (root, folder / "stage", apt / "lists" / "partial", apt / "cache" / "archives" / "partial"):
        path.mkdir(parents=True)
    (apt / "status").touch()
    (apt / "parts").mkdir()
    (apt / "debian.sources").write_text(_source(release), encoding="utf-8")
    say(f"{doing}, with apt-get (some 50 MB; kept in {folder.parent})")
    options = _apt_options(apt)
    run(["apt-get", *options, "update"], doing=doing, timeout_s=_FETCH_WITHIN_S)
    package = _candidate(run(["apt-cache", *options, "policy", "janus"], doing=doing))
    if package is None or not re.match(rf"(\d+:)?{re.escape(version)}\D", f"{package}-"):
        raise LabError(f"{doing}: this machine's mirror has Janus {package or 'not at all'} there")
    wanted = [f"janus={package}"]
    run(["apt-get", *options, "install", "--yes", "--download-only", *wanted], doing=doing, timeout_s=_FETCH_WITHIN_S)
    for archive in sorted((apt / "cache" / "archives").glob("*.deb")):
        run(["dpkg-deb", "--extract", str(archive), str(root)], doing=f"unpacking Janus {version}", timeout_s=60.0)
    shutil.rmtree(apt)
    (folder / "package").write_text(f"{package}\n", encoding="utf-8")
    return package


def _apt_options(apt: Path) -> list[str]:
    """What keeps apt-get away from the machine's own lists, packages and preferences; its proxies stay in force."""
    settings = {
        "Dir::Etc::sourcelist": apt / "debian.sources",
        "Dir::Etc::sourceparts": apt / "parts",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": apt / "parts",
        "Dir::State": apt,
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "Acquire::Languages": "none",
        "APT::Install-Recommends": "false",
        "APT::Get::Assume-Yes": "true",
        # the user _apt cannot enter the cache folder
        "APT::Sandbox::User": "root",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _source(release: str) -> str:
    """A source entry for `release` at the mirror that this machine's own Debian packages come from (sources.list(5)).

    Raises:
        LabError: the machine has no such mirror.
    """
    doing = f"looking for a Debian mirror that may have {release}"
    find("apt-get")
    fields = "$(REPO_URI)|$(LABEL)|$(COMPONENT)|$(SIGNED_BY)"
    listing = run(["apt-get", "indextargets", "--format", fields, "Identifier: Packages"], doing=doing)
    for line in listing.splitlines():
        uri, label, component, signed_by = line.split("|")
        if (label, component) == ("Debian", "main"):
            # Where a source names no keyring, apt leaves the placeholder as it is.
            keyring = signed_by if signed_by.startswith("/") else "/usr/share/keyrings/debian-archive-keyring.gpg"
            return f"Types: deb\nURIs: {uri}\nSuites: {release}\nComponents: main\nSigned-By: {keyring}\n"
    raise LabError(f"{doing}: this machine's apt sources have no Debian archive (run `apt-get update` first?)")


def _candidate(policy: str) -> str | None:
    match = re.search(r"^\s*Candidate: (\S+)$", policy, re.MULTILINE)
    return None if match is None or match[1] == "(none)" else match[1]


@contextmanager
def _only_one(lock: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold `lock`, which the kernel lets go however this process ends; `on_wait` is called before waiting for it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
