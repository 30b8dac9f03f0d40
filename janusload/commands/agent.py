"""`janusload agent`: beside a remote Janus, what can be seen of it there."""

from __future__ import annotations

import argparse
import os
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from janusload import exit_codes
from janusload.errors import SurroundingsError, UsageError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_EPILOG = """\
The token (16 characters or more) comes from the environment (JANUSLOAD_AGENT_TOKEN) or --token-file.
examples:
  JANUSLOAD_AGENT_TOKEN=$(cat token) janusload agent --janus janus.service --log journal:janus.service
  janusload agent --janus 4711 --token-file token --listen 10.0.0.7:7089 --cert agent.pem --key agent.key
then, where the load is made, with the same token in the environment:
  janusload run scenarios/knee.toml --host ws://10.0.0.7:8188 --agent https://10.0.0.7:7089 --ca ca.pem
Prometheus reads /metrics with the token as its bearer token.
"""


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    agent = commands.add_parser(
        "agent",
        help="watch a Janus where it runs, for a run elsewhere and for Prometheus",
        description="Watches a Janus on this machine and tells those who know the token. It only reads.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    agent.add_argument(
        "--janus", default="janus", metavar="WHICH", help="pid, systemd unit, container id or name (default: janus)"
    )
    agent.add_argument("--log", metavar="FILE", help="Janus's log: a file or named pipe, or journal:UNIT")
    agent.add_argument("--recordings", type=Path, metavar="DIR", help="where Janus records to")
    agent.add_argument("--listen", default="127.0.0.1:7089", metavar="HOST:PORT", help="default: 127.0.0.1:7089")
    agent.add_argument("--token-file", type=Path, metavar="FILE", help="file with the token in its first line")
    agent.add_argument("--cert", type=Path, metavar="FILE", help="certificate chain for HTTPS (PEM)")
    agent.add_argument("--key", type=Path, metavar="FILE", help="its private key")
    agent.add_argument(
        "--plain", action="store_true", help="plain HTTP beyond loopback: the token can then be read on the way"
    )
    agent.set_defaults(command=_run)


def _run(options: argparse.Namespace, console: Console) -> int:
    from janusload.server.agent import AgentServer, Sampler
    from janusload.server.find import Followed
    from janusload.server.log import LogWatch, source_of
    from janusload.server.watch import LocalWatch

    address = _address(options.listen)
    tls = _tls(options)
    if tls is None and not options.plain and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise UsageError("beyond loopback the agent wants TLS (--cert and --key), or --plain if the network is yours")
    token = _token(options.token_file)
    pid = Followed(options.janus)
    log = LogWatch(source_of(options.log)) if options.log else None
    sampler = Sampler(LocalWatch(pid, log, options.recordings), options.recordings)
    try:
        server = AgentServer(address, sampler, token, tls)
    except OSError as error:
        sampler.watch.close()
        raise SurroundingsError(f"cannot listen on {options.listen}: {error.strerror}") from None
    sampler.start()
    thread = threading.Thread(target=server.serve_forever, name="agent", daemon=True)
    thread.start()
    scheme, port = ("https" if tls else "http"), server.server_address[1]
    console.print(
        f"Watching process {pid()}; {scheme}://{address[0]}:{port} has /v1/stream, /v1/evidence and /metrics.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    try:
        thread.join()
    except KeyboardInterrupt:
        pass
    finally:
        server.shutdown()
        server.server_close()
        sampler.stop()
    return exit_codes.PASSED


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--listen {text}: say HOST:PORT, as in 127.0.0.1:7089")
    return host.strip("[]"), int(port)


def _token(path: Path | None) -> str:
    token = os.environ.pop("JANUSLOAD_AGENT_TOKEN", "")
    if path is not None:
        try:
            token = path.read_text(encoding="utf-8").partition("\n")[0].strip()
        except OSError as error:
            raise UsageError(f"--token-file {path}: {error.strerror}") from None
    if len(token) < 16:
        raise UsageError("the agent needs a token of 16 characters or more: JANUSLOAD_AGENT_TOKEN or --token-file")
    return token


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    if options.cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(options.cert, options.key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"--cert {options.cert}: {error}") from None
    return context
