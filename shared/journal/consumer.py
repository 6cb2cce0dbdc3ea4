"""A batch of the stream becomes pages. A batch may come again whole, in part or as part of a longer one: rows have the
ids of their events, and pages are written so that this does no harm."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from shared.domain.models import Endpoint
from shared.domain.refusals import TemporarilyUnavailable
from shared.journal.events import Event, Unreadable, derive_rows, is_of_interest, read_event
from shared.journal.pages import Pages
from shared.journal.passing import is_probe, note_probes
from shared.journal.rows import OF_CALLS, Row
from shared.store.compiled import Compiled
from shared.store.dynamo import Item

REMEMBERED = 100
"""Versions of endpoints that a process keeps; one of a thousand buyers takes a megabyte."""

Record = Mapping[str, Any]
EndpointOf = Callable[[str, int], Endpoint | None]
KnownVersions = dict[tuple[str, int], Endpoint | None]
Follow = Callable[[Sequence[Event]], object]
"""Does what changes call for beside their rows (`follow_up`). Raises `TemporarilyUnavailable`."""


class Consumed(Struct, frozen=True):
    """What became of a batch: `failed` are the sequence numbers of the records that have to come again. What happened
    is counted of the `rows` that were written; `unmatched` pings have no bids. `calls` came, those that were
    `connected` and `converted` are settled, and sales were `never_called`."""

    failed: list[str]
    rows: int
    pages: int
    set_aside: int
    pings: int = 0
    unmatched: int = 0
    bids: int = 0
    sales: int = 0
    revenue_cents: int = 0
    payout_cents: int = 0
    calls: int = 0
    connected: int = 0
    converted: int = 0
    never_called: int = 0


def consume(
    event: Mapping[str, Sequence[Record]],
    pages: Pages,
    endpoint_of: EndpointOf,
    set_aside: Callable[[Record, str], None],
    follow: Follow,
) -> Consumed:
    """Write the rows of a batch, and `follow` its changes. A record that cannot be read is set aside with the reason,
    and the others go on. Where DynamoDB or the storage does not answer, the records from there on have failed."""
    records, rows, changes = event["Records"], list[Row](), list[Event]()
    probes, failed, aside = list[Item](), list[str](), 0
    for place, record in enumerate(records):
        try:
            try:
                change = read_event(record)
                if change.new and is_probe(change.new):
                    probes.append(change.new)
                elif is_of_interest(change):
                    rows += derive_rows(change, endpoint_of)
                    changes.append(change)
            except Unreadable as fault:
                set_aside(record, str(fault))
                aside += 1
        except TemporarilyUnavailable:
            failed = _numbers(records[place:])
            break
    written = 0
    try:
        for table in ("pings", "calls"):
            written += pages.write(table, [row for row in rows if (row.kind in OF_CALLS) == (table == "calls")])
        follow(changes)
        note_probes(pages.dynamo, probes, pages.now())
    except TemporarilyUnavailable:
        rows, failed = [], _numbers(records)
    pings = [row for row in rows if row.kind == "ping"]
    sales = [row for row in rows if row.kind == "sale"]
    settled = [row for row in rows if row.kind == "call"]
    earned = [*sales, *settled]
    return Consumed(
        failed=failed,
        rows=len(rows),
        pages=written,
        set_aside=aside,
        pings=len(pings),
        unmatched=sum(not row.bids for row in pings),
        bids=sum(row.bids for row in pings),
        sales=len(sales),
        revenue_cents=sum(row.revenue_cents for row in earned),
        payout_cents=sum(row.payout_cents for row in earned),
        calls=sum(row.kind == "arrived" for row in rows),
        connected=sum(row.connected_at > 0 for row in settled),
        converted=sum(row.converted for row in settled),
        never_called=sum(row.kind == "never_called" for row in rows),
    )


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
