"""From a run folder to a Summary, with numpy and pandas."""
