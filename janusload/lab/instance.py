"""The lab: a Janus of this machine that is there inside a `with` block and nowhere afterwards."""

from __future__ import annotations

import atexit
import secrets
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from janusload.errors import LabError
from janusload.lab.admin import LabAdmin, websocket_answers
from janusload.lab.commands import uninterrupted
from janusload.lab.config import (
    ADMIN_PATH,
    ADMIN_PORT,
    ADMIN_WEBSOCKET_PORT,
    PLUGINS_LEFT_OUT,
    WEBSOCKET_PORT,
    Settings,
    Value,
    render,
)
from janusload.lab.disk import Disk
from janusload.lab.folder import LabFolder
from janusload.lab.installation import Installation, find_janus
from janusload.lab.limits import Limits
from janusload.lab.network import Network
from janusload.lab.process import JanusProcess

_READY_WITHIN_S = 10.0
_POLL_EVERY_S = 0.02
_LOG_LINES_SHOWN = 5

_Part = TypeVar("_Part")


@dataclass(frozen=True)
class LabOptions:
    """What kind of Janus is wanted.

    Attributes:
        cpu_percent: CPU quota in percent of one core; None for none.
        memory_bytes: memory limit, page cache included; None for none.
        memory_optional: whether to go on without where no memory limit can be set (`Lab.not_limited`).
        janus: version as in `1.4.1`, program name, or path.
        session_timeout_s: after how much silence Janus drops a session; 0 is never.
        api_secret: whether clients need an API secret (a random one; see `Lab.api_secret`).
        rtp_ports: first and last UDP port for media; one port per PeerConnection.
        open_files: RLIMIT_NOFILE of Janus; None to inherit.
        recordings_disk_bytes: size of a disk of its own for the recordings; None for none.
        recordings_disk_bytes_per_s: how much that disk takes; None for as much as it can.
        plugins_left_out: file names of plugins not to load, besides those that no lab loads.
        settings: what is to be in janus.jcfg besides, or otherwise, as in {"general": {"reclaim_session_timeout": 10}}.
    """

    cpu_percent: float | None = None
    memory_bytes: int | None = None
    memory_optional: bool = False
    janus: str = "janus"
    session_timeout_s: int = 60
    api_secret: bool = False
    rtp_ports: tuple[int, int] = (23000, 23999)
    open_files: int | None = None
    recordings_disk_bytes: int | None = None
    recordings_disk_bytes_per_s: int | None = None
    plugins_left_out: tuple[str, ...] = ()
    settings: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)


class Lab:
    """A Janus with a network namespace, limits, a configuration and secrets of its own.

    Use it as a context manager, from a thread that lives as long as the lab (see `launch`). However the block is left,
    nothing stays behind. If this process is killed, the kernel ends Janus and removes the namespace and the veth pair;
    the folder and the control groups are swept away by the next lab.

    Attributes:
        log_path: what Janus writes; it stays.
        not_limited: why there is no memory limit although one was wanted (`LabOptions.memory_optional`); else empty.
    """

    def __init__(self, options: LabOptions, log_path: Path) -> None:
        self.options = options
        self.log_path = log_path
        self._stack = ExitStack()
        self._network: Network | None = None
        self._folder: LabFolder | None = None
        self._disk: Disk | None = None
        self._limits: Limits | None = None
        self.not_limited = ""
        self._process: JanusProcess | None = None
        self._installation: Installation | None = None
        self._info: dict[str, Any] = {}
        self._admin_secret = secrets.token_urlsafe(24)
        self._api_secret = secrets.token_urlsafe(24) if options.api_secret else None

    def __enter__(self) -> Lab:
        """Set it up and wait until Janus answers, at most 10 s.

        Raises:
            LabError: no Janus, no right to a namespace or a limit, or Janus does not come up.
        """
        # The last resort for an interruption that falls between the end of this method and the `with` block.
        atexit.register(self.close)
        try:
            self._set_up()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def address(self) -> str:
        """Janus's only address."""
        return str(_up(self._network).address)

    @property
    def url(self) -> str:
        """The WebSocket API."""
        return f"ws://{self.address}:{WEBSOCKET_PORT}"

    @property
    def admin_url(self) -> str:
        """The Admin API over HTTP."""
        return f"http://{self.address}:{ADMIN_PORT}{ADMIN_PATH}"

    @property
    def admin_ws_url(self) -> str:
        """The Admin API over a WebSocket."""
        return f"ws://{self.address}:{ADMIN_WEBSOCKET_PORT}"

    @property
    def admin_secret(self) -> str:
        """What the Admin API wants to be told."""
        return self._admin_secret

    @property
    def api_secret(self) -> str | None:
        """What the WebSocket API wants to be told; None if nothing."""
        return self._api_secret

    @property
    def recordings(self) -> Path:
        """Where recordings belong; it goes with the lab."""
        return _up(self._folder).recordings

    @property
    def disk(self) -> Disk | None:
        """What the recordings lie on; None if they have no disk of their own."""
        return self._disk

    @property
    def network(self) -> Network:
        """The namespace and the veth pair."""
        return _up(self._network)

    @property
    def cgroup(self) -> Limits | None:
        """The control groups, with the files on throttling and memory; None without limits."""
        return self._limits

    @property
    def pid(self) -> int:
        """The Janus process; another one after `restart`."""
        return _up(self._process).pid

    @property
    def returncode(self) -> int | None:
        """How Janus ended: exit status, or minus the signal; None while it runs."""
        return _up(self._process).returncode

    def alive(self) -> bool:
        """Whether the Janus process is there."""
        return self._process is not None and self._process.returncode is None

    def sessions(self) -> int | None:
        """How many sessions Janus has; None if it does not say within 3 s."""
        return self.admin().sessions()

    def admin(self) -> LabAdmin:
        """Its Admin API."""
        return LabAdmin(self.admin_url, self._admin_secret)

    def signal(self, number: int) -> None:
        """Send Janus a signal, as SIGSTOP; nothing happens if it has ended."""
        _up(self._process).signal(number)

    def restart(self) -> None:
        """End Janus and start it again: same addresses and secrets, no sessions, the log goes on.

        Raises:
            LabError: it does not come up.
        """
        with uninterrupted():
            _up(self._process).stop()
            self._start()
        self._wait_until_ready()

    def facts(self) -> dict[str, Any]:
        """What a report should say about this lab; no secrets."""
        network, installation = _up(self._network), _up(self._installation)
        return {
            "janus": self._info.get("version_string"),
            "executable": str(installation.executable),
            "package": None if installation.tree is None else installation.tree.package,
            "address": str(network.address),
            "host_address": str(network.host_address),
            "websocket_port": WEBSOCKET_PORT,
            "admin_port": ADMIN_PORT,
            "cpu_percent": self.options.cpu_percent,
            "memory_bytes": None if self.not_limited else self.options.memory_bytes,
            "cgroup_versions": {} if self._limits is None else dict(self._limits.versions),
            "open_files": self.options.open_files,
            "recordings_disk_bytes": self.options.recordings_disk_bytes,
            "recordings_disk_bytes_per_s": self.options.recordings_disk_bytes_per_s,
            "rtp_ports": list(self.options.rtp_ports),
            "session_timeout_s": self.options.session_timeout_s,
            "api_secret": self.options.api_secret,
            "janus_settings": sorted(
                f"{section}.{name}" for section in self.options.settings for name in self.options.settings[section]
            ),
            "plugins": sorted(self._info.get("plugins", {})),
            "plugins_left_out": [*PLUGINS_LEFT_OUT, *self.options.plugins_left_out],
        }

    def close(self) -> None:
        """End Janus and remove everything; may be called again, and is not interrupted half-way (at most some 10 s)."""
        with uninterrupted():
            self._stack.close()
            atexit.unregister(self.close)

    def _set_up(self) -> None:
        options = self.options
        installation = self._installation = find_janus(options.janus)
        with uninterrupted():
            folder = self._folder = LabFolder()
            self._stack.callback(folder.close)
        if options.recordings_disk_bytes is not None:
            self._disk = Disk(folder.recordings, options.recordings_disk_bytes)
            self._stack.callback(self._disk.close)
            if options.recordings_disk_bytes_per_s is not None:
                self._disk.slow(options.recordings_disk_bytes_per_s)
        with uninterrupted():
            network = self._network = Network()
            self._stack.callback(network.close)
        if options.memory_bytes is not None:
            try:
                self._limit(cpu_percent=options.cpu_percent, memory_bytes=options.memory_bytes)
            except LabError as error:
                if not options.memory_optional:
                    raise
                self.not_limited = str(error)
        if self._limits is None and options.cpu_percent is not None:
            self._limit(cpu_percent=options.cpu_percent)
        settings = Settings(
            folder=folder.config,
            libraries=installation.libraries,
            recordings=folder.recordings,
            address=str(network.address),
            admin_secret=self._admin_secret,
            api_secret=self._api_secret,
            janus=options.settings,
            rtp_ports=options.rtp_ports,
            session_timeout_s=options.session_timeout_s,
            plugins_left_out=(*PLUGINS_LEFT_OUT, *options.plugins_left_out),
        )
        folder.write_config(render(settings))
        with uninterrupted():
            self._stack.callback(self._stop)
            self._start()
        self._wait_until_ready()

    def _limit(self, *, cpu_percent: float | None, memory_bytes: int | None = None) -> None:
        with uninterrupted():
            self._limits = Limits(cpu_percent=cpu_percent, memory_bytes=memory_bytes)
            self._stack.callback(self._limits.close)

    def _start(self) -> None:
        installation, folder = _up(self._installation), _up(self._folder)
        self._process = JanusProcess(
            installation.command(folder.config),
            namespace=_up(self._network).path,
            groups=[] if self._limits is None else self._limits.procs,
            open_files=self.options.open_files,
            log=self.log_path,
            folder=folder.recordings,
            tree=installation.tree,
            shared=[folder.path],
        )

    def _stop(self) -> None:
        if self._process is not None:
            self._process.stop()

    def _wait_until_ready(self) -> None:
        admin = self.admin()
        deadline = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < deadline:
            if self.returncode is not None:
                raise LabError(f"Janus ended at once ({_in_words(self.returncode)}): {self._log_tail()}")
            if admin.ping() and websocket_answers(self.address, WEBSOCKET_PORT):
                self._info = admin.ask("info") or {}
                return
            time.sleep(_POLL_EVERY_S)
        raise LabError(f"Janus did not answer within {_READY_WITHIN_S:g} s of its start: {self._log_tail()}")

    def _log_tail(self) -> str:
        lines = [line.strip() for line in self.log_path.read_text(errors="replace").splitlines()]
        return " | ".join([line for line in lines if line][-_LOG_LINES_SHOWN:]) or "its log is empty"


def _up(part: _Part | None) -> _Part:
    if part is None:
        raise LabError("the lab is not set up: use it inside its `with` block")
    return part


def _in_words(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
