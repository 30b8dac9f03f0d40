"""WebRTC media: the engine on the gevent side, and the worker processes that carry the peers."""
