"""The VideoRoom: publishers send to Janus, subscribers get from it (`janus.plugin.videoroom`).

https://janus.conf.meetecho.com/docs/videoroom. A handle is one or the other: `VideoRoomPublisher` for who is in a room,
and publishes or not; `VideoRoomSubscriber` for a PeerConnection that gets what others publish. Both manage rooms.
Publishers offer; to subscribers Janus offers, and again whenever their subscriptions change.
"""

from __future__ import annotations

from janusload.janus.plugins.facade import Events, Facade
from janusload.janus.plugins.verb import Verb, into, key, nothing
from janusload.janus.plugins.videoroom import requests, results
from janusload.janus.plugins.videoroom.requests import Feed, ForwardedStream, OwnStream, SubscribedStream
from janusload.janus.plugins.videoroom.results import VideoRoomEvent

__all__ = [
    "Feed",
    "ForwardedStream",
    "OwnStream",
    "SubscribedStream",
    "VideoRoom",
    "VideoRoomEvent",
    "VideoRoomPublisher",
    "VideoRoomSubscriber",
]


class VideoRoom(Facade[VideoRoomEvent]):
    """What both kinds of handles of `janus.plugin.videoroom` can do."""

    package = "janus.plugin.videoroom"
    short = "videoroom"
    events = Events(
        "videoroom",
        {
            "updated": results.Updated,
            "talking": results.Talking,
            "stopped-talking": results.StoppedTalking,
            "destroyed": results.Destroyed,
        },
        {
            "publishers": results.PublishersChanged,
            "joining": results.Joining,
            "unpublished": results.Unpublished,
            "leaving": results.Leaving,
            "kicked": results.Kicked,
            "moderation": results.Moderated,
        },
    )

    create = Verb(requests.Create, into(results.Created))
    edit = Verb(requests.Edit, nothing)
    destroy = Verb(requests.Destroy, nothing)
    exists = Verb(requests.OfRoom, key("exists", bool))
    list = Verb(requests.ListRooms, key("list", tuple[results.Room, ...]))
    #: the tokens; none come back after `disable`
    allowed = Verb(requests.Allowed, key("allowed", tuple[str, ...], ()))
    listparticipants = Verb(requests.OfRoom, key("participants", tuple[results.Participant, ...]))
    kick = Verb(requests.OfParticipant, nothing)
    moderate = Verb(requests.Moderate, nothing)
    enable_recording = Verb(requests.EnableRecording, nothing)
    rtp_forward = Verb(requests.RtpForward, into(results.Forwarding))
    stop_rtp_forward = Verb(requests.StopRtpForward, nothing)
    listforwarders = Verb(requests.OfRoom, key("publishers", tuple[results.PublisherForwarders, ...]))


class VideoRoomPublisher(VideoRoom):
    """Somebody in a room, who may publish."""

    join = Verb(requests.Join, into(results.Joined))
    joinandconfigure = Verb(requests.JoinAndConfigure, into(results.Joined))
    publish = Verb(requests.Publish, into(results.Published))
    configure = Verb(requests.Configure, into(results.Published))
    #: closes the PeerConnection; we stay in the room
    unpublish = Verb(requests.Nothing, nothing)
    leave = Verb(requests.Nothing, nothing)


class VideoRoomSubscriber(VideoRoom):
    """A PeerConnection that gets what others publish."""

    join = Verb(requests.JoinSubscriber, into(results.Attached))
    start = Verb(requests.Start, nothing)
    pause = Verb(requests.Nothing, nothing)
    configure = Verb(requests.ConfigureSubscriber, into(results.Updated))
    #: with an offer, unless there is one that we have not answered yet: then `Updated` comes with it later
    subscribe = Verb(requests.Subscription, into(results.Updated))
    unsubscribe = Verb(requests.Subscription, into(results.Updated))
    update = Verb(requests.Update, into(results.Updated))
    #: get other streams in the m-lines that there are, without a new offer
    switch = Verb(requests.Subscription, into(results.Updated))
    leave = Verb(requests.Nothing, nothing)
