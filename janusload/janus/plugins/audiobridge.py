"""The AudioBridge: an audio conference mixed by the server."""

from __future__ import annotations

from typing import Any, NamedTuple

from janusload.janus.handle import Handle


class Joined(NamedTuple):
    """Answer to `join`: our id in the room, who was there, and the jsep answer if an offer was sent."""

    room: int | str
    participant: int | str
    participants: list[dict[str, Any]]
    jsep: dict[str, Any] | None


class AudioBridge(Handle):
    """Facade of `janus.plugin.audiobridge`. Only what is not None is sent."""

    package = "janus.plugin.audiobridge"
    short = "audiobridge"

    def create(
        self,
        room: int | str | None = None,
        *,
        sampling_rate: int | None = None,
        description: str | None = None,
        secret: str | None = None,
        record: bool | None = None,
        record_file: str | None = None,
        mjrs: bool | None = None,
        mjrs_dir: str | None = None,
        audiolevel_event: bool | None = None,
        allow_rtp_participants: bool | None = None,
        timeout_s: float | None = None,
    ) -> int | str:
        """Create a room; returns its number. Raises PluginError 486 if it exists."""
        data = self._sync(
            "create",
            timeout_s,
            room=room,
            sampling_rate=sampling_rate,
            description=description,
            secret=secret,
            record=record,
            record_file=record_file,
            mjrs=mjrs,
            mjrs_dir=mjrs_dir,
            audiolevel_event=audiolevel_event,
            allow_rtp_participants=allow_rtp_participants,
        )
        number: int | str = data["room"]
        return number

    def destroy(self, room: int | str, *, secret: str | None = None, timeout_s: float | None = None) -> None:
        """Destroy a room; its participants are told."""
        self._sync("destroy", timeout_s, room=room, secret=secret)

    def exists(self, room: int | str, *, timeout_s: float | None = None) -> bool:
        """Whether the room exists. Takes the plugin's lock on its rooms, so it also tells whether that is stuck."""
        return bool(self._sync("exists", timeout_s, room=room)["exists"])

    def listparticipants(self, room: int | str, *, timeout_s: float | None = None) -> list[dict[str, Any]]:
        """Who is in the room: id, display, setup, muted, talking."""
        people: list[dict[str, Any]] = self._sync("listparticipants", timeout_s, room=room)["participants"]
        return people

    def enable_recording(
        self,
        room: int | str,
        record: bool,
        *,
        record_file: str | None = None,
        record_dir: str | None = None,
        secret: str | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Start or stop recording the mix of a room to a WAV file."""
        self._sync(
            "enable_recording",
            timeout_s,
            room=room,
            record=record,
            record_file=record_file,
            record_dir=record_dir,
            secret=secret,
        )

    def join(
        self,
        room: int | str,
        *,
        jsep: dict[str, Any] | None = None,
        display: str | None = None,
        pin: str | None = None,
        secret: str | None = None,
        muted: bool | None = None,
        record: bool | None = None,
        filename: str | None = None,
        timeout_s: float | None = None,
    ) -> Joined:
        """Join a room, with the offer if one is given. Raises PluginError 485 no room, 489 wrong pin or secret."""
        body = _given(
            request="join",
            room=room,
            display=display,
            pin=pin,
            secret=secret,
            muted=muted,
            record=record,
            filename=filename,
        )
        reply = self.message(body, name="join", jsep=jsep, timeout_s=timeout_s)
        return Joined(
            reply.data.get("room", room), reply.data.get("id", 0), reply.data.get("participants", []), reply.jsep
        )

    def configure(
        self,
        *,
        muted: bool | None = None,
        display: str | None = None,
        volume: int | None = None,
        record: bool | None = None,
        filename: str | None = None,
        jsep: dict[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> dict[str, Any] | None:
        """Change how we take part: muted, recorded (to an MJR file named after `filename`), louder. Returns a jsep."""
        body = _given(
            request="configure", muted=muted, display=display, volume=volume, record=record, filename=filename
        )
        return self.message(body, name="configure", jsep=jsep, timeout_s=timeout_s).jsep

    def leave(self, timeout_s: float | None = None) -> None:
        """Leave the room; the PeerConnection stays up. Raises PluginError 487 if we are in none."""
        self.message({"request": "leave"}, name="leave", timeout_s=timeout_s)

    def _sync(self, verb: str, timeout_s: float | None, **fields: Any) -> dict[str, Any]:
        return self.message(_given(request=verb, **fields), name=verb, timeout_s=timeout_s).data


def _given(**fields: Any) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}
