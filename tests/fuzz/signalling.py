"""Fuzz target (atheris, coverage-guided): whatever a server sends, as bytes or as text.

By hand: `make fuzz` (FUZZ_SECONDS=600 by default). An input that breaks a rule is left as a file `crash-...` in the
current folder, and `python -m tests.fuzz.signalling FILE` runs it again.

The first byte of an input chooses: how the rest is cut, and whether it is bytes of the socket or the text of a message.
The rules: nothing is raised; every transaction ends exactly once; memory follows what was sent.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["janusload.janus"]):
    from janusload.errors import JanusError
    from janusload.janus.events import Notification
    from janusload.janus.frames import TEXT, FrameReader
    from janusload.janus.protocol import Fault, JanusProtocol, Transaction
    from janusload.janus.redaction import Redactor
    from janusload.records import Outcome

#: small, so that the limit is met
MAX_BYTES = 3000

VERBS = ("create", "attach", "message", "message", "keepalive", "trickle", "info")

S = 1_000_000_000


def one_input(data: bytes) -> None:
    if not data:
        return
    choice, data = data[0], data[1:]
    janus = JanusProtocol(api_secret="hush")
    pending = [_begin(janus, verb, number, written=number != 6) for number, verb in enumerate(VERBS)]
    ended: list[Transaction] = []
    late: list[Transaction] = []
    now_ns = 1
    for text in _texts(choice, data):
        now_ns += S // 50
        if choice & 2:
            ended += janus.expire(now_ns)
        for event in janus.receive(text, now_ns):
            if isinstance(event, Transaction):
                _check(event)
                if event.outcome is Outcome.API_TIMEOUT:
                    late.append(event)
                if event not in ended:
                    ended.append(event)
            elif isinstance(event, Fault):
                assert isinstance(event.error, JanusError) and str(event.error).encode() is not None
            else:
                assert isinstance(event, Notification) and repr(event)
        if choice & 4:
            Redactor(("hush",)).unparsed(text.decode(errors="replace"))
    ended += janus.expire(now_ns + S) if choice & 8 else janus.fail(JanusError("gone"), Outcome.LOST_CONNECTION)
    ended += janus.expire(now_ns + 9 * S) + janus.fail(JanusError("gone"), Outcome.CUT)
    assert sorted(t.number for t in ended) == sorted(t.number for t in pending), "each ends exactly once"
    assert len({t.number for t in late}) == len(late), "late at most once"
    assert janus.in_flight == 0 and janus.next_deadline_ns() is None
    for transaction in pending:
        _check(transaction)


def _begin(janus: JanusProtocol, verb: str, number: int, *, written: bool) -> Transaction:
    transaction = Transaction(verb, f"janus.{verb}", 0.5 + number / 10, 0, "p")
    transaction.id = str(number)  # so that inputs can name it
    janus.begin(transaction, {"session_id": 1} if number else None, 0)
    if written:
        janus.written(transaction, 1)
    return transaction


def _texts(choice: int, data: bytes) -> list[bytes]:
    if not choice & 1:
        return data.split(b"\x00") if choice & 16 else [data]
    reader = FrameReader(MAX_BYTES)
    step = 1 + (choice >> 4) * 7
    events = [e for at in range(0, len(data), step) for e in reader.receive(data[at : at + step])]
    assert sum(len(payload) for _, payload in events) <= len(data)
    if reader.failed is not None or reader.closed is not None:
        assert reader.receive(b"\x81\x01x") == []
    # the same bytes at once mean the same
    whole = FrameReader(MAX_BYTES)
    assert whole.receive(data) == events and whole.failed == reader.failed and whole.closed == reader.closed
    return [payload for opcode, payload in events if opcode == TEXT]


def _check(transaction: Transaction) -> None:
    assert transaction.outcome is not None
    error = transaction.error
    assert (error is None) == (transaction.outcome is Outcome.OK)
    assert error is None or (isinstance(error, JanusError) and str(error).encode() is not None)


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
