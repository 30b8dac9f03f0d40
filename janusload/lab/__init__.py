"""A disposable Janus on this machine."""
