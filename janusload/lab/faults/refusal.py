"""Sessions refused: what an operator does to drain a server before it goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from janusload.errors import LabError
from janusload.lab.instance import Lab


@contextmanager
def refuse_sessions(lab: Lab) -> Iterator[None]:
    """`create` is answered with error 472 at once."""
    _accept(lab, False)
    try:
        yield
    finally:
        if lab.alive():
            _accept(lab, True)


def _accept(lab: Lab, accept: bool) -> None:
    if lab.admin().ask("accept_new_sessions", accept=accept) is None:
        raise LabError("Janus did not take accept_new_sessions over its Admin API")
