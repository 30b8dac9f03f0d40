"""Every verb and event of the AudioBridge on a real Janus, with real media where there has to be some."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import av
import gevent
import gevent.socket
import numpy as np
import pytest

from janusload.errors import PluginError, UsageError
from janusload.janus.plugins.audiobridge import AudioBridge, PlainRtp, events
from janusload.janus.session import Session
from janusload.lab import Lab
from janusload.media.engine import Peer
from tests.janus.plugins.conftest import Heard, until

pytestmark = pytest.mark.lab

_numbers = count(5000)


@pytest.fixture
def bridge(session: Session) -> AudioBridge:
    return session.attach(AudioBridge)


@pytest.fixture
def room(bridge: AudioBridge) -> Iterator[int]:
    """A room in which everything is allowed."""
    number = next(_numbers)
    bridge.create(
        number,
        sampling_rate=48000,
        allow_rtp_participants=True,
        audiolevel_event=True,
        audio_active_packets=5,
        audio_level_average=60,
    )
    yield number
    if bridge.exists(number):
        bridge.destroy(number)


def in_room(bridge: AudioBridge, room: int) -> list[str]:
    return sorted(str(each.display) for each in bridge.listparticipants(room))


def code_of(refused: pytest.ExceptionInfo[PluginError]) -> tuple[int, str]:
    return refused.value.code, refused.value.code_name


def test_rooms_are_made_changed_listed_and_destroyed(bridge: AudioBridge) -> None:
    number = next(_numbers)
    assert not bridge.exists(number)
    made = bridge.create(number, description="first", secret="s", pin="1234", sampling_rate=24000, groups=["a", "b"])
    assert (made.room, made.permanent) == (number, False)
    assert bridge.exists(number)
    listed = {room.room: room for room in bridge.list()}[number]
    assert (listed.description, listed.sampling_rate, listed.pin_required) == ("first", 24000, True)
    assert (listed.record, listed.muted, listed.spatial_audio, listed.num_participants) == (False, False, False, 0)
    bridge.edit(number, secret="s", new_description="second", new_pin="", new_secret="t")
    listed = {room.room: room for room in bridge.list()}[number]
    assert (listed.description, listed.pin_required) == ("second", False)
    bridge.edit(number, secret="t", new_is_private=True)
    assert number not in {room.room for room in bridge.list()}
    with pytest.raises(PluginError) as refused:
        bridge.destroy(number, secret="s")
    assert code_of(refused) == (489, "UNAUTHORIZED")
    bridge.destroy(number, secret="t")
    assert not bridge.exists(number)
    by_janus = bridge.create()
    bridge.destroy(by_janus.room)


def test_refusals_are_named(bridge: AudioBridge, room: int) -> None:
    with pytest.raises(PluginError, match=r"audiobridge\.join: audiobridge error 485 NO_SUCH_ROOM: ") as refused:
        bridge.join(next(_numbers))
    assert (refused.value.plugin, refused.value.code) == ("audiobridge", 485)
    with pytest.raises(PluginError) as refused:
        bridge.create(room)
    assert code_of(refused) == (486, "ROOM_EXISTS")
    with pytest.raises(PluginError) as refused:
        bridge.leave()
    assert code_of(refused) == (487, "NOT_JOINED")
    with pytest.raises(PluginError) as refused:
        bridge.join(room, quality=0)
    assert code_of(refused) == (484, "INVALID_ELEMENT")
    with pytest.raises(PluginError) as refused:
        bridge.create(sampling_rate=44100)
    assert code_of(refused) == (499, "UNKNOWN_ERROR")
    with pytest.raises(PluginError) as refused:
        bridge.mute(room, 1)
    assert code_of(refused) == (492, "NO_SUCH_USER")


def test_tokens_at_the_door(bridge: AudioBridge, room: int) -> None:
    assert bridge.allowed(room, "enable") == ()
    assert set(bridge.allowed(room, "add", allowed=["one", "two"])) == {"one", "two"}
    assert bridge.allowed(room, "remove", allowed=["one"]) == ("two",)
    with pytest.raises(PluginError) as refused:
        bridge.join(room)
    assert refused.value.code == 489
    bridge.join(room, token="two", id=7)
    bridge.leave()
    assert bridge.allowed(room, "disable") == ()
    bridge.join(room)


def test_a_life_with_media_and_what_the_others_hear_of_it(
    bridge: AudioBridge, session: Session, room: int, peer: Callable[..., Peer]
) -> None:
    other = session.attach(AudioBridge)
    other.join(room, display="other")
    heard = Heard(other)
    with peer("talker", clip="speech") as talker:
        joined = bridge.join(room, jsep=talker.offer(), display="talker", muted=False, volume=90)
        assert [each.display for each in joined.participants] == ["other"]
        assert joined.rtp is None
        arrived = heard.wait(events.ParticipantJoined)
        assert [(each.id, each.setup) for each in arrived.participants] == [(joined.id, False)]
        talker.accept(joined.jsep or {})
        up = heard.wait(events.ParticipantsChanged)
        assert [(each.id, each.setup) for each in up.participants] == [(joined.id, True)]
        assert heard.wait(events.Talking) == events.Talking(room, joined.id)
        assert heard.wait(events.StoppedTalking) == events.StoppedTalking(room, joined.id)

        assert bridge.configure(muted=True, display="quiet").jsep is None
        changed = heard.wait(events.ParticipantsChanged).participants[0]
        assert (changed.muted, changed.display) == (True, "quiet")
        bridge.configure(muted=False)
        assert not heard.wait(events.ParticipantsChanged).participants[0].muted
        other.mute(room, joined.id)
        assert heard.wait(events.ParticipantsChanged).participants[0].muted
        other.unmute(room, joined.id)
        assert not heard.wait(events.ParticipantsChanged).participants[0].muted
        other.mute_room(room)
        assert heard.wait(events.RoomMuted) == events.RoomMuted(room, True)
        other.unmute_room(room)
        assert heard.wait(events.RoomMuted) == events.RoomMuted(room, False)
        bridge.resetdecoder()

        second = bridge.create(next(_numbers)).room
        moved = bridge.changeroom(second, display="moved")
        assert (moved.room, moved.participants) == (second, ())
        assert moved.id != joined.id
        assert heard.wait(events.Leaving) == events.Leaving(room, joined.id)
        bridge.leave()
        # the PeerConnection is still up: no second offer
        again = bridge.join(room, display="again")
        assert again.jsep is None
        until(lambda: any(each.setup for each in other.listparticipants(room) if each.id == again.id))
        bridge.hangup()
        until(lambda: bridge.hung_up == "Janus API")
        assert heard.wait(events.Leaving) == events.Leaving(room, again.id)
        bridge.destroy(second)
    other.leave()
    assert bridge.listparticipants(room) == ()


def test_janus_may_offer_instead(bridge: AudioBridge, room: int, peer: Callable[..., Peer]) -> None:
    with peer("answerer") as answerer:
        joined = bridge.join(room, generate_offer=True)
        assert joined.jsep is not None
        assert joined.jsep["type"] == "offer"
        bridge.configure(jsep=answerer.answer(joined.jsep))
        answerer.connected()
        assert bridge.webrtc_up.wait(5)
        bridge.plugin_hangup()
        until(lambda: bridge.hung_up == "Close PC", what=bridge.hung_up)


def test_kicks_end_the_membership_a_moment_later(
    bridge: AudioBridge, session: Session, room: int, peer: Callable[..., Peer]
) -> None:
    victim, witness = session.attach(AudioBridge), session.attach(AudioBridge)
    at_victim, at_witness = Heard(victim), Heard(witness)
    with peer("victim") as first, peer("witness") as second:
        kicked = victim.join(room, display="victim", jsep=first.offer())
        stays = witness.join(room, display="witness", jsep=second.offer())
        first.accept(kicked.jsep or {})
        second.accept(stays.jsep or {})
        bridge.kick(room, kicked.id)
        assert at_victim.wait(events.Kicked) == at_witness.wait(events.Kicked) == events.Kicked(room, kicked.id)
        until(lambda: victim.hung_up == "Close PC")
        until(lambda: in_room(bridge, room) == ["witness"])
        bridge.kick_all(room)
        assert at_witness.wait(events.KickedAll) == events.KickedAll(room, stays.id)
        until(lambda: witness.hung_up == "Close PC")
        until(lambda: in_room(bridge, room) == [])


def test_those_in_a_destroyed_room_are_told(bridge: AudioBridge, session: Session, room: int) -> None:
    member = session.attach(AudioBridge)
    member.join(room)
    heard = Heard(member)
    bridge.destroy(room)
    assert heard.wait(events.Destroyed) == events.Destroyed(room)


def rtp(number: int, *, payload_type: int, level: int) -> bytes:
    """A packet with an Opus frame of 20 ms (SILK, wideband, mono: RFC 6716 section 3.1) and its level (RFC 6464)."""
    header = struct.pack("!BBHII", 0x90, payload_type, number, number * 960, 4242)
    return header + struct.pack("!HHBBH", 0xBEDE, 1, 0x10, 0x80 | level, 0) + b"\x48" + bytes(20)


@pytest.fixture
def listener(janus: Lab) -> Iterator[gevent.socket.socket]:
    """A UDP socket that the Janus of the lab can reach."""
    with gevent.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((str(janus.network.host_address), 0))
        udp.settimeout(5)
        yield udp


def test_plain_rtp_participants_are_heard_and_hear(
    bridge: AudioBridge, session: Session, janus: Lab, room: int, listener: gevent.socket.socket
) -> None:
    ip, port = listener.getsockname()
    witness = session.attach(AudioBridge)
    witness.join(room)
    heard = Heard(witness)
    rtp_of_ours = PlainRtp(ip, port, payload_type=111, audiolevel_ext=1, fec=True)
    joined = bridge.join(room, display="plain", rtp=rtp_of_ours)
    assert joined.jsep is None
    assert joined.rtp is not None
    assert (joined.rtp.ip, joined.rtp.payload_type) == (janus.address, 111)
    for number in range(10):
        packet = rtp(number, payload_type=111, level=10)
        listener.sendto(packet, (joined.rtp.ip, joined.rtp.port))
        gevent.sleep(0.02)
    mix = listener.recv(2048)
    assert mix[1] & 0x7F == 111
    assert [each.setup for each in heard.wait(events.ParticipantsChanged).participants] == [True]
    bridge.leave()


def test_plain_rtp_is_refused_where_the_room_does_not_allow_it(bridge: AudioBridge) -> None:
    number = bridge.create(next(_numbers)).room
    with pytest.raises(PluginError) as refused:
        bridge.join(number, rtp=PlainRtp("127.0.0.1", 5004))
    assert code_of(refused) == (489, "UNAUTHORIZED")
    bridge.destroy(number)


def test_forwarders_send_the_mix(bridge: AudioBridge, room: int, listener: gevent.socket.socket) -> None:
    ip, port = listener.getsockname()
    forwarding = bridge.rtp_forward(room, ip, port, ptype=99, ssrc=77, always_on=True)
    assert (forwarding.host, forwarding.port, forwarding.group) == (ip, port, None)
    (forwarder,) = bridge.listforwarders(room)
    assert forwarder.stream_id == forwarding.stream_id
    assert (forwarder.ip, forwarder.port, forwarder.ssrc, forwarder.ptype) == (ip, port, 77, 99)
    assert (forwarder.codec, forwarder.srtp, forwarder.always_on) == ("opus", False, True)
    packet = listener.recv(2048)
    assert (packet[1] & 0x7F, int.from_bytes(packet[8:12])) == (99, 77)
    bridge.stop_rtp_forward(room, forwarding.stream_id)
    assert bridge.listforwarders(room) == ()


def test_groups_are_for_forwarders(bridge: AudioBridge, listener: gevent.socket.socket) -> None:
    ip, port = listener.getsockname()
    number = bridge.create(next(_numbers), groups=["stage", "hall"]).room
    forwarding = bridge.rtp_forward(number, ip, port, group="stage")
    assert (forwarding.group, bridge.listforwarders(number)[0].group) == ("stage", "stage")
    with pytest.raises(PluginError) as refused:
        bridge.join(number, group="gallery")
    assert code_of(refused) == (494, "NO_SUCH_GROUP")
    bridge.join(number, group="hall")
    bridge.configure(group="stage")
    bridge.destroy(number)


def test_the_mix_and_the_participants_are_recorded(
    bridge: AudioBridge, janus: Lab, room: int, peer: Callable[..., Peer]
) -> None:
    folder = janus.recordings
    with peer("recorded") as recorded:
        recorded.accept(bridge.join(room, jsep=recorded.offer(), record=True, filename=f"own-{room}").jsep or {})
        bridge.enable_recording(room, True, record_dir=str(folder), record_file=f"mix-{room}.wav")
        until(lambda: {each.room: each for each in bridge.list()}[room].record)
        bridge.configure(record=False)
        bridge.enable_mjrs(room, True, mjrs_dir=str(folder))
        gevent.sleep(0.3)
        bridge.enable_mjrs(room, False)
        bridge.enable_recording(room, False)
        mix = folder / f"mix-{room}.wav"
        until(mix.exists)
        until(lambda: list(folder.glob(f"own-{room}*.mjr")))
        assert mix.read_bytes()[:4] == b"RIFF"
        bridge.hangup()
    with pytest.raises(PluginError) as refused:
        bridge.enable_recording(next(_numbers), True)
    assert refused.value.code == 485


@pytest.fixture(scope="session")
def announcement(janus: Lab) -> Path:
    """A second of a tone as Opus in Ogg, where Janus can read it."""
    path = janus.recordings / "announcement.opus"
    with av.open(str(path), "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48000, layout="mono")
        tone = np.sin(np.arange(48000) * 2 * np.pi * 440 / 48000) * 8000
        frame = av.AudioFrame.from_ndarray(tone.astype(np.int16).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = 48000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


def test_announcements(bridge: AudioBridge, session: Session, room: int, announcement: Path) -> None:
    witness = session.attach(AudioBridge)
    witness.join(room)
    heard = Heard(witness)
    playing = bridge.play_file(room, str(announcement), file_id="gong", loop=True)
    assert (playing.room, playing.file_id) == (room, "gong")
    assert heard.wait(events.AnnouncementStarted) == events.AnnouncementStarted(room, "gong")
    assert bridge.is_playing(room, "gong")
    bridge.stop_file(room, "gong")
    assert heard.wait(events.AnnouncementStopped) == events.AnnouncementStopped(room, "gong")
    assert not bridge.is_playing(room, "gong")
    with pytest.raises(PluginError) as refused:
        bridge.play_file(room, "/nowhere.opus")
    assert refused.value.code == 499


@pytest.fixture
def old(session: Session) -> bool:
    """Whether this Janus is 1.1.2; else it is 1.4.1."""
    assert session.connection.version() in ((1, 1, 2), (1, 4, 1))
    return session.connection.version() == (1, 1, 2)


def test_what_this_version_would_ignore_in_silence_is_refused(bridge: AudioBridge, room: int, old: bool) -> None:
    if old:
        with pytest.raises(UsageError, match=r"audiobridge\.join: Janus 1\.1\.2 ignores 'suspended' without a word"):
            bridge.join(room, suspended=True)
        with pytest.raises(UsageError, match="pause_events"):
            bridge.changeroom(room, pause_events=True)
        with pytest.raises(UsageError, match="denoise"):
            bridge.create(denoise=True)
        bridge.join(room, prebuffer=10)
        bridge.configure(prebuffer=5)
        bridge.destroy(bridge.create(default_prebuffering=10).room)
    else:
        with pytest.raises(UsageError, match=r"audiobridge\.join: Janus 1\.4\.1 ignores 'prebuffer' without a word"):
            bridge.join(room, prebuffer=10)
        with pytest.raises(UsageError, match="prebuffer"):
            bridge.configure(prebuffer=5)
        with pytest.raises(UsageError, match="default_prebuffering"):
            bridge.create(default_prebuffering=10)
        bridge.join(room, denoise=True)
        bridge.configure(denoise=False)
        bridge.destroy(bridge.create(denoise=True).room)


def test_suspending(bridge: AudioBridge, session: Session, room: int, old: bool) -> None:
    other = session.attach(AudioBridge)
    joined = other.join(room, display="other")
    if old:
        for verb in (bridge.suspend, bridge.resume):
            with pytest.raises(PluginError) as refused:
                verb(room, joined.id)
            assert code_of(refused) == (482, "INVALID_REQUEST")
        return
    heard = Heard(other)
    bridge.suspend(room, joined.id, pause_events=True, stop_record=True)
    assert heard.wait(events.Suspended) == events.Suspended(room, joined.id)
    assert bridge.listparticipants(room)[0].suspended
    witness = session.attach(AudioBridge)
    witness.join(room, display="witness", suspended=True, pause_events=True)
    late = session.attach(AudioBridge)
    assert late.join(room).participants == (), "whose events are paused is left out"
    assert {each.display: each.suspended for each in late.listparticipants(room)} == {
        "other": True,
        "witness": True,
        None: False,
    }
    late.leave()
    bridge.resume(room, joined.id)
    # what happened meanwhile
    resumed = heard.wait(events.Resumed)
    assert (resumed.room, resumed.resumed) == (room, joined.id)
    assert [(each.display, each.suspended) for each in resumed.participants] == [("witness", True)]
    assert not any(isinstance(event, events.ParticipantJoined) for event in heard.events)


def test_all_announcements_at_once(
    bridge: AudioBridge, session: Session, room: int, announcement: Path, old: bool
) -> None:
    bridge.play_file(room, str(announcement), file_id="one", loop=True)
    if old:
        for verb in (bridge.listannouncements, bridge.stop_all_files):
            with pytest.raises(PluginError) as refused:
                verb(room)
            assert code_of(refused) == (482, "INVALID_REQUEST")
        return
    bridge.play_file(room, str(announcement), file_id="two")
    listed = {each.file_id: each for each in bridge.listannouncements(room)}
    assert set(listed) == {"one", "two"}
    assert (listed["one"].filename, listed["one"].loop, listed["two"].loop) == (str(announcement), True, False)
    until(lambda: all(each.playing for each in bridge.listannouncements(room)))
    assert set(bridge.stop_all_files(room)) == {"one", "two"}
    assert bridge.listannouncements(room) == ()


def test_neither_version_of_the_lab_has_rnnoise(bridge: AudioBridge, room: int) -> None:
    for verb in (bridge.denoise_enable, bridge.denoise_disable):
        with pytest.raises(PluginError) as refused:
            verb(room, 1)
        assert code_of(refused) == (482, "INVALID_REQUEST")


def test_where_plain_rtp_is_to_go_may_be_told_later(
    bridge: AudioBridge, room: int, listener: gevent.socket.socket, old: bool
) -> None:
    joined = bridge.join(room, generate_offer=True, rtp=PlainRtp())
    assert joined.rtp is not None
    ip, port = listener.getsockname()
    if old:
        with pytest.raises(UsageError, match=r"Janus 1\.1\.2 ignores 'rtp' without a word"):
            bridge.configure(rtp=PlainRtp(ip, port))
        return
    bridge.configure(rtp=PlainRtp(ip, port))
    for number in range(5):
        listener.sendto(rtp(number, payload_type=100, level=10), (joined.rtp.ip, joined.rtp.port))
        gevent.sleep(0.02)
    assert listener.recv(2048)
