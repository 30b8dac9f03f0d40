"""Every error that janusload raises on purpose.

::

    JanusloadError
    ├── UsageError                 what was asked for cannot be done as asked (exit 2)
    │   └── ScenarioError          a scenario file with faults, all of them listed
    ├── SurroundingsError          the machine or the server lacks something (exit 1)
    │   ├── LabError               the private Janus could not be set up or taken down
    │   ├── RunFolderError         the run folder cannot be made, read or written
    │   └── ServerUnsuitable       it answers, but it is not the Janus that the run needs
    ├── JanusError                 talking to Janus
    │   ├── ConnectFailed          no WebSocket; `phase` says how far it got
    │   ├── ConnectionLost         the WebSocket closed while something was wanted of it
    │   ├── TransactionTimeout     no answer within T of the write: the product of this tool
    │   │   ├── AnswerOverdue      ... while the server said other things: slow, or stuck in one part
    │   │   └── ServerSilent       ... and nothing else came either: frozen, stuck as a whole, or cut off
    │   ├── SendBlocked            the socket took no bytes until the deadline: nothing was written
    │   ├── ProtocolViolation      an answer that no Janus may give
    │   ├── CoreError              `janus: error` with a core code
    │   └── PluginError            a plugin's `error_code` inside a success or an event
    └── MediaError                 a peer could not be set up or was lost; `phase` says where
        └── WorkerLost             the media worker process is gone
"""

from __future__ import annotations


class JanusloadError(Exception):
    """Root of the tree; its text is one sentence that a person can act on."""


class UsageError(JanusloadError):
    """What was asked for cannot be done as asked."""


class ScenarioError(UsageError):
    """A scenario file with faults.

    Attributes:
        path: the file as the user named it.
        faults: (key, reason) pairs in file order; the key is dotted, as in `shape.steps`.
    """

    def __init__(self, path: str, faults: list[tuple[str, str]]) -> None:
        self.path = path
        self.faults = faults
        lines = [f"{path}: {key}: {reason}" if key else f"{path}: {reason}" for key, reason in faults]
        super().__init__("\n".join(lines))


class SurroundingsError(JanusloadError):
    """The machine or the server lacks something that the run needs."""


class LabError(SurroundingsError):
    """The private Janus could not be set up or taken down."""


class RunFolderError(SurroundingsError):
    """The run folder cannot be made, read or written."""


class ServerUnsuitable(SurroundingsError):
    """The server answers, but it is not the Janus that the run needs."""


class JanusError(JanusloadError):
    """Something went wrong between this client and Janus."""


class ConnectFailed(JanusError):
    """No WebSocket came up.

    Attributes:
        phase: the last phase begun: `dns`, `tcp`, `tls` or `ws_upgrade`.
    """

    def __init__(self, message: str, *, phase: str) -> None:
        self.phase = phase
        super().__init__(message)


class ConnectionLost(JanusError):
    """The WebSocket closed, or was closed, while something was wanted of it."""


class TransactionTimeout(JanusError):
    """No answer within the timeout, counted from the write of the request.

    Attributes:
        name: the request, as in `janus.create`.
        timeout_s: T in seconds.
        acked: whether Janus had sent the `ack` (an async plugin request that its handler never finished).
    """

    def __init__(self, name: str, timeout_s: float, *, acked: bool = False) -> None:
        self.name = name
        self.timeout_s = timeout_s
        self.acked = acked
        tail = " (the ack had come, the event had not)" if acked else ""
        super().__init__(f"{name}: no answer within {timeout_s:g} s{tail}")


class AnswerOverdue(TransactionTimeout):
    """No answer in time, but the server said other things on this connection since the write."""


class ServerSilent(TransactionTimeout):
    """No answer in time, and not one whole message came on this connection since the write."""


class SendBlocked(JanusError):
    """The socket took no bytes until the deadline, so the request was never written."""


class ProtocolViolation(JanusError):
    """An answer that no Janus may give: not JSON, not an object, or without what it must carry."""


class CoreError(JanusError):
    """`janus: error`: the core refused the request.

    Attributes:
        code: the core's error code, as in 458.
        code_name: what Janus's source calls it, as in SESSION_NOT_FOUND; empty if it is unknown.
        reason: the core's own words.
    """

    layer = "janus"
    plugin = ""

    def __init__(self, name: str, code: int, reason: str, code_name: str = "") -> None:
        self.name = name
        self.code = code
        self.code_name = code_name
        self.reason = reason
        super().__init__(f"{name}: Janus error {f'{code} {code_name}'.rstrip()}: {reason}")


class PluginError(JanusError):
    """A plugin refused the request. Codes overlap between plugins, so both are kept.

    Attributes:
        plugin: the short name, as in `audiobridge`.
        code: the plugin's error code, as in 485.
        code_name: what the plugin's source calls it, as in NO_SUCH_ROOM; empty if it is unknown.
        reason: the plugin's own words.
    """

    layer = "plugin"

    def __init__(self, name: str, plugin: str, code: int, reason: str, code_name: str = "") -> None:
        self.name = name
        self.plugin = plugin
        self.code = code
        self.code_name = code_name
        self.reason = reason
        super().__init__(f"{name}: {plugin} error {f'{code} {code_name}'.rstrip()}: {reason}")


class MediaError(JanusloadError):
    """A peer could not be set up or was lost.

    Attributes:
        phase: where: `sdp`, `ice`, `dtls`, `media` or `worker`.
    """

    def __init__(self, message: str, *, phase: str) -> None:
        self.phase = phase
        super().__init__(message)


class WorkerLost(MediaError):
    """The media worker process that carried this peer is gone."""

    def __init__(self, message: str) -> None:
        super().__init__(message, phase="worker")
