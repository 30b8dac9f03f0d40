"""A disposable Janus on this machine.

::

    with Lab(LabOptions(cpu_percent=20), Path("janus.log")) as lab:
        ...  # lab.url, lab.admin_url, lab.admin_secret

The parts: `instance` is the Janus process and what belongs to it, `network` where it lives, `limits` what it may use,
`config` what it is told, `packages` how it comes onto a Debian machine, `privilege` how to do without root.
"""

from __future__ import annotations

from janusload.lab.instance import Lab, LabOptions

__all__ = ["Lab", "LabOptions"]
