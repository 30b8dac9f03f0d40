"""From a run folder to a Summary, and from several to a Comparison, with numpy and pandas."""

from janusload.analysis.build import counted_steps, summarize
from janusload.analysis.comparable import Despite
from janusload.analysis.compare import Taken, compare

__all__ = ["Despite", "Taken", "compare", "counted_steps", "summarize"]
