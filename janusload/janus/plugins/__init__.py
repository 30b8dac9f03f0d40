"""One facade per Janus plugin, with typed requests and results."""
