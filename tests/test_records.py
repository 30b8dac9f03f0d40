"""The records: immutable, and each with an Arrow schema that keeps what they hold."""

from __future__ import annotations

from typing import get_type_hints

import pyarrow as pa
import pytest

from janusload.records import KINDS, MarkerKind, MarkerRecord, Outcome, Record, RequestRecord, Rung, Source
from janusload.run_folder import arrow_schema


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_has_a_schema_with_its_fields_in_order(kind: type[Record]) -> None:
    assert arrow_schema(kind).names == list(get_type_hints(kind))


def test_only_what_may_be_unknown_is_nullable() -> None:
    schema = arrow_schema(RequestRecord)
    assert {field.name for field in schema if field.nullable} == {"sent_ns", "answered_ns", "code"}


def test_moments_are_64_bit_and_texts_are_dictionaries() -> None:
    schema = arrow_schema(RequestRecord)
    assert schema.field("due_ns").type == pa.int64()
    assert schema.field("timeout_s").type == pa.float64()
    assert schema.field("outcome").type == pa.dictionary(pa.int32(), pa.string())


def test_a_record_cannot_be_changed() -> None:
    marker = MarkerRecord(1, MarkerKind.NOTE)
    with pytest.raises(AttributeError):
        marker.t_ns = 2  # type: ignore[misc]


def test_kinds_can_be_told_from_file_names() -> None:
    # analysis/frames.py takes everything behind the first dash for the process
    assert all("-" not in stem for stem in KINDS)
    assert len(set(KINDS.values())) == len(KINDS)


@pytest.mark.parametrize("words", [Outcome, Source, Rung, MarkerKind])
def test_words_are_plain_text_in_a_file(words: type[Outcome] | type[Source] | type[Rung] | type[MarkerKind]) -> None:
    values = [str(word) for word in words]
    assert len(set(values)) == len(values)
    assert all(value == value.lower() and value.isidentifier() for value in values)
    assert pa.array(list(words), pa.dictionary(pa.int32(), pa.string())).to_pylist() == values
