from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusload.errors import MediaError
from janusload.media import messages
from janusload.media.messages import Decoder, encode

objects = st.dictionaries(st.text(), st.integers(-(2**63), 2**64 - 1) | st.text() | st.none() | st.lists(st.booleans()))


@given(st.lists(objects, max_size=5), st.integers(1, 40))
def test_messages_come_out_as_they_went_in_however_they_are_cut(sent: list[dict[str, Any]], size: int) -> None:
    stream = b"".join(map(encode, sent))
    decoder = Decoder()
    got = [each for start in range(0, len(stream), size) for each in decoder.feed(stream[start : start + size])]
    assert got == sent


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(struct.pack("!I", messages.LIMIT + 1), id="too long"),
        pytest.param(struct.pack("!I", 3) + b"\x93\xc1\x01", id="no MessagePack"),
        pytest.param(struct.pack("!I", 2) + b"\xa5h", id="cut short"),
        pytest.param(struct.pack("!I", 1) + b"\x90", id="no map"),
    ],
)
def test_what_is_no_frame_is_refused(stream: bytes) -> None:
    with pytest.raises(MediaError) as caught:
        list(Decoder().feed(stream))
    assert caught.value.phase == "worker"


def test_a_message_longer_than_a_frame_is_refused_before_it_is_sent() -> None:
    with pytest.raises(MediaError) as caught:
        encode({"sdp": "x" * messages.LIMIT})
    assert caught.value.phase == "worker"


def test_a_row_becomes_a_record() -> None:
    row = [7, 5, "connected", 1, 2, 3, 4, 5, 6, 0.5, 0.25, 0.125, 12.5, 8.0, 4.5, 80.0, 4.25, 7, 10, True, 4.0, 9]
    assert len(row) == len(messages.MEDIA_FIELDS)
    record, dropped = messages.media_record(row, peer="talker-3", worker=1)
    assert (record.t_ns, record.peer, record.worker, record.state) == (5, "talker-3", 1, "connected")
    assert (record.sent, record.received, record.sent_bytes, record.received_bytes) == (1, 2, 3, 4)
    assert (record.lost, record.late) == (5, 6)
    assert (record.jitter_ms, record.rtt_ms, record.remote_lost_share, record.setup_ms) == (0.5, 0.25, 0.125, 12.5)
    assert (record.ice_ms, record.dtls_ms, record.first_packet_ms, record.mos) == (8.0, 4.5, 80.0, 4.25)
    assert (record.ssrc, record.used, record.receives, record.mos_sent, dropped) == (7, 10, True, 4.0, 9)
