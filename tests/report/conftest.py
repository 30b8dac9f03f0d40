"""The browser of the report's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Debian's Chromium; a test that needs it fails where it is missing, and says what to install."""
    if not CHROMIUM.exists():
        pytest.fail(
            f"{CHROMIUM} is missing: the report is tested in a real browser. Install the Debian package: "
            "apt-get install --no-install-recommends chromium",
            pytrace=False,
        )
    return CHROMIUM
