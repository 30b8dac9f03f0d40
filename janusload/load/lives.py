"""One life of one user: the steps of its scenario, done one after the other.

Whatever happens, what the life left open is closed at its end. When it is time to leave, waiting ends at once and only
the steps that part from something are still done.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import gevent.event

from janusload.errors import MediaError, ProtocolViolation
from janusload.janus.connection import Connection
from janusload.janus.handle import Handle, Reply
from janusload.janus.session import Session
from janusload.load.takes import Takes
from janusload.media.mixes import UNKNOWN
from janusload.media.participants import Participant, Peer, PlainPeer
from janusload.records import Source
from janusload.scenario import Act, Repeat, Users, Verb
from janusload.scenario.life import Choose, State, Walk, after

if TYPE_CHECKING:
    from janusload.load.stage import Stage

_PARTING = frozenset(
    {
        Verb.STOP_RECORDING,
        Verb.UNMUTE,
        Verb.LEAVE,
        Verb.HANGUP,
        Verb.DETACH,
        Verb.DESTROY,
        Verb.DISCONNECT,
        Verb.VANISH,
    }
)


class Life:
    """One life.

    Args:
        group: whose life it is.
        user: its name, as in `talker-3`.
        source: where its random choices come from.
        leaving: set when it is time to leave.
    """

    def __init__(
        self, stage: Stage, group: Users, user: str, source: random.Random, leaving: gevent.event.Event
    ) -> None:
        self._stage = stage
        self._group = group
        self._user = user
        self._source = source
        self._leaving = leaving
        self._connection: Connection | None = None
        self._session: Session | None = None
        self._handle: Handle | None = None
        self._peer: Participant | None = None
        self._audio = ExitStack()
        self._room = 0
        self._here: int | None = None
        self._far_end: dict[str, Any] = {}
        self._muted = False
        self._take_numbers = itertools.count(1)
        self._take_name = ""
        self._takes = Takes(user, exact=not group.impair.wanted, tell=stage.recorder.write)
        self._state = State()
        self._walk = Walk(group.plugin, group.media)
        self._acts: dict[Verb, Callable[[Act], object]] = {
            Verb.CONNECT: self._connect,
            Verb.CREATE: self._create,
            Verb.ATTACH: self._attach,
            Verb.JOIN: self._join,
            Verb.PUBLISH: self._publish,
            Verb.JOIN_PUBLISH: self._join_publish,
            Verb.SUBSCRIBE: self._subscribe,
            Verb.PLAY: self._play,
            Verb.MUTE: lambda _: self._mute(True),
            Verb.UNMUTE: lambda _: self._mute(False),
            Verb.TALK: self._wait,
            Verb.LISTEN: self._listen,
            Verb.WAIT: self._wait,
            Verb.STAY: lambda _: self._leaving.wait(),
            Verb.RECORD: self._record,
            Verb.STOP_RECORDING: self._stop_recording,
            Verb.RECORD_ROOM: lambda _: self._record_room(True),
            Verb.STOP_RECORDING_ROOM: lambda _: self._record_room(False),
            Verb.RECORD_ALL: lambda _: self._record_all(True),
            Verb.STOP_RECORDING_ALL: lambda _: self._record_all(False),
            Verb.CHANGEROOM: self._changeroom,
            Verb.LIST: self._list,
            Verb.LEAVE: self._leave,
            Verb.HANGUP: self._hangup,
            Verb.DETACH: self._detach,
            Verb.DESTROY: self._destroy,
            Verb.DISCONNECT: self._disconnect,
            Verb.VANISH: self._vanish,
            Verb.PING: lambda _: self._open().ping(),
            Verb.INFO: lambda _: self._open().info(),
        }

    def live(self) -> None:
        """Live it. Raises whatever a step raises; everything is closed all the same."""
        try:
            self._steps(self._group.steps)
            if self._state.recording:
                self._takes.end(*self._sent())
            self._part_from_room(sure=True)
        finally:
            self._part_from_room(sure=False)
            self._end()

    def _steps(self, steps: Sequence[Act | Repeat | Choose]) -> None:
        for step in steps:
            if isinstance(step, Repeat):
                self._repeat(step)
            elif isinstance(step, Choose):
                way = self._source.choices(step.choose, [each.weight for each in step.choose])[0]
                self._steps(way.steps)
            elif not self._leaving.is_set() or self._parts(step):
                self._do(step)

    def _do(self, step: Act) -> None:
        before, then = self._state, after(step, self._state, self._group.plugin)
        silent, was_muted = self._peer is None, self._muted
        if before.recording and not then.recording:
            self._takes.end(*self._sent())
        elif step.verb is Verb.MUTE and not was_muted:
            self._takes.mute(self._sent()[1])
        comes = then.joined and (not before.joined or step.verb is Verb.CHANGEROOM)
        if comes or not then.joined:
            self._part_from_room(sure=True)
        self._acts[step.verb](step)
        self._state = then
        if comes:
            self._here = self._room
            self._stage.room_takes.come(self._room)
        if then.recording and not before.recording:
            self._takes.begin(self._take_name, 0 if silent else self._sent()[1])
        elif was_muted and not self._muted:
            self._takes.unmute(self._sent()[1])

    def _part_from_room(self, *, sure: bool) -> None:
        """We are about to leave our room, if we are in one; not `sure` if Janus may have let go of us before."""
        room, self._here = self._here, None
        if room is not None:
            lost = self._peer is not None and self._peer.error is not None
            self._stage.room_takes.go(room, sure=sure and not lost)

    def _sent(self) -> tuple[int | None, int | None]:
        """RTP source, and packets sent up to now; None where there is no audio, or its worker does not say."""
        try:
            return (None, 0) if self._peer is None else self._peer.count()
        except MediaError:
            return None, None

    def _repeat(self, step: Repeat) -> None:
        for _ in range(step.repeat.draw(self._source)):
            self._steps(step.steps)
            if self._leaving.is_set():
                return

    def _parts(self, step: Act) -> bool:
        """Whether this is done on the way out: it parts from something that is there."""
        if step.verb not in _PARTING or self._walk.obstacle(step, self._state):
            return False
        if step.verb is Verb.UNMUTE:
            return self._muted
        return step.verb is not Verb.HANGUP or self._state.audio

    # -- the socket, the session, the handle ------------------------------------------------------------------------

    def _connect(self, _: Act) -> None:
        self._connection = self._stage.connection(self._user, Source.USERS).open()
        if not self._group.has_audio:
            self._stage.arrive(self._user)

    def _create(self, _: Act) -> None:
        self._session = self._open().create(keepalive_s=self._stage.keepalive_s)

    def _attach(self, step: Act) -> None:
        assert self._session is not None
        package = f"janus.plugin.{step.plugin or self._group.plugin}"
        self._handle = self._session.attach(package, opaque_id=self._user)

    def _detach(self, _: Act) -> None:
        """With audio still flowing: a server must bear that."""
        self._attached().detach()
        self._handle = None
        self._quiet()

    def _destroy(self, _: Act) -> None:
        assert self._session is not None
        session, self._session, self._handle = self._session, None, None
        if session.ended is None:
            session.destroy()
        self._quiet()

    def _disconnect(self, _: Act) -> None:
        self._quiet()
        self._open().close()
        self._connection = self._session = self._handle = None

    def _vanish(self, _: Act) -> None:
        self._open().vanish()
        self._connection = self._session = self._handle = None
        self._quiet(Participant.vanish)

    # -- rooms ------------------------------------------------------------------------------------------------------

    def _join(self, step: Act) -> None:
        if self._group.media == "plain_rtp":
            self._join_plain(step, then_send=False)
            return
        self._say("join", **self._joining(), **self._recorded(step))

    def _join_publish(self, step: Act) -> None:
        if self._group.media == "plain_rtp":
            self._join_plain(step, then_send=True)
            return
        peer = self._new_peer()
        fields = {**self._joining(), **self._recorded(step)}
        if self._attached().short == "videoroom":
            reply = self._say("joinandconfigure", jsep=peer.offer(), audio=True, video=False, **fields)
        else:
            reply = self._say("join", jsep=peer.offer(), **fields)
        self._accept(peer, reply)

    def _recorded(self, step: Act) -> dict[str, Any]:
        return {"record": True, "filename": self._next_take()} if step.record else {}

    def _join_plain(self, step: Act, *, then_send: bool) -> None:
        peer = self._stage.engine.plain(self._user, route_to=self._stage.server_address, **self._sound())
        self._peer = peer
        local = peer.open()
        plain = {**local._asdict(), "fec": True}
        reply = self._say("join", rtp=plain, **self._joining(), **self._recorded(step))
        told = reply.data.get("rtp")
        if not isinstance(told, dict) or not told.get("port"):
            raise ProtocolViolation("audiobridge.join: plain RTP was asked for and the answer names no port")
        self._far_end = {"ip": told["ip"], "port": told["port"], "payload_type": told.get("payload_type")}
        if then_send:
            self._send_plain(peer)

    def _send_plain(self, peer: PlainPeer) -> None:
        self._mix_in(peer)
        peer.connect(**self._far_end)
        self._audio.enter_context(self._stage.audio(self._user))

    def _joining(self) -> dict[str, Any]:
        self._room = self._stage.next_room(self._group)
        self._muted = False  # Janus lets whoever comes into a room be heard there
        if self._attached().short == "videoroom":
            return {"room": self._room, "ptype": "publisher", "display": self._user}
        return {"room": self._room, "display": self._user}

    def _changeroom(self, _: Act) -> None:
        self._room = self._stage.next_room(self._group, other_than=self._room)
        self._say("changeroom", room=self._room, display=self._user)
        self._muted = False
        if self._peer is not None:
            self._mix_in(self._peer)

    def _leave(self, _: Act) -> None:
        if self._peer is not None:
            self._peer.mix = UNKNOWN
        self._say("leave")

    def _list(self, _: Act) -> None:
        self._say("listparticipants", room=self._room)

    def _mute(self, muted: bool) -> None:
        self._say("configure", muted=muted)
        self._muted = muted
        if self._peer is not None:
            self._peer.muted = muted

    # -- audio ------------------------------------------------------------------------------------------------------

    def _publish(self, step: Act) -> None:
        recorded = self._recorded(step)
        if isinstance(self._peer, PlainPeer):
            if recorded:
                self._say("configure", **recorded)
            self._send_plain(self._peer)
            return
        peer = self._new_peer()
        offer = peer.offer()
        match self._attached().short:
            case "videoroom":
                reply = self._say("publish", jsep=offer, audio=True, video=False, **recorded)
            case "echotest":
                body = {"audio": True, "video": False, **recorded}
                reply = self._attached().message(body, name="start", jsep=offer)
            case _:
                reply = self._say("configure", jsep=offer, **recorded)
        self._accept(peer, reply)

    def _subscribe(self, _: Act) -> None:
        feeds = self._say("listparticipants", room=self._room).data.get("participants", [])
        publishers = [feed["id"] for feed in feeds if feed.get("publisher")]
        if not publishers:
            return
        assert self._session is not None
        handle = self._session.attach("janus.plugin.videoroom", opaque_id=self._user)
        feed = self._source.choice(publishers)
        body = {"request": "join", "room": self._room, "ptype": "subscriber", "streams": [{"feed": feed}]}
        reply = handle.message(body)
        peer = self._new_peer()
        answer = peer.answer(reply.jsep or {})
        handle.message({"request": "start"}, jsep=answer)
        peer.connected()
        self._audio.enter_context(self._stage.audio(self._user))

    def _record(self, _: Act) -> None:
        name = self._next_take()
        match self._attached().short:
            case "recordplay":
                peer = self._new_peer()
                self._accept(peer, self._say("record", jsep=peer.offer(), name=name, filename=name))
            case "echotest":
                self._attached().message({"record": True, "filename": name}, name="configure")
            case _:
                self._say("configure", record=True, filename=name)

    def _stop_recording(self, _: Act) -> None:
        match self._attached().short:
            case "recordplay":
                self._say("stop")
            case "echotest":
                self._attached().message({"record": False}, name="configure")
            case _:
                self._say("configure", record=False)

    def _record_room(self, on: bool) -> None:
        fields: dict[str, Any] = {"room": self._room, "record": on}
        if not on:
            self._stage.room_takes.end(self._room)
            self._say("enable_recording", **fields)
            return
        name = f"{self._free_name()}-room-{self._room}.wav"
        self._say("enable_recording", **fields, record_file=name)
        self._stage.room_takes.begin(self._room, name)

    def _record_all(self, on: bool) -> None:
        if self._attached().short == "videoroom":
            self._say("enable_recording", room=self._room, record=on)
        else:
            self._say("enable_mjrs", room=self._room, mjrs=on)

    def _next_take(self) -> str:
        self._take_name = self._free_name()
        return self._take_name

    def _free_name(self) -> str:
        """A name that no other recording has: Janus writes over what is there."""
        return f"janusload-{self._user}-{self._attached().id}-{next(self._take_numbers)}"

    def _play(self, _: Act) -> None:
        recordings = self._say("list").data.get("list", [])
        if not recordings:
            return
        reply = self._say("play", id=max(each["id"] for each in recordings))
        peer = self._new_peer()
        answer = peer.answer(reply.jsep or {})
        self._say("start", jsep=answer)
        peer.connected()
        self._audio.enter_context(self._stage.audio(self._user))

    def _hangup(self, _: Act) -> None:
        self._attached().hangup()
        self._quiet()

    def _new_peer(self) -> Peer:
        peer = self._stage.engine.peer(self._user, **self._sound(), mix=UNKNOWN, route_to=self._stage.media_route)
        self._peer = peer
        return peer

    def _mix_in(self, peer: Participant) -> None:
        """Say who should hear whom, where that is known: in a room of the AudioBridge, and from an echo."""
        plugin = self._attached().short
        peer.muted = self._muted
        peer.mix = {"audiobridge": f"room {self._room}", "echotest": None}.get(plugin, UNKNOWN)

    def _sound(self) -> dict[str, Any]:
        group = self._group
        ptime_ms = int(group.ptime.removesuffix(" ms"))
        return {"clip": group.clip, "codec": group.codec, "ptime_ms": ptime_ms, "impair": group.impair.wanted}

    def _accept(self, peer: Peer, reply: Reply) -> None:
        if reply.jsep is None:
            raise ProtocolViolation("an offer was answered without a jsep")
        self._mix_in(peer)
        peer.accept(reply.jsep)
        self._audio.enter_context(self._stage.audio(self._user))

    # -- time -------------------------------------------------------------------------------------------------------

    def _wait(self, step: Act) -> None:
        assert step.span is not None
        self._leaving.wait(step.span.draw(self._source))

    def _listen(self, step: Act) -> None:
        peer = self._peer
        if peer is None:
            raise MediaError("there is no audio to be silent with", phase="media")
        peer.pause()
        self._wait(step)
        peer.resume()

    # -- the end ----------------------------------------------------------------------------------------------------

    def _quiet(self, leave: Callable[[Participant], None] = Participant.close) -> None:
        """No audio of ours any more."""
        self._audio.close()
        if self._muted:
            self._takes.part(*self._sent())
        peer, self._peer = self._peer, None
        if peer is not None:
            leave(peer)

    def _end(self) -> None:
        self._quiet()
        if self._connection is not None:
            self._connection.part()
        self._connection = self._session = self._handle = None

    # -- what is there ----------------------------------------------------------------------------------------------

    def _open(self) -> Connection:
        assert self._connection is not None, "the life was walked before it was lived"
        return self._connection

    def _attached(self) -> Handle:
        assert self._handle is not None, "the life was walked before it was lived"
        return self._handle

    def _say(self, request: str, *, jsep: dict[str, Any] | None = None, **fields: Any) -> Reply:
        body = {"request": request, **fields}
        return self._attached().message(body, jsep=jsep)
