"""janusload on the emulated machine, where a Janus takes ten times as long to come up.

A plugin of pytest (`-p tests.vm.patience`), and the command line (`python -m tests.vm.patience run ...`).
"""

from __future__ import annotations

import sys

from janusload import cli
from janusload.lab import instance

instance._READY_WITHIN_S = 120.0

if __name__ == "__main__":
    sys.exit(cli.main())
