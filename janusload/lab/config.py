"""What the lab's Janus is told: its configuration folder, as text.

Janus reads libconfig files (https://hyperrealm.github.io/libconfig/libconfig_manual.html). A transport without a file
of its own binds its default port on all addresses, so websockets and http always get one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

WEBSOCKET_PORT = 8188
ADMIN_PORT = 7088
ADMIN_WEBSOCKET_PORT = 7188
ADMIN_PATH = "/admin"

#: Kept out of every lab: script engines, a SIP stack and a plugin that records to a folder of its own.
PLUGINS_LEFT_OUT = ("libjanus_duktape.so", "libjanus_lua.so", "libjanus_sip.so", "libjanus_voicemail.so")

_TRANSPORTS_LEFT_OUT = "libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so"
_LOGGERS_LEFT_OUT = "libjanus_jsonlog.so"
_EVENT_HANDLERS_LEFT_OUT = ",".join(
    f"libjanus_{name}.so" for name in ("gelfevh", "mqttevh", "nanomsgevh", "rabbitmqevh", "sampleevh", "wsevh")
)

Value = bool | int | str | Sequence[str] | Mapping[str, "Value"]


@dataclass(frozen=True)
class Settings:
    """What differs from lab to lab.

    Attributes:
        folder: where the files will lie.
        libraries: the folder that holds `plugins`, `transports`, `events` and `loggers`.
        recordings: where recordings go; exists and is writable.
        address: the only address that Janus listens on and gathers candidates from.
        rtp_ports: first and last UDP port for media.
        session_timeout_s: Janus's session_timeout; 0 is never.
        plugins_left_out: file names of the plugins that are not loaded.
        janus: what is to be in janus.jcfg besides, or otherwise: section -> name -> value.
    """

    folder: Path
    libraries: Path
    recordings: Path
    address: str
    admin_secret: str
    api_secret: str | None
    rtp_ports: tuple[int, int]
    session_timeout_s: int
    plugins_left_out: tuple[str, ...]
    janus: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)


def render(settings: Settings) -> dict[str, str]:
    """The files of the configuration folder: name -> text."""
    general: dict[str, Value] = {
        "configs_folder": str(settings.folder),
        "plugins_folder": str(settings.libraries / "plugins"),
        "transports_folder": str(settings.libraries / "transports"),
        "events_folder": str(settings.libraries / "events"),
        "loggers_folder": str(settings.libraries / "loggers"),
        "server_name": "janusload-lab",
        # Only what `info` shows as local-ip; without it Janus asks the routing table, which has no default route here.
        "interface": settings.address,
        "debug_level": 4,
        "debug_timestamps": True,
        "debug_colors": False,
        "log_to_stdout": True,
        "admin_secret": settings.admin_secret,
        "session_timeout": settings.session_timeout_s,
        "reclaim_session_timeout": 0,
        "candidates_timeout": 10,
        "opaqueid_in_api": True,
        # The default list also has /var, where a temporary folder may lie.
        "protected_folders": ["/etc", "/usr"],
    }
    if settings.api_secret is not None:
        general["api_secret"] = settings.api_secret
    first, last = settings.rtp_ports
    janus: dict[str, Value] = {
        "general": general,
        "media": {
            "ipv6": False,
            "rtp_port_range": f"{first}-{last}",
            "slowlink_threshold": 4,
            "no_media_timer": 2,
            "min_nack_queue": 200,
        },
        "nat": {
            "ice_enforce_list": settings.address,
            "ice_lite": False,
            "ice_tcp": False,
            "full_trickle": False,
            "ignore_mdns": True,
        },
        "plugins": {"disable": ",".join(settings.plugins_left_out)},
        "transports": {"disable": _TRANSPORTS_LEFT_OUT},
        "loggers": {"disable": _LOGGERS_LEFT_OUT},
        "events": {"broadcast": False, "disable": _EVENT_HANDLERS_LEFT_OUT},
    }
    websockets: dict[str, Value] = {
        "general": {
            "json": "compact",
            "ws": True,
            "ws_port": WEBSOCKET_PORT,
            "ws_ip": settings.address,
            "wss": False,
        },
        "admin": {
            "admin_ws": True,
            "admin_ws_port": ADMIN_WEBSOCKET_PORT,
            "admin_ws_ip": settings.address,
            "admin_wss": False,
        },
    }
    http: dict[str, Value] = {
        "general": {"json": "compact", "http": False, "https": False},
        "admin": {
            "admin_base_path": ADMIN_PATH,
            "admin_http": True,
            "admin_port": ADMIN_PORT,
            "admin_ip": settings.address,
            "admin_https": False,
        },
    }
    return {
        "janus.jcfg": libconfig(_with(janus, settings.janus)),
        "janus.transport.websockets.jcfg": libconfig(websockets),
        "janus.transport.http.jcfg": libconfig(http),
        # local_ip: where plain RTP is taken; without it, 127.0.0.1 for want of a default route
        "janus.plugin.audiobridge.jcfg": libconfig(
            {"general": {"record_tmp_ext": "tmp", "local_ip": settings.address}}
        ),
        "janus.plugin.nosip.jcfg": libconfig({"general": {"local_ip": settings.address}}),
        "janus.plugin.recordplay.jcfg": libconfig({"general": {"path": str(settings.recordings)}}),
    }


def _with(settings: Mapping[str, Value], others: Mapping[str, Mapping[str, Value]]) -> dict[str, Value]:
    sections = dict(settings)
    for name, values in others.items():
        section = sections.get(name, {})
        assert isinstance(section, Mapping)
        sections[name] = {**section, **values}
    return sections


def libconfig(settings: Mapping[str, Value]) -> str:
    """`settings` as the text of a libconfig file.

    Raises:
        ValueError: a string that libconfig cannot hold on one line.
    """
    return "".join(f"{name}: {_value(value, indent='')}\n" for name, value in settings.items())


def _value(value: Value, indent: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        inner = indent + "\t"
        lines = "".join(f"{inner}{name} = {_value(item, inner)}\n" for name, item in value.items())
        return f"{{\n{lines}{indent}}}"
    return "[" + ", ".join(_string(item) for item in value) + "]"


def _string(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"not printable, so not for a configuration file: {text!r}")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
