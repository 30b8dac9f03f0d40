"""From a run folder to a Summary, with numpy and pandas."""

from janusload.analysis.build import summarize

__all__ = ["summarize"]
