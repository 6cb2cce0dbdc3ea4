"""Golden values: this code reads what every release has stored."""

import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from shared.store import packing
from shared.store.dictionary import FORM_1
from shared.store.dynamo import Dynamo
from shared.store.packing import UnknownFormat
from shared.store.records import Records
from tests.build import CALLER, KEYS, Publisher, Stage
from tests.golden_values import GOLDEN, KINDS, NEXT, is_part, plain, read
from tools import demo, document
from tools.engine import tables

FILES = sorted(GOLDEN.glob("*/*.json"))
UNPACKED = {"caller", "ping_id"}
"""Attributes of bytes that are one value: an id, a hash, a ring."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_what_a_release_has_stored_is_read(file: Path) -> None:
    packed, value = read(file)
    assert is_part(value, plain(KINDS[file.stem].unpack(packed)))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_form_that_this_code_does_not_know_is_refused(file: Path) -> None:
    packed, _ = read(file)
    with pytest.raises((UnknownFormat, msgspec.MsgspecError)):
        KINDS[file.stem].unpack(b"\x02" + packed[1:])


WITH_DICTIONARY = ("ping", "ping_in_columns", "sale", "route", "before")


@pytest.mark.parametrize("name", WITH_DICTIONARY)
def test_a_value_that_was_packed_without_a_dictionary_is_read_and_one_that_is_cut_is_not(name: str) -> None:
    kind = KINDS[name]
    packed = kind.pack(kind.sample)
    assert packed[0] == packing.WITH_DICTIONARY
    assert kind.unpack(zlib.compress(packing.inflate(packed))) == kind.unpack(packed) == kind.sample
    for end in range(len(packed)):
        with pytest.raises((UnknownFormat, zlib.error)):
            kind.unpack(packed[:end])


def test_the_dictionary_is_that_of_what_is_stored() -> None:
    """Another one takes another form."""
    assert sha256(FORM_1).hexdigest() == "f966c38df01b28da611a5cbc49c9ebe286dbfad99847c0cf0fe37dd258450e8f"


def test_the_next_release_has_a_golden_value_of_each_kind_as_it_is_now() -> None:
    """If it fails after a change of a Struct: `python -m tests.golden_values next`."""
    assert {file.stem for file in FILES if file.parent.name == NEXT} == KINDS.keys()
    for name, kind in KINDS.items():
        assert read(GOLDEN / NEXT / f"{name}.json")[1] == plain(kind.sample), name


@pytest.mark.parametrize("name", KINDS)
def test_a_sample_sets_every_member(name: str) -> None:
    """One that is left at its default would not be in the golden value."""
    sample = KINDS[name].sample
    for struct in sample if isinstance(sample, list) else [sample]:
        if isinstance(struct, msgspec.Struct):
            defaults = {field.name: field.default for field in msgspec.structs.fields(struct) if not field.required}
            unset = {member for member, default in defaults.items() if getattr(struct, member) == default}
            assert unset <= {"static_numbers", "require_auth_token"}, unset


def test_every_attribute_of_bytes_has_a_golden_value_or_is_one_value(stage: Stage, publisher: Publisher) -> None:
    records = Records(Dynamo(stage.client, stage.settings), KEYS, stage.clock)
    records.applying.apply(document.load(demo.CONFIGURATION)[0], "somebody")
    ping = publisher.ping(caller_id=CALLER).body
    assert publisher.post(caller_id=CALLER, ping_id=ping["try_all_buyers_ping_id"]).body["success"]
    found = {*attributes_of_bytes(stage)}
    assert {"ping", "sale", "compiled", "body", "layout", "changes"} <= found
    assert found - KINDS.keys() == found & UNPACKED


def attributes_of_bytes(stage: Stage) -> Iterator[str]:
    for table in tables(stage.settings):
        for item in stage.client.scan(TableName=table)["Items"]:
            yield from (name for name, value in item.items() if "B" in value)
