"""Record&Play: records what it is sent, and plays it back (`janus.plugin.recordplay`).

https://janus.conf.meetecho.com/docs/recordplay. To record, we offer; to be played to, Janus offers: `play` brings the
offer and `start` takes our answer. A recording is in the list once it is complete, after `stop` or a hangup.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TypeAlias

from janusload.janus.plugins.facade import Events, Facade
from janusload.janus.plugins.verb import Jsep, Parameters, Verb, into, key, named, nothing, since

#: private recordings (PR 3518)
_PRIVATE = (1, 3, 2)


@dataclass(frozen=True)
class Nothing(Parameters):
    """It takes nothing."""


@dataclass(frozen=True)
class ListRecordings(Parameters):
    """With the admin key (from 1.3.2 on) the private ones are listed too."""

    _: KW_ONLY
    admin_key: str | None = since(_PRIVATE)


@dataclass(frozen=True)
class Configure(Parameters):
    """Limits for video, in bit/s and in ms."""

    _: KW_ONLY
    video_bitrate_max: int | None = named("video-bitrate-max")
    video_keyframe_interval: int | None = named("video-keyframe-interval")


@dataclass(frozen=True)
class Record(Parameters):
    """Record what our offer sends. PluginError 420 if the id is taken.

    Attributes:
        name: for the list.
        id: of the recording; Janus chooses one if there is none.
        filename: base of the files' names; `-audio.mjr` and `-video.mjr` are put behind it.
        is_private: keep it out of the list. From 1.3.2 on.
    """

    name: str
    jsep: Jsep
    _: KW_ONLY
    id: int | None = None
    filename: str | None = None
    audiocodec: str | None = None
    videocodec: str | None = None
    videoprofile: str | None = None
    opusred: bool | None = None
    textdata: bool | None = None
    is_private: bool | None = since(_PRIVATE)


@dataclass(frozen=True)
class Play(Parameters):
    """Have a recording offered to us. PluginError 416 if there is none of this id."""

    id: int
    _: KW_ONLY
    restart: bool | None = None


@dataclass(frozen=True)
class Start(Parameters):
    """Answer the offer of `play`; the playing begins when DTLS is up."""

    jsep: Jsep


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording in the list."""

    id: int
    name: str
    date: str
    audio: bool = False
    video: bool = False
    data: bool = False
    audio_codec: str | None = None
    video_codec: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording that goes on, and the answer to our offer."""

    id: int
    jsep: Jsep


@dataclass(frozen=True, slots=True)
class Offered:
    """A recording that will be played, and Janus's offer."""

    id: int
    jsep: Jsep


@dataclass(frozen=True, slots=True)
class Stopped:
    """What was stopped; `id` only of a recording."""

    id: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """Recording or playing is over, and so is the PeerConnection."""


RecordPlayEvent: TypeAlias = Done


class RecordPlay(Facade[RecordPlayEvent]):
    """Facade of `janus.plugin.recordplay`."""

    package = "janus.plugin.recordplay"
    short = "recordplay"
    events = Events("result", {"done": Done})

    list = Verb(ListRecordings, key("list", tuple[Recording, ...]))
    #: look through the folder again
    update = Verb(Nothing, nothing)
    configure = Verb(Configure, nothing)
    record = Verb(Record, into(Recorded, within="result"))
    play = Verb(Play, into(Offered, within="result"))
    start = Verb(Start, nothing)
    stop = Verb(Nothing, into(Stopped, within="result"))
