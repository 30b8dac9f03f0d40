"""Watching the server from outside: its process, its limits, its log."""
