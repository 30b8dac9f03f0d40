"""The session descriptions that a peer writes and reads: one audio m-line, bundled, RTCP multiplexed.

Written with one fingerprint only: of aiortc's three Janus takes the sha-256 and logs a warning for each other.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import secrets
from dataclasses import dataclass
from typing import Any

from aiortc import RTCDtlsFingerprint, RTCDtlsParameters, RTCIceCandidate, RTCIceParameters
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpHeaderExtensionParameters
from aiortc.sdp import GroupDescription, MediaDescription, SessionDescription, SsrcDescription

from janusload.errors import MediaError

#: longest SDP that is looked at; Janus's have 1 to 3 kB
LIMIT = 64 * 1024

AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
_AUDIO_LEVEL_ID = 1
#: seven bits, RFC 3550 section 5.1
LARGEST_PAYLOAD_TYPE = 127
#: what we can send, and the payload type that we offer for it (G.711's are static, RFC 3551 section 6)
CODECS = {
    # without useinbandfec Janus neither decodes FEC nor sends it
    "opus": RTCRtpCodecParameters(
        mimeType="audio/opus",
        clockRate=48_000,
        channels=2,
        payloadType=111,
        parameters={"minptime": 10, "useinbandfec": 1},
    ),
    "pcma": RTCRtpCodecParameters(mimeType="audio/PCMA", clockRate=8000, channels=1, payloadType=8),
    "pcmu": RTCRtpCodecParameters(mimeType="audio/PCMU", clockRate=8000, channels=1, payloadType=0),
}

#: direction of the far end -> (we send, we receive)
_SEEN_FROM_HERE = {
    "sendrecv": (True, True),
    "recvonly": (True, False),
    "sendonly": (False, True),
    "inactive": (False, False),
}


@dataclass(frozen=True, slots=True)
class Remote:
    """What the far end's description says that matters here.

    Attributes:
        codec, payload_type: what to send and to expect; `codec` as in `opus`.
        audio_level_id: number of the audio-level header extension (RFC 6464), None if it was not taken.
        sends, receives: whether we are to send, and to receive.
        mid: of the m-line.
        refused: the other m-lines of an offer, by their place, as (kind, profile, formats, mid):
            we answer them with port 0.
    """

    ice: RTCIceParameters
    candidates: list[RTCIceCandidate]
    dtls: RTCDtlsParameters
    codec: str
    payload_type: int
    clock_rate: int
    audio_level_id: int | None
    sends: bool
    receives: bool
    mid: str
    refused: dict[int, tuple[str, str, list[Any], str]]

    @property
    def role(self) -> str:
        """What is left to us in DTLS: `server`, or `client`, which sends the ClientHello."""
        return "server" if self.dtls.role == "client" else "client"


def describe(
    *,
    kind: str,
    ice: RTCIceParameters,
    candidates: list[RTCIceCandidate],
    fingerprint: RTCDtlsFingerprint,
    ssrc: int,
    cname: str,
    codec: str = "opus",
    answering: Remote | None = None,
) -> str:
    """The SDP of an offer of one codec, or of an answer to `answering`."""
    session = SessionDescription()
    session.origin = f"- {secrets.randbits(62)} 2 IN IP4 0.0.0.0"
    payload_type = answering.payload_type if answering else CODECS[codec].payloadType
    media = MediaDescription("audio", 9, "UDP/TLS/RTP/SAVPF", [payload_type])
    media.host = "0.0.0.0"
    media.direction = "sendrecv"
    media.rtp.muxId = "0"
    level_id: int | None = _AUDIO_LEVEL_ID
    role = "auto"
    if answering:
        media.direction = next(
            name for name, seen in _SEEN_FROM_HERE.items() if seen == (answering.receives, answering.sends)
        )
        media.rtp.muxId = answering.mid
        level_id = answering.audio_level_id
        # who offers actpass waits for our ClientHello (RFC 5763 section 5)
        role = answering.role
    if level_id is not None:
        media.rtp.headerExtensions = [RTCRtpHeaderExtensionParameters(id=level_id, uri=AUDIO_LEVEL)]
    media.rtp.codecs = [dataclasses.replace(CODECS[codec], payloadType=payload_type)]
    media.msid = f"{cname} audio"
    media.ssrc = [SsrcDescription(ssrc=ssrc, cname=cname)]
    media.rtcp_port, media.rtcp_host, media.rtcp_mux = 9, "0.0.0.0", True
    media.ice = ice
    media.ice_candidates = candidates
    media.ice_candidates_complete = True
    media.dtls = RTCDtlsParameters(fingerprints=[fingerprint], role=role)
    session.group = [GroupDescription("BUNDLE", [media.rtp.muxId])]
    session.msid_semantic = [GroupDescription("WMS", ["*"])]
    session.media = [media]
    if answering:
        # in their places: an answer has as many m-lines as the offer, in its order (RFC 3264 section 6)
        for place, refused in sorted(answering.refused.items()):
            session.media.insert(place, _refused(media, *refused))
    session.type = kind
    return str(session)


def _refused(beside: MediaDescription, kind: str, profile: str, formats: list[Any], mid: str) -> MediaDescription:
    media = MediaDescription(kind, 0, profile, formats)
    media.host = "0.0.0.0"
    media.direction = "inactive"
    media.rtp.muxId = mid
    # of no use here, but Janus looks for them in the first m-line (code 465, "SDP missing mandatory information")
    media.ice, media.dtls = beside.ice, beside.dtls
    return media


def read(text: str, *, offering: bool, codec: str = "opus") -> Remote:
    """Read the far end's answer, or its offer where `offering`; `codec` is what we send.

    Raises:
        MediaError: phase `sdp`; it is none, or it has no audio m-line that we can take part in.
    """
    if not isinstance(text, str) or len(text) > LIMIT:
        raise MediaError("the far end's SDP is no text, or too long to be one", phase="sdp")
    try:
        session = SessionDescription.parse(text)
    except Exception as exc:
        # aiortc's parser leaves wrong text to whatever breaks first: assertions, missing keys, StopIteration
        raise MediaError(f"the far end's SDP cannot be read ({type(exc).__name__})", phase="sdp") from exc
    media = next((each for each in session.media if each.kind == "audio" and each.port != 0), None)
    if media is None:
        raise MediaError("the far end's SDP has no audio m-line in use", phase="sdp")
    taken = next((each for each in media.rtp.codecs if each.mimeType.lower() == f"audio/{codec}"), None)
    if taken is None:
        raise MediaError(f"the far end's SDP does not have our codec ({codec})", phase="sdp")
    if not 0 <= taken.payloadType <= LARGEST_PAYLOAD_TYPE:
        raise MediaError(f"the far end's SDP has a payload type of {taken.payloadType}", phase="sdp")
    if media.dtls is None or not media.dtls.fingerprints:
        raise MediaError("the far end's SDP has no DTLS fingerprint or set-up role", phase="sdp")
    if not any(each.algorithm.lower() in ("sha-256", "sha-384", "sha-512") for each in media.dtls.fingerprints):
        raise MediaError("the far end's SDP has no fingerprint of a hash that we know", phase="sdp")
    if not offering and media.dtls.role == "auto":
        # RFC 5763 section 5: an answer must choose
        raise MediaError("the far end's answer leaves the DTLS role open (setup:actpass)", phase="sdp")
    if not media.ice.usernameFragment or not media.ice.password:
        raise MediaError("the far end's SDP has no ICE credentials", phase="sdp")
    if not media.rtcp_mux:
        raise MediaError("the far end's SDP does not multiplex RTCP with RTP", phase="sdp")
    sends, receives = _SEEN_FROM_HERE[media.direction or session_direction(text)]
    level = next((each.id for each in media.rtp.headerExtensions if each.uri == AUDIO_LEVEL), None)
    return Remote(
        ice=media.ice,
        candidates=media.ice_candidates,
        dtls=media.dtls,
        codec=codec,
        payload_type=taken.payloadType,
        clock_rate=taken.clockRate,
        audio_level_id=level if level is not None and 1 <= level <= 14 else None,
        sends=sends,
        receives=receives,
        mid=media.rtp.muxId or "0",
        refused={
            place: (each.kind, each.profile, each.fmt, each.rtp.muxId)
            for place, each in enumerate(session.media)
            if each is not media
        },
    )


def session_direction(text: str) -> str:
    """The direction at session level, which m-lines without one inherit (RFC 8866 section 6.7)."""
    for line in text.split("\nm=", 1)[0].splitlines():
        if line.startswith("a=") and line[2:].strip() in _SEEN_FROM_HERE:
            return line[2:].strip()
    return "sendrecv"


def udp_candidates(remote: Remote) -> list[RTCIceCandidate]:
    """The candidates that one UDP socket can reach: UDP, component 1.

    Raises:
        MediaError: phase `ice`; one of them is not an IP address, so nobody can say where it leads.
    """
    usable = []
    for candidate in remote.candidates:
        if candidate.protocol.lower() != "udp" or candidate.component != 1:
            continue
        try:
            ipaddress.ip_address(candidate.ip)
        except ValueError as exc:
            raise MediaError(f"the candidate {candidate.ip!r} is not an IP address", phase="ice") from exc
        usable.append(candidate)
    return usable
