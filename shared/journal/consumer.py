"""A batch of the stream becomes pages. A batch may come again whole, in part or as part of a longer one: rows have the
ids of their events, and pages are written so that this does no harm."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from shared.domain.models import Endpoint
from shared.domain.refusals import TemporarilyUnavailable
from shared.journal.events import Unreadable, derive_rows, is_of_interest, read_event
from shared.journal.pages import Pages
from shared.journal.rows import Row
from shared.store.compiled import Compiled

REMEMBERED = 100
"""Versions of endpoints that a process keeps; one of a thousand buyers takes a megabyte."""

Record = Mapping[str, Any]
EndpointOf = Callable[[str, int], Endpoint | None]
KnownVersions = dict[tuple[str, int], Endpoint | None]


class Consumed(Struct, frozen=True):
    """What became of a batch: `failed` are the sequence numbers of the records that have to come again."""

    failed: list[str]
    rows: int
    pages: int
    set_aside: int


def consume(
    event: Mapping[str, Sequence[Record]],
    pages: Pages,
    endpoint_of: EndpointOf,
    set_aside: Callable[[Record, str], None],
) -> Consumed:
    """Write the rows of a batch. A record that cannot be read is set aside with the reason, and the others go on. Where
    DynamoDB or the storage does not answer, the records from there on have failed."""
    records, rows, failed, aside = event["Records"], list[Row](), list[str](), 0
    for place, record in enumerate(records):
        try:
            try:
                rows += _read_rows(record, endpoint_of)
            except Unreadable as fault:
                set_aside(record, str(fault))
                aside += 1
        except TemporarilyUnavailable:
            failed = _numbers(records[place:])
            break
    written = 0
    try:
        written = pages.write("pings", rows)
    except TemporarilyUnavailable:
        failed = _numbers(records)
    return Consumed(failed, len(rows) if written else 0, written, aside)


def _read_rows(record: Record, endpoint_of: EndpointOf) -> list[Row]:
    event = read_event(record)
    return derive_rows(event, endpoint_of) if is_of_interest(event) else []


def _numbers(records: Sequence[Record]) -> list[str]:
    return [record["dynamodb"]["SequenceNumber"] for record in records]


def remembering(compiled: Compiled, known: KnownVersions) -> EndpointOf:
    """The versions of endpoints, None for one that is gone; those in `known` are not read again."""

    def endpoint_of(vanity_uri: str, version: int) -> Endpoint | None:
        key = (vanity_uri, version)
        if key not in known:
            if len(known) >= REMEMBERED:
                known.clear()
            try:
                known[key] = compiled.version(vanity_uri, version)
            except LookupError:
                known[key] = None
        return known[key]

    return endpoint_of
