"""From a Summary to what people and other tools read."""

from janusload.report.files import write
from janusload.report.terminal import EndScreen

__all__ = ["EndScreen", "write"]
