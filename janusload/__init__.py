"""Load generation for the Janus WebRTC Gateway."""

__version__ = "0.1.0"
