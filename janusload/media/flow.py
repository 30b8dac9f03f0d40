"""A flow: the RTP of one peer, both ways, as the pump runs it, and what it counts."""

from __future__ import annotations

import functools
import itertools
import random
import socket
import struct
import time
from collections.abc import Callable

import pylibsrtp

from janusload.media import rtcp, srtp
from janusload.media.clips import Clip
from janusload.media.consent import Consent
from janusload.media.ice import Address
from janusload.media.impairment import Fates
from janusload.media.quality import Reception

PERIOD_NS = 20_000_000

#: a packet is late when it left more than this after it was due
LATE_NS = 5_000_000

Tap = Callable[[bytes, int], None]

#: datagrams of one peer that may wait to be handed back to the loop
HANDED_BACK_LIMIT = 32


class Flow:
    """The RTP of one peer, both ways, and its counters.

    Attributes:
        tx, rx: libsrtp's sessions; None for plain RTP, which has no RTCP either.
        consent: to send, from whoever has agreed to it by ICE; None for plain RTP.
        on_lost: called on the pump's thread when consent is over.
        fates: what becomes of each packet (see `impairment`); None if all leave at once.
        tap: is given each RTP packet that came, decrypted, and when; must not block. None if nobody listens.
        began_ns: when the clip's first packet was due last, monotonic; 0 before.
        sending: whether packets leave; may be set by anybody.
        sent, sent_bytes, octets: RTP datagrams, their bytes, and payload bytes of them.
        sent_reported: what `sent` was at the last sender report.
        used: sequence numbers used: sent, withheld to play a loss, held back for too long, or refused by the kernel.
        late: packets sent more than `LATE_NS` after they were due, or not at all for that reason.
        received_bytes: of authenticated RTP datagrams.
        forged, replayed, strange, overflowed: datagrams dropped because they did not authenticate, had come before,
            were nothing that RFC 7983 knows, or came faster than the loop takes them.
        reported: what the far end said last of what it had of us; None before.
        send_errors, receive_errors: what the kernel refused, as with ECONNREFUSED or full buffers.
    """

    __slots__ = (
        "began_ns",
        "cname",
        "consent",
        "every",
        "fates",
        "forged",
        "handed_back",
        "has_talkspurts",
        "incoming",
        "index",
        "keep",
        "late",
        "level_id",
        "octets",
        "on_lost",
        "overflowed",
        "packets",
        "payload_type",
        "receive",
        "receive_errors",
        "received_bytes",
        "reception",
        "remote_lost_share",
        "replayed",
        "reported",
        "rtt_ms",
        "rx",
        "second",
        "send",
        "send_errors",
        "sending",
        "sent",
        "sent_bytes",
        "sent_reported",
        "sequence",
        "slot",
        "sock",
        "ssrc",
        "step",
        "strange",
        "tap",
        "timestamp",
        "tx",
        "used",
        "wait",
    )

    def __init__(
        self,
        *,
        sock: socket.socket,
        tx: pylibsrtp.Session | None,
        rx: pylibsrtp.Session | None,
        clip: Clip,
        ssrc: int,
        cname: str,
        payload_type: int,
        audio_level_id: int | None,
        incoming: Callable[[bytes, Address], None],
        fates: Fates | None = None,
        tap: Tap | None = None,
        consent: Consent | None = None,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.sock = sock
        self.send = sock.send
        self.receive = sock.recvmsg_into
        # the raw pointers below live as long as these do
        self.keep = (tx, rx)
        self.tx = None if tx is None else srtp.pointer(tx)
        self.rx = None if rx is None else srtp.pointer(rx)
        self.ssrc = ssrc
        self.cname = cname
        self.payload_type = payload_type
        self.level_id = audio_level_id
        self.incoming = incoming
        self.consent = consent
        self.on_lost = on_lost
        self.handed_back = 0
        self.slot = 0
        self.sending = True
        self.reception = Reception(clip.clock_rate)
        # random beginnings: RFC 3550 section 5.1
        self.sequence = random.getrandbits(15)
        self.timestamp = random.getrandbits(32)
        self.packets = laid_out(clip, audio_level_id)
        self.fates = None if fates is None else iter(fates)
        self.tap = tap
        self.began_ns = 0
        # video begins with what it is decoded from
        self.index = 0 if clip.frames else random.randrange(len(clip.packets))
        self.step = clip.ticks_per_packet
        self.every = clip.ptime_ms * 1_000_000 // PERIOD_NS
        self.wait = 1
        self.has_talkspurts = not clip.frames
        self.second = payload_type
        self.begin_talkspurt()
        self.sent_reported = 0
        self.sent = self.sent_bytes = self.octets = self.used = self.late = self.received_bytes = 0
        self.forged = self.replayed = self.strange = self.overflowed = self.send_errors = self.receive_errors = 0
        self.rtt_ms: float | None = None
        self.remote_lost_share: float | None = None
        self.reported: rtcp.ReportBlock | None = None

    @staticmethod
    def plain_with(*, fates: Fates | None = None, tap: Tap | None = None, **_: object) -> bool:
        """Whether the C tick can run a flow of these arguments: nothing is held back, and nobody listens."""
        return (fates is None or not fates.hold) and tap is None

    @property
    def dropped(self) -> int:
        """Datagrams of every kind that came and were thrown away."""
        return self.forged + self.replayed + self.strange + self.overflowed

    def begin_talkspurt(self) -> None:
        """Mark the next packet as the first after a pause (RFC 3551 section 4.1), where markers mean that."""
        self.second = 0x80 * self.has_talkspurts | self.payload_type

    def refuse(self, failure: int) -> None:
        """Count a datagram that libsrtp did not take, by its error."""
        if failure in srtp.REPLAYED:
            self.replayed += 1
        else:
            self.forged += 1

    def depart(self, datagram: bytes | memoryview, octets: int, due_ns: int) -> int | None:
        """Send RTP that was due at `due_ns`, monotonic; how late it left, None if the kernel refused it.

        Args:
            octets: of payload.
        """
        try:
            self.sent_bytes += self.send(datagram)
        except OSError:
            self.send_errors += 1
            return None
        self.sent += 1
        self.octets += octets
        late_ns = time.monotonic_ns() - due_ns
        if late_ns > LATE_NS:
            self.late += 1
        return late_ns

    def transmit(self, datagram: bytes | memoryview) -> None:
        """Send what is no RTP."""
        try:
            self.send(datagram)
        except OSError:
            self.send_errors += 1

    def hand_back(self, datagram: bytes, address: Address) -> None:
        """What is no RTP or RTCP (RFC 7983 section 7): consent is dealt with here, the rest is aioice's and OpenSSL's.

        What waits for them is bounded, as a flood must not fill memory. Plain RTP has nobody who wants it.
        """
        if self.rx is None:
            self.strange += 1
            return
        if self.consent is not None and (answer := self.consent.take(datagram)) is not None:
            if answer:
                self.transmit(answer)
            return
        if self.handed_back >= HANDED_BACK_LIMIT:
            self.overflowed += 1
            return
        self.handed_back += 1
        self.incoming(datagram, address)

    def take_rtcp(self, datagram: bytes, arrived_ns: int) -> None:
        """Take what an authenticated RTCP datagram reports."""
        try:
            reports = rtcp.read(datagram)
        except ValueError:
            self.strange += 1
            return
        if reports.sender_ssrc is not None:
            self.reception.sender_report(reports.sender_ssrc, reports.sender_ntp, arrived_ns)
        for block in reports.blocks:
            if block.ssrc != self.ssrc:
                continue
            self.reported = block
            round_trip = rtcp.round_trip_ms(block, arrived_ns)
            if round_trip is not None:
                self.rtt_ms = round_trip
            if self.used:
                self.remote_lost_share = min(1.0, max(0, block.cumulative_lost) / self.used)


#: of a packet, as it is sent: the bytes of its payload, none if it is left out; the header's first two bytes, without
#: payload type; what comes behind the header; whether the next packet has the same timestamp
LaidOut = tuple[int, int, bytes, bool]

# RFC 3550 section 5.1, RFC 8285 section 4.2
_VERSION, _EXTENDED, _MARKER = 0x8000, 0x1000, 0x80
_EXTENSION_OF_ONE_WORD = 0xBEDE0001


@functools.lru_cache(maxsize=64)
def laid_out(clip: Clip, level_id: int | None) -> tuple[LaidOut, ...]:
    """A clip's packets as they are sent, with their audio level as header extension `level_id`, if one was agreed on.

    The extension has a one-byte header, V bit and level as in RFC 6464 section 3. The flows that play a clip share it:
    400 packets take 60 kB.
    """
    first, extensions = _VERSION, [b""] * len(clip.packets)
    if level_id is not None:
        # length field 0 means one byte of data; the V bit says that there is voice
        words = (level_id << 28 | ((level < 127) << 7 | level) << 16 for level in clip.levels)
        first, extensions = first | _EXTENDED, [struct.pack("!II", _EXTENSION_OF_ONE_WORD, each) for each in words]
    last = set(itertools.accumulate(clip.frames))
    return tuple(
        (
            len(payload),
            first | _MARKER * (at in last),
            extension + payload,
            bool(last) and at not in last,
        )
        for at, (payload, extension) in enumerate(zip(clip.packets, extensions, strict=True), 1)
    )
