"""Signalling: protocol (sans-I/O), connection (gevent), session, handle and one facade per plugin."""
