"""AudioBridge users for `locust -f locustfiles/audiobridge.py --host ws://HOST:PORT`, headless or from the web UI.

Each user connects, creates a session, joins the room with real WebRTC audio, is muted now and then, and leaves.
The API secret is taken from the environment (JANUS_API_SECRET).
"""

from locust import between, events

from janusload.load.locust_hooks import add_arguments, prepare
from janusload.load.users import JanusUser
from janusload.scenario import Users

events.init_command_line_parser.add_listener(add_arguments)
events.init.add_listener(prepare)


class Talker(JanusUser):
    """Talks for half a minute, muted every ten seconds, and comes again."""

    plan = Users(name="talker", weight=1, stay="30 s", mute_every="10 s")
    wait_time = between(1, 3)
