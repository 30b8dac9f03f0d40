"""What a person should know before a run: one finding per line, each ok, warn or fail, with what to do about it.

Examines this machine (`machine`) and, where one is named, the Janus to be loaded (`server`).
"""

from __future__ import annotations

from janusload.doctor.finding import Finding, Level, Plans, plans_of

__all__ = ["Finding", "Level", "Plans", "plans_of"]
