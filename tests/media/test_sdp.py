from __future__ import annotations

import contextlib

import pytest
from aiortc import RTCDtlsFingerprint, RTCIceCandidate, RTCIceParameters
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from janusload.errors import MediaError
from janusload.media import sdp

#: what Janus 1.1.2 answers to an EchoTest offer
ANSWER = """v=0
o=- 4037905811640097815 2 IN IP4 198.18.108.206
s=-
t=0 0
a=group:BUNDLE 0
a=ice-options:trickle
a=fingerprint:sha-256 75:66:BA:E3:89:DE:32:BD:E1:02:BB:17:30:D1:D1:3E:12:D5:17:47:B0:43:E6:C4:F7:8C:44:3D:B4:55:25:61
a=extmap-allow-mixed
a=msid-semantic: WMS *
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 198.18.108.206
a=sendrecv
a=mid:0
a=rtcp-mux
a=ice-ufrag:9rm3
a=ice-pwd:B+k8oPt1ptShv+GqvbNdZB
a=ice-options:trickle
a=setup:active
a=rtpmap:111 opus/48000/2
a=fmtp:111 useinbandfec=1
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=msid:janus janus0
a=ssrc:2076615068 cname:janus
a=candidate:1 1 udp 2015363327 198.18.108.206 23156 typ host
a=end-of-candidates
""".replace("\n", "\r\n")

FINGERPRINT = RTCDtlsFingerprint("sha-256", "AA:BB")
CANDIDATE = RTCIceCandidate(1, "f", "198.18.0.1", 5000, 1, "udp", "host")
ICE = RTCIceParameters("user", "p" * 22)


def offer() -> str:
    return sdp.describe(kind="offer", ice=ICE, candidates=[CANDIDATE], fingerprint=FINGERPRINT, ssrc=7, cname="c")


def answered(text: str) -> str:
    """Our answer to an offer."""
    return sdp.describe(
        kind="answer",
        ice=ICE,
        candidates=[CANDIDATE],
        fingerprint=FINGERPRINT,
        ssrc=7,
        cname="c",
        answering=sdp.read(text, offering=True),
    )


def test_the_answer_of_janus() -> None:
    remote = sdp.read(ANSWER, offering=False)
    assert (remote.codec, remote.payload_type, remote.clock_rate) == ("opus", 111, 48_000)
    assert (remote.audio_level_id, remote.sends, remote.receives, remote.mid) == (1, True, True, "0")
    assert (remote.ice.usernameFragment, remote.ice.password) == ("9rm3", "B+k8oPt1ptShv+GqvbNdZB")
    assert remote.dtls.role == "client"
    assert [each.algorithm for each in remote.dtls.fingerprints] == ["sha-256"]
    assert [(each.ip, each.port) for each in sdp.udp_candidates(remote)] == [("198.18.108.206", 23156)]


def test_our_offer_has_what_janus_needs_and_one_fingerprint() -> None:
    text = offer()
    for line in (
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1",
        "a=rtcp-mux",
        "a=setup:actpass",
        "a=group:BUNDLE 0",
        "a=mid:0",
        "a=sendrecv",
        f"a=extmap:1 {sdp.AUDIO_LEVEL}",
        "a=end-of-candidates",
    ):
        assert line in text.split("\r\n")
    assert text.count("a=fingerprint:") == 1
    assert text.count("a=candidate:") == 1
    assert str(SessionDescription.parse(text)) == text


@pytest.mark.parametrize(
    ("theirs", "ours", "sends", "receives"),
    [
        ("sendrecv", "sendrecv", True, True),
        ("sendonly", "recvonly", False, True),
        ("recvonly", "sendonly", True, False),
        ("inactive", "inactive", False, False),
    ],
)
def test_the_answer_mirrors_the_offer(theirs: str, ours: str, sends: bool, receives: bool) -> None:
    given = offer().replace("a=sendrecv", f"a={theirs}").replace("111", "96").replace("mid:0", "mid:audio")
    given = given.replace("a=extmap:1 ", "a=extmap:5 ")
    remote = sdp.read(given, offering=True)
    assert (remote.sends, remote.receives) == (sends, receives)
    lines = answered(given).split("\r\n")
    assert f"a={ours}" in lines
    assert {"a=setup:active", "a=rtpmap:96 opus/48000/2", "a=mid:audio", "a=group:BUNDLE audio"} <= set(lines)
    assert f"a=extmap:5 {sdp.AUDIO_LEVEL}" in lines


def test_no_audio_level_where_it_was_not_offered() -> None:
    remote = sdp.read(ANSWER.replace(sdp.AUDIO_LEVEL, "urn:other"), offering=False)
    assert remote.audio_level_id is None


def test_direction_may_stand_at_session_level() -> None:
    text = ANSWER.replace("a=sendrecv\r\n", "").replace("t=0 0\r\n", "t=0 0\r\na=recvonly\r\n")
    remote = sdp.read(text, offering=False)
    assert (remote.sends, remote.receives) == (True, False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda text: "", "no audio m-line", id="empty"),
        pytest.param(lambda text: text.replace("m=audio 9", "m=audio 0"), "no audio m-line", id="rejected"),
        pytest.param(lambda text: text.replace("m=audio", "m=video"), "no audio m-line", id="video only"),
        pytest.param(lambda text: text.replace("opus/48000/2", "PCMU/8000"), "not have our codec", id="other codec"),
        pytest.param(lambda text: text.replace("a=fingerprint:", "a=x:"), "no DTLS fingerprint", id="no fingerprint"),
        pytest.param(lambda text: text.replace("sha-256", "md5"), "hash that we know", id="old hash"),
        pytest.param(lambda text: text.replace("a=setup:active\r\n", ""), "set-up role", id="no role"),
        pytest.param(lambda text: text.replace("setup:active", "setup:actpass"), "actpass", id="role left open"),
        pytest.param(lambda text: text.replace("a=ice-pwd", "a=x"), "no ICE credentials", id="no password"),
        pytest.param(lambda text: text.replace("a=rtcp-mux\r\n", ""), "multiplex", id="no mux"),
        pytest.param(lambda text: text.replace("setup:active", "setup:maybe"), "cannot be read", id="bad role"),
        pytest.param(lambda text: text.replace("m=audio 9", "m=audio x"), "cannot be read", id="bad port"),
        pytest.param(lambda text: text + "x" * sdp.LIMIT, "too long", id="too long"),
    ],
)
def test_an_answer_that_we_cannot_use_is_refused(change: object, words: str) -> None:
    assert callable(change)
    with pytest.raises(MediaError, match=words) as caught:
        sdp.read(change(ANSWER), offering=False)
    assert caught.value.phase == "sdp"


@given(st.lists(st.sampled_from(ANSWER.split("\r\n")) | st.text(max_size=30), max_size=30))
def test_nothing_but_a_media_error_comes_of_any_text(lines: list[str]) -> None:
    with contextlib.suppress(MediaError):
        sdp.udp_candidates(sdp.read("\r\n".join(lines), offering=False))


def test_a_candidate_by_name_is_refused_and_tcp_is_passed_over() -> None:
    text = ANSWER.replace(
        "a=end-of-candidates", "a=candidate:2 1 tcp 1 198.18.0.9 9 typ host tcptype active\r\na=end-of-candidates"
    )
    assert len(sdp.udp_candidates(sdp.read(text, offering=False))) == 1
    named = sdp.read(ANSWER.replace("198.18.108.206 23156", "abc.local 23156"), offering=False)
    with pytest.raises(MediaError, match="not an IP address") as caught:
        sdp.udp_candidates(named)
    assert caught.value.phase == "ice"


@pytest.mark.parametrize("payload_type", [128, 255])
def test_a_payload_type_that_does_not_fit_into_a_header_is_refused(payload_type: int) -> None:
    text = ANSWER.replace("SAVPF 111", f"SAVPF {payload_type}").replace(":111 ", f":{payload_type} ")
    with pytest.raises(MediaError, match=f"payload type of {payload_type}") as caught:
        sdp.read(text, offering=False)
    assert caught.value.phase == "sdp"


@pytest.mark.parametrize(("theirs", "ours"), [("actpass", "active"), ("active", "passive"), ("passive", "active")])
def test_our_answer_takes_the_role_that_is_left(theirs: str, ours: str) -> None:
    assert f"a=setup:{ours}" in answered(ANSWER.replace("a=setup:active", f"a=setup:{theirs}"))


def test_an_answer_has_as_many_m_lines_as_the_offer_in_its_order() -> None:
    """RFC 3264 section 6: what is not wanted gets port 0."""
    session, audio = ANSWER.split("m=audio", 1)
    video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n"
    data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:d\r\na=sctp-port:5000\r\n"
    text = answered(f"{session}{video}m=audio{audio}{data}")
    lines = [line for line in text.splitlines() if line.startswith("m=")]
    assert lines == [
        "m=video 0 UDP/TLS/RTP/SAVPF 96",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
    ]
    assert "a=group:BUNDLE 0\r\n" in text
    read = SessionDescription.parse(text)
    assert [media.rtp.muxId for media in read.media] == ["v", "0", "d"]
