"""The AudioBridge: an audio conference mixed by the server (`janus.plugin.audiobridge`).

https://janus.conf.meetecho.com/docs/audiobridge, corrected by what 1.1.2 and 1.4.1 do. Requests on a room take a lock
on the plugin's rooms, so the cheapest of them, `exists`, also tells whether that lock is stuck. `join`, `configure`,
`changeroom`, `leave` and `plugin_hangup` are answered by the plugin's only handler thread, all others by a pool.
"""

from __future__ import annotations

from janusload.janus.plugins.audiobridge import events as said
from janusload.janus.plugins.audiobridge.events import AudioBridgeEvent, Participant
from janusload.janus.plugins.audiobridge.requests import (
    Allowed,
    ChangeRoom,
    Configure,
    Create,
    Destroy,
    Edit,
    EnableMjrs,
    EnableRecording,
    Join,
    ListRooms,
    Nothing,
    OfFile,
    OfParticipant,
    OfRoom,
    PlainRtp,
    PlayFile,
    Resume,
    RtpForward,
    StopRtpForward,
    Suspend,
    WithSecret,
)
from janusload.janus.plugins.audiobridge.results import (
    Announcement,
    Configured,
    Created,
    Forwarder,
    Forwarding,
    Joined,
    Playing,
    Room,
    RoomChanged,
)
from janusload.janus.plugins.facade import Events, Facade
from janusload.janus.plugins.verb import Verb, into, key, nothing

__all__ = ["AudioBridge", "AudioBridgeEvent", "Created", "Joined", "Participant", "PlainRtp", "Room"]


class AudioBridge(Facade[AudioBridgeEvent]):
    """Facade of `janus.plugin.audiobridge`; the parameters are explained in `requests`, the results in `results`."""

    package = "janus.plugin.audiobridge"
    short = "audiobridge"
    events = Events(
        "audiobridge",
        {
            "joined": said.ParticipantJoined,
            "talking": said.Talking,
            "stopped-talking": said.StoppedTalking,
            "announcement-started": said.AnnouncementStarted,
            "announcement-stopped": said.AnnouncementStopped,
            "destroyed": said.Destroyed,
        },
        {
            "leaving": said.Leaving,
            "kicked": said.Kicked,
            "kicked_all": said.KickedAll,
            "suspended": said.Suspended,
            "resumed": said.Resumed,
            "muted": said.RoomMuted,
            "participants": said.ParticipantsChanged,
        },
    )

    # -- rooms
    create = Verb(Create, into(Created))
    edit = Verb(Edit, nothing)
    destroy = Verb(Destroy, nothing)
    exists = Verb(OfRoom, key("exists", bool))
    #: the public rooms; the documentation says `rooms`, the wire says `list`
    list = Verb(ListRooms, key("list", tuple[Room, ...]))
    #: the tokens; none come back after `disable`
    allowed = Verb(Allowed, key("allowed", tuple[str, ...], ()))
    enable_recording = Verb(EnableRecording, nothing)
    enable_mjrs = Verb(EnableMjrs, nothing)
    mute_room = Verb(WithSecret, nothing)
    unmute_room = Verb(WithSecret, nothing)
    #: as `kick`, for all
    kick_all = Verb(WithSecret, nothing)

    # -- participants, seen from outside
    listparticipants = Verb(OfRoom, key("participants", tuple[Participant, ...]))
    mute = Verb(OfParticipant, nothing)
    unmute = Verb(OfParticipant, nothing)
    #: everybody is told and the PeerConnection is closed, which ends the membership a moment later; who has none stays
    #: a member (1.4.1 always, 1.1.2 from the second kick on), whatever everybody was told
    kick = Verb(OfParticipant, nothing)
    #: 1.2.1 and later; PluginError 482 before that
    suspend = Verb(Suspend, nothing)
    resume = Verb(Resume, nothing)

    # -- taking part
    join = Verb(Join, into(Joined))
    configure = Verb(Configure, into(Configured))
    changeroom = Verb(ChangeRoom, into(RoomChanged))
    #: the PeerConnection stays up: `join` again without a jsep; PluginError 487 if we are in no room
    leave = Verb(Nothing, nothing)
    #: the plugin asks the core to close the PeerConnection, unlike `hangup`, which asks the core itself
    plugin_hangup = Verb(Nothing, nothing, request="hangup")
    #: make the Opus decoder anew
    resetdecoder = Verb(Nothing, nothing)

    # -- RTP forwarders
    rtp_forward = Verb(RtpForward, into(Forwarding))
    stop_rtp_forward = Verb(StopRtpForward, nothing)
    listforwarders = Verb(WithSecret, key("rtp_forwarders", tuple[Forwarder, ...]))

    # -- announcements: files that are played into the mix
    play_file = Verb(PlayFile, into(Playing))
    is_playing = Verb(OfFile, key("playing", bool))
    stop_file = Verb(OfFile, nothing)
    #: 1.3.0 and later, PluginError 482 before that; tells those that had begun, though all are stopped
    stop_all_files = Verb(WithSecret, key("file_id_list", tuple[str, ...]))
    #: 1.4.1, not 1.1.2, which answers with PluginError 482
    listannouncements = Verb(WithSecret, key("announcements", tuple[Announcement, ...]))
    #: RNNoise for a participant; PluginError 482 from Janus without it, such as Debian's 1.4.1
    denoise_enable = Verb(OfParticipant, nothing)
    denoise_disable = Verb(OfParticipant, nothing)
