"""From a Summary, or a Comparison, to what people and other tools read."""

from janusload.report.comparison import ComparisonScreen, write_comparison
from janusload.report.files import write
from janusload.report.terminal import EndScreen

__all__ = ["ComparisonScreen", "EndScreen", "write", "write_comparison"]
