"""From a run folder to a Summary, and from several to a Comparison, with numpy and pandas."""

from janusload.analysis.build import counted_steps, summarize
from janusload.analysis.comparable import Despite
from janusload.analysis.compare import Taken, compare
from janusload.analysis.export import export
from janusload.analysis.merge import merge

__all__ = ["Despite", "Taken", "compare", "counted_steps", "export", "merge", "summarize"]
