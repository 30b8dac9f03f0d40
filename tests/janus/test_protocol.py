"""Every oddity of Janus's wire, with no socket and no sleep."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from janusload.errors import (
    AnswerOverdue,
    ConnectionLost,
    CoreError,
    JanusloadError,
    PluginError,
    ProtocolViolation,
    SendBlocked,
    ServerSilent,
    TransactionTimeout,
)
from janusload.janus.events import Notification, PluginEvent
from janusload.janus.frames import CONT, TEXT, FrameReader
from janusload.janus.protocol import Fault, JanusProtocol, Transaction, created_id
from janusload.records import Outcome
from tests.janus import wire

S = 1_000_000_000


def begin(
    janus: JanusProtocol, verb: str = "create", *, at: int = 0, timeout_s: float = 2.0, sent: bool = True, **fields: Any
) -> Transaction:
    transaction = Transaction(verb, f"janus.{verb}", timeout_s, at)
    janus.begin(transaction, fields, at)
    if sent:
        janus.written(transaction, at)
    return transaction


def text(transaction: Transaction, kind: str, **fields: Any) -> str:
    return json.dumps({"janus": kind, "transaction": transaction.id, **fields})


def plugin(data: dict[str, Any]) -> dict[str, Any]:
    return {"plugindata": {"plugin": "janus.plugin.audiobridge", "data": data}}


def test_what_nobody_waits_for_any_more_ends_as_if_it_came_late() -> None:
    undone: list[Transaction] = []
    under_way, ended, careless = (
        Transaction("create", "janus.create", 2.0, 0, on_done=pytest.fail, on_late=late)
        for late in (undone.append, undone.append, None)
    )
    ended.outcome = careless.outcome = Outcome.OK
    for each in (under_way, ended, careless):
        each.disown()
    assert undone == [ended] and under_way.on_done is not None
    under_way.on_done(under_way)
    assert undone == [ended, under_way]


def test_request_carries_fields_and_secret_and_repr_of_nothing_does() -> None:
    janus = JanusProtocol(api_secret="s3cret", token="t0ken")
    transaction = Transaction("attach", "janus.attach", 2.0, 0)
    sent = json.loads(janus.begin(transaction, {"session_id": 7, "plugin": "p"}, 0))
    assert sent == {
        "janus": "attach",
        "transaction": transaction.id,
        "session_id": 7,
        "plugin": "p",
        "apisecret": "s3cret",
        "token": "t0ken",
    }
    assert "s3cret" not in repr(transaction)


def test_success_ends_it_with_the_time_of_arrival() -> None:
    janus = JanusProtocol()
    create = begin(janus)
    assert janus.receive(text(create, "success", data={"id": 5}), 3_000_000) == [create]
    assert (create.outcome, create.answered_ns, create.error) == (Outcome.OK, 3_000_000, None)
    assert janus.in_flight == 0 and janus.next_deadline_ns() is None


def test_ack_then_event() -> None:
    janus = JanusProtocol()
    join = begin(janus, "message")
    assert janus.receive(text(join, "ack"), 1) == []
    assert join.acked_ns == 1 and join.outcome is None
    assert janus.receive(text(join, "event", **plugin({"audiobridge": "joined"})), 2) == [join]
    assert join.outcome is Outcome.OK


def test_event_before_ack_and_the_late_ack_is_dropped() -> None:
    janus = JanusProtocol()
    join = begin(janus, "message")
    assert janus.receive(text(join, "event", **plugin({"audiobridge": "joined"})), 1) == [join]
    assert janus.receive(text(join, "ack"), 2) == []
    assert join.outcome is Outcome.OK


@pytest.mark.parametrize("verb", ["keepalive", "trickle"])
def test_ack_is_the_answer_of(verb: str) -> None:
    janus = JanusProtocol()
    transaction = begin(janus, verb)
    assert janus.receive(text(transaction, "ack"), 1) == [transaction]
    assert transaction.outcome is Outcome.OK


@pytest.mark.parametrize("kind", ["success", "event"])
def test_plugin_errors_hide_in_success_and_event(kind: str) -> None:
    janus = JanusProtocol()
    join = begin(janus, "message")
    join.plugin = "audiobridge"
    janus.receive(text(join, kind, **plugin({"error_code": 485, "error": "No such room (9)"})), 1)
    assert join.outcome is Outcome.API_ERROR
    assert isinstance(join.error, PluginError)
    assert (join.error.plugin, join.error.code) == ("audiobridge", 485)


def test_core_error() -> None:
    janus = JanusProtocol()
    destroy = begin(janus, "destroy")
    janus.receive(text(destroy, "error", error={"code": 458, "reason": "No such session 1"}), 1)
    assert isinstance(destroy.error, CoreError) and destroy.error.code == 458
    assert destroy.outcome is Outcome.API_ERROR


def test_a_message_answered_without_plugin_data_is_a_violation() -> None:
    janus = JanusProtocol()
    message = begin(janus, "message")
    janus.receive(text(message, "success"), 1)
    assert isinstance(message.error, ProtocolViolation)


def test_error_without_transaction_belongs_to_the_connection() -> None:
    janus = JanusProtocol()
    create = begin(janus)
    (fault,) = janus.receive('{"janus":"error","error":{"code":454,"reason":"JSON error"}}', 1)
    assert isinstance(fault, Fault) and isinstance(fault.error, CoreError)
    assert create.outcome is None


def test_two_objects_in_one_frame() -> None:
    janus = JanusProtocol()
    one, two = begin(janus), begin(janus)
    frame = text(two, "success", data={"id": 2}) + "\n " + text(one, "success", data={"id": 1})
    assert janus.receive(frame.encode(), 1) == [two, one]


def test_notifications_name_session_and_handle() -> None:
    janus = JanusProtocol()
    (note,) = janus.receive('{"janus":"webrtcup","session_id":7,"sender":8}', 1)
    assert isinstance(note, Notification)
    assert (note.kind, note.session_id, note.handle_id) == ("webrtcup", 7, 8)


def test_timeout_counts_from_the_write() -> None:
    janus = JanusProtocol()
    create = begin(janus, at=0, sent=False)
    janus.written(create, 1 * S)
    assert janus.expire(2 * S) == []
    assert janus.next_deadline_ns() == 3 * S
    assert janus.expire(3 * S) == [create]
    assert create.outcome is Outcome.API_TIMEOUT
    assert isinstance(create.error, TransactionTimeout) and not create.error.acked


def test_never_written_is_dropped_not_timed_out() -> None:
    janus = JanusProtocol()
    create = begin(janus, sent=False)
    assert janus.expire(2 * S) == [create]
    assert create.outcome is Outcome.DROPPED and isinstance(create.error, SendBlocked)


def test_late_answer_keeps_its_outcome_and_comes_once() -> None:
    janus = JanusProtocol()
    create = begin(janus)
    janus.expire(5 * S)
    answer = text(create, "success", data={"id": 9})
    assert janus.receive(answer, 6 * S) == [create]
    assert (create.outcome, create.answered_ns) == (Outcome.API_TIMEOUT, 6 * S)
    assert create.reply is not None and create.reply["data"]["id"] == 9
    assert janus.receive(answer, 7 * S) == []


def test_an_answer_after_t_is_late_even_if_nobody_had_looked() -> None:
    janus = JanusProtocol()
    create = begin(janus)
    assert janus.receive(text(create, "success", data={"id": 9}), 2 * S + 1) == [create]
    assert (create.outcome, create.answered_ns) == (Outcome.API_TIMEOUT, 2 * S + 1)
    assert janus.expire(3 * S) == [] and janus.in_flight == 0


def test_acked_timeout_says_so() -> None:
    janus = JanusProtocol()
    join = begin(janus, "message")
    janus.receive(text(join, "ack"), 1)
    janus.expire(2 * S)
    assert isinstance(join.error, TransactionTimeout) and join.error.acked
    assert janus.receive(text(join, "ack"), 3 * S) == []
    assert janus.receive(text(join, "event", **plugin({})), 4 * S) == [join]


def test_a_lost_connection_ends_each_once_with_the_cause() -> None:
    janus = JanusProtocol()
    written, unwritten = begin(janus), begin(janus, sent=False)
    cause = ConnectionLost("gone")
    assert set(map(id, janus.fail(cause, Outcome.LOST_CONNECTION))) == {id(written), id(unwritten)}
    assert (written.outcome, unwritten.outcome) == (Outcome.LOST_CONNECTION, Outcome.DROPPED)
    assert written.error is cause
    assert janus.fail(cause, Outcome.CUT) == [] and janus.expire(9 * S) == []


@pytest.mark.parametrize(
    "garbage", ["{", "nonsense", "[1]", '"x"', "{}", '{"janus":1}', b"\xff\xfe", "[" * 100_000, "1 2 3", '{"janus":[]}']
)
def test_garbage_is_a_fault_and_nothing_else(garbage: str | bytes) -> None:
    janus = JanusProtocol()
    create = begin(janus)
    events = janus.receive(garbage, 1)
    assert events and all(isinstance(event, Fault) for event in events)
    assert create.outcome is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # machines are shared and noisy
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["success", "ack", "event", "error", "pong", "timeout", "x"]),
            st.integers(-1, 4),
            st.dictionaries(
                st.sampled_from(["data", "error", "plugindata", "session_id", "sender", "jsep"]), json_values
            ),
        ),
        max_size=12,
    ),
    st.lists(st.sampled_from(["create", "message", "keepalive", "trickle"]), min_size=5, max_size=5),
)
def test_whatever_comes_every_transaction_ends_exactly_once(
    messages: list[tuple[str, int, dict[str, Any]]], verbs: list[str]
) -> None:
    janus = JanusProtocol()
    transactions = [begin(janus, verb) for verb in verbs]
    ended: list[Transaction] = []
    for moment, (kind, which, fields) in enumerate(messages, 1):
        message: dict[str, Any] = {"janus": kind, **fields}
        if which >= 0:
            message["transaction"] = transactions[which].id
        ended += [e for e in janus.receive(json.dumps(message), moment) if isinstance(e, Transaction)]
    ended += janus.expire(3 * S)
    assert sorted(t.number for t in ended) == sorted(t.number for t in transactions)
    assert all(t.outcome is not None for t in transactions)
    assert all(t.error is None or isinstance(t.error, JanusloadError) for t in transactions)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    JanusProtocol().receive(data, 1)


# -- deadlines --------------------------------------------------------------------------------------------------------


def test_deadlines_of_different_timeouts_and_what_has_ended_before_them() -> None:
    janus = JanusProtocol()
    short, long, unwritten = begin(janus, timeout_s=1), begin(janus, timeout_s=3), begin(janus, timeout_s=2, sent=False)
    assert janus.next_deadline_ns() == 1 * S
    janus.receive(text(short, "success", data={"id": 1}), 1)
    assert janus.next_deadline_ns() == 2 * S
    assert janus.expire(2 * S) == [unwritten] and janus.next_deadline_ns() == 3 * S
    janus.receive(text(long, "success", data={"id": 1}), 2)
    assert janus.next_deadline_ns() is None and janus.in_flight == 0


def test_one_that_waits_keeps_no_others_in_memory() -> None:
    janus = JanusProtocol()
    waiting = begin(janus, at=0, timeout_s=9)
    for moment in range(1, 1000):
        done = begin(janus, at=moment, timeout_s=9)
        janus.receive(text(done, "success", data={"id": 1}), moment)
    janus.receive(text(waiting, "success", data={"id": 1}), 1000)
    begin(janus, at=2000, timeout_s=9)
    deadlines = janus._deadlines[9]
    assert len(deadlines.written) == 1 and not deadlines.unwritten


def test_written_while_others_wait_for_the_kernel() -> None:
    janus = JanusProtocol()
    first, second = begin(janus, sent=False), begin(janus, sent=False)
    janus.written(second, 1 * S)
    assert janus.next_deadline_ns() == 2 * S and janus.expire(2 * S) == [first]
    assert janus.expire(3 * S) == [second] and second.outcome is Outcome.API_TIMEOUT


def test_a_frame_that_leaves_after_it_was_given_up_changes_nothing() -> None:
    janus = JanusProtocol()
    create = begin(janus, sent=False)
    janus.expire(2 * S)
    janus.written(create, 3 * S)
    assert create.outcome is Outcome.DROPPED and create.sent_ns == 3 * S
    assert janus.expire(99 * S) == [] and janus.next_deadline_ns() is None


def test_what_cannot_be_written_is_dropped_with_its_cause() -> None:
    janus = JanusProtocol()
    create = begin(janus, sent=False)
    cause = SendBlocked("full")
    janus.refuse(create, cause)
    assert (create.outcome, create.error, janus.in_flight) == (Outcome.DROPPED, cause, 0)
    assert janus.next_deadline_ns() is None
    create = begin(janus, sent=False)
    janus.refuse(create, cause)
    assert janus.expire(99 * S) == []


def test_a_server_that_says_other_things_is_not_silent() -> None:
    janus = JanusProtocol()
    silent, overdue, pinged = (begin(janus, timeout_s=t) for t in (1, 2, 3))
    janus.expire(1 * S)
    janus.receive('{"janus":"webrtcup","session_id":1}', round(1.5 * S))
    janus.expire(2 * S)
    assert type(silent.error) is ServerSilent and type(overdue.error) is AnswerOverdue
    janus.heard(round(2.5 * S))
    janus.expire(3 * S)
    assert type(pinged.error) is AnswerOverdue
    late = begin(janus, at=4 * S, timeout_s=1)
    janus.expire(9 * S)
    assert type(late.error) is ServerSilent


def test_only_so_many_expired_ones_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("janusload.janus.protocol.LATE_KEPT", 2)
    janus = JanusProtocol()
    many = [begin(janus) for _ in range(3)]
    janus.expire(2 * S)
    answers = [janus.receive(text(transaction, "success", data={"id": 9}), 3 * S) for transaction in many]
    assert answers == [[], [many[1]], [many[2]]]


# -- odd answers ------------------------------------------------------------------------------------------------------


def test_a_further_event_about_a_request_is_a_notification() -> None:
    janus = JanusProtocol()
    register = begin(janus, "message")
    event = text(register, "event", session_id=7, sender=8, **plugin({"sip": "event"}))
    assert janus.receive(event, 1) == [register]
    (note,) = janus.receive(event, 2)
    assert isinstance(note, PluginEvent) and (note.session_id, note.handle_id) == (7, 8)
    assert janus.receive(text(register, "success"), 3) == []


@pytest.mark.parametrize("verb", ["create", "attach"])
@pytest.mark.parametrize("data", [None, 7, {}, {"id": "7"}, {"id": True}, {"id": 0}, {"id": None}])
def test_what_creates_nothing_is_a_violation(verb: str, data: object) -> None:
    janus = JanusProtocol()
    transaction = begin(janus, verb)
    janus.receive(text(transaction, "success", data=data), 1)
    assert isinstance(transaction.error, ProtocolViolation) and transaction.outcome is Outcome.API_ERROR


@pytest.mark.parametrize("number", [1, 2**53 - 1, 2**63 - 1, 2**63, 2**64])
def test_ids_as_large_as_they_come(number: int) -> None:
    janus = JanusProtocol()
    create = begin(janus, session_id=number)
    janus.receive(text(create, "success", data={"id": number}), 1)
    assert create.reply is not None and created_id(create.reply) == number
    (note,) = janus.receive(json.dumps({"janus": "detached", "session_id": number, "sender": number}), 2)
    assert isinstance(note, Notification) and note.session_id == note.handle_id == number


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        ({"code": 458, "reason": "x" * 9999}, 458, "x" * 500),
        ({"code": True, "reason": ["deep"]}, -1, ""),
        ({"code": 2**70}, -1, ""),
        ({"code": 490, "reason": "\ud800"}, 490, "?"),
        ("no object", -1, "no reason given"),
        (None, -1, "no reason given"),
    ],
)
def test_errors_with_odd_contents(error: object, code: int, reason: str) -> None:
    janus = JanusProtocol()
    create, join = begin(janus), begin(janus, "message")
    janus.receive(text(create, "error", error=error), 1)
    assert isinstance(create.error, CoreError) and (create.error.code, create.error.reason) == (code, reason)
    if isinstance(error, dict):
        data = {"error_code": error["code"], "error": error.get("reason")}
        janus.receive(text(join, "event", **plugin(data)), 1)
        assert isinstance(join.error, PluginError) and (join.error.code, join.error.reason) == (code, reason)


def test_a_large_and_a_deep_message() -> None:
    janus = JanusProtocol()
    join = begin(janus, "message")
    people = [{"id": number, "display": "ä" * 100} for number in range(20_000)]
    janus.receive(text(join, "event", **plugin({"participants": people})), 1)
    assert join.outcome is Outcome.OK
    for deep in ('{"janus":' + "[" * 200_000, '{"janus":"x","a":' + '{"a":' * 200_000 + "1" + "}" * 200_001):
        (fault,) = janus.receive(deep, 2)
        assert isinstance(fault, Fault)


def test_repr_says_what_it_is() -> None:
    janus = JanusProtocol()
    create = begin(janus)
    assert repr(create) == f"<Transaction {create.id} janus.create pending>"
    janus.expire(9 * S)
    assert repr(create).endswith("api_timeout>")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.permutations(range(6)),
    st.lists(st.integers(0, 5), max_size=4),
    st.lists(st.integers(0, 2000), max_size=12),
    st.integers(0, 3),
)
def test_any_order_any_cut_any_duplicates(order: list[int], again: list[int], at: list[int], together: int) -> None:
    janus, reader = JanusProtocol(), FrameReader(10_000)
    transactions = [begin(janus) for _ in range(6)]
    answers = [text(transactions[number], "success", data={"id": number + 1}) for number in [*order, *again]]
    joined = [" ".join(answers[i : i + together + 1]) for i in range(0, len(answers), together + 1)]
    stream = b"".join(
        # every second message in two fragments
        wire.text(message)
        if number % 2
        else wire.frame(TEXT, message.encode()[:20], final=False) + wire.frame(CONT, message.encode()[20:])
        for number, message in enumerate(joined)
    )
    ended: list[object] = []
    for piece in wire.cut(stream, at):
        for _, payload in reader.receive(piece):
            ended += janus.receive(payload, 1)
    assert ended == [transactions[number] for number in order]
    for number, transaction in enumerate(transactions):
        assert transaction.outcome is Outcome.OK and transaction.reply is not None
        assert created_id(transaction.reply) == number + 1
