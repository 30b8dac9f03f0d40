from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from janusload.errors import LabError
from janusload.lab.packages import Done, Machine, install, run_to_end

ORIGINAL = "#!/bin/sh\n# the machine's own\nexit 104\n"


@dataclass
class Debian:
    """A machine whose apt-get installs by noting it down; commands on its policy-rc.d really run.

    Attributes:
        ran: the commands, in order.
        seen: exit status and text of policy-rc.d while apt-get installed.
    """

    root: Path
    missing: set[str]
    is_root: bool = True
    has_sudo: bool = False
    lists_empty: bool = False
    install_status: int = 0
    on_install: Callable[[], None] = lambda: None
    ran: list[list[str]] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)

    @property
    def machine(self) -> Machine:
        return Machine(
            run=self.run,
            which=self.which,
            is_root=self.is_root,
            policy=self.root / "policy-rc.d",
            systemd=self.root / "systemd",
        )

    def which(self, program: str) -> str | None:
        if program == "sudo" and not self.has_sudo:
            return None
        return None if program in self.missing else f"/usr/bin/{program}"

    def run(self, command: Sequence[str]) -> Done:
        self.ran.append(list(command))
        words = [word for word in command if word not in ("sudo", "env", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")]
        if words[0] == "apt-cache":
            return Done(0, "" if self.lists_empty else f"{words[-1]}:\n  Candidate: 1.1.2-1\n")
        if words[:2] == ["apt-get", "update"]:
            self.lists_empty = False
        if words[:2] == ["apt-get", "install"]:
            policy = self.root / "policy-rc.d"
            if policy.exists():
                self.seen.append(subprocess.run([policy, "janus", "start"], check=False).returncode)
            self.on_install()
            return Done(self.install_status, "E: it went wrong\n" if self.install_status else "")
        if words[0] in ("mv", "sh", "rm"):
            return run_to_end(words)
        return Done(0, "")

    def commands(self, word: str) -> list[str]:
        return [" ".join(command) for command in self.ran if word in command]


@pytest.fixture
def debian(tmp_path: Path) -> Debian:
    return Debian(tmp_path, missing={"janus"})


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """The machine's own policy-rc.d, with a mode and a time that nobody would guess."""
    policy = tmp_path / "policy-rc.d"
    policy.write_text(ORIGINAL)
    policy.chmod(0o751)
    os.utime(policy, (1_000_000_000, 1_000_000_000))
    return policy


def assert_untouched(policy: Path) -> None:
    assert policy.read_text() == ORIGINAL
    assert oct(policy.stat().st_mode)[-3:] == "751"
    assert policy.stat().st_mtime == 1_000_000_000
    assert [path.name for path in policy.parent.iterdir() if path.is_file()] == ["policy-rc.d"]


def test_nothing_is_done_where_all_is_there(debian: Debian) -> None:
    debian.missing = set()
    said: list[str] = []
    assert install(said.append, debian.machine) == []
    assert (debian.ran, said) == ([], [])


def test_janus_is_installed_without_being_started(debian: Debian, policy: Path) -> None:
    said: list[str] = []
    assert install(said.append, debian.machine) == ["janus"]
    assert debian.seen == [101]
    assert_untouched(policy)
    assert debian.commands("update") == []
    assert said[0] == "installing janus with apt-get"
    assert debian.commands("update-rc.d") == ["update-rc.d janus disable"]
    assert "update-rc.d janus enable" in said[-1]


def test_a_machine_without_a_policy_has_none_afterwards(debian: Debian, tmp_path: Path) -> None:
    install(lambda text: None, debian.machine)
    assert debian.seen == [101]
    assert list(tmp_path.iterdir()) == []


def test_under_systemd_the_service_is_masked_first(debian: Debian, tmp_path: Path) -> None:
    (tmp_path / "systemd").mkdir()
    said: list[str] = []
    install(said.append, debian.machine)
    words = [" ".join(command) for command in debian.ran]
    masked = words.index("systemctl mask janus.service")
    assert masked < next(i for i, command in enumerate(words) if "apt-get install" in command)
    assert any("undo: systemctl unmask janus.service && systemctl enable janus.service" in text for text in said)
    assert debian.commands("update-rc.d") == []
    assert debian.commands("unmask") == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_puts_everything_back(
    debian: Debian, policy: Path, tmp_path: Path, interruption: type[BaseException]
) -> None:
    (tmp_path / "systemd").mkdir()

    def interrupt() -> None:
        raise interruption

    debian.on_install = interrupt
    with pytest.raises(interruption):
        install(lambda text: None, debian.machine)
    assert_untouched(policy)
    assert debian.commands("unmask") == ["systemctl unmask janus.service"]


def test_a_failure_is_told_and_everything_put_back(debian: Debian, policy: Path) -> None:
    debian.install_status = 100
    with pytest.raises(LabError, match=r"apt-get install .* failed \(exit status 100\): E: it went wrong"):
        install(lambda text: None, debian.machine)
    assert_untouched(policy)


def test_one_left_by_a_killed_janusload_asks_the_one_before_and_is_cleaned_up(debian: Debian, policy: Path) -> None:
    left = ""

    def keep() -> None:
        nonlocal left
        left = policy.read_text()

    debian.on_install = keep
    install(lambda text: None, debian.machine)
    gone = subprocess.Popen(["true"])
    gone.wait()
    # as after kill -9 in the middle
    policy.rename(policy.with_name("policy-rc.d.before-janusload"))
    policy.write_text(left.replace(str(os.getpid()), str(gone.pid)))
    policy.chmod(0o755)
    assert subprocess.run([policy, "other", "start"], check=False).returncode == 104
    install(lambda text: None, debian.machine)
    assert_untouched(policy)


def test_empty_lists_are_brought_up_to_date(debian: Debian) -> None:
    debian.lists_empty = True
    said: list[str] = []
    install(said.append, debian.machine)
    assert debian.commands("update") == ["apt-get update"]
    assert "apt-get update" in said[0]


def test_sudo_where_not_root(debian: Debian, policy: Path) -> None:
    debian.is_root, debian.has_sudo = False, True
    install(lambda text: None, debian.machine)
    changing = [command for command in debian.ran if "apt-cache" not in command]
    assert all(command[0] == "sudo" for command in changing)
    assert_untouched(policy)


def test_neither_root_nor_sudo_is_one_sentence(debian: Debian) -> None:
    debian.is_root = False
    with pytest.raises(
        LabError, match=r"janus must be installed: run `apt-get install janus` as root \(no sudo here\)"
    ):
        install(lambda text: None, debian.machine)
    debian.missing |= {"apt-get"}
    with pytest.raises(LabError, match="no apt-get here"):
        install(lambda text: None, debian.machine)
    assert debian.ran == []


def test_iproute2_alone_needs_no_policy(debian: Debian, policy: Path) -> None:
    debian.missing = {"ip"}
    assert install(lambda text: None, debian.machine) == ["iproute2"]
    assert debian.seen == [104]
    assert debian.commands("mv") == []


def test_commands_run_to_their_end() -> None:
    assert run_to_end(["sh", "-c", "echo a; echo b >&2; exit 3"]) == Done(3, "a\nb\n")
